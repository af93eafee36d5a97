//! The end-to-end tests: one binary, so that what they share is built and booted once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "e2e/algorithms.rs"]
mod algorithms;
#[path = "e2e/attacks.rs"]
mod attacks;
#[path = "../../agent/tests/agent/audit.rs"]
#[allow(dead_code)]
mod audit;
#[path = "e2e/bounds.rs"]
mod bounds;
#[path = "e2e/cause.rs"]
mod cause;
#[path = "e2e/certificates.rs"]
mod certificates;
#[path = "e2e/changes.rs"]
mod changes;
#[path = "e2e/channels.rs"]
mod channels;
#[path = "e2e/crossing.rs"]
mod crossing;
#[path = "e2e/demo.rs"]
mod demo;
#[path = "e2e/depot.rs"]
mod depot;
#[path = "e2e/devices.rs"]
mod devices;
#[path = "e2e/disks.rs"]
mod disks;
#[path = "e2e/docs.rs"]
mod docs;
#[path = "e2e/doctor.rs"]
mod doctor;
#[path = "e2e/dressed.rs"]
mod dressed;
#[path = "e2e/emergencies.rs"]
mod emergencies;
#[path = "e2e/faults.rs"]
mod faults;
#[path = "e2e/files.rs"]
mod files;
#[path = "e2e/filled.rs"]
mod filled;
#[path = "e2e/fleet.rs"]
mod fleet;
#[path = "e2e/floods.rs"]
mod floods;
#[path = "e2e/flow.rs"]
mod flow;
#[path = "e2e/forwards.rs"]
mod forwards;
#[path = "e2e/gates.rs"]
mod gates;
#[path = "e2e/governance.rs"]
mod governance;
#[path = "e2e/handover.rs"]
mod handover;
#[path = "e2e/hoppers.rs"]
mod hoppers;
#[path = "e2e/input.rs"]
mod input;
#[path = "e2e/installs.rs"]
mod installs;
#[path = "e2e/jump.rs"]
mod jump;
#[path = "e2e/kinds.rs"]
mod kinds;
#[path = "e2e/leftovers.rs"]
mod leftovers;
#[path = "e2e/liars.rs"]
mod liars;
#[path = "e2e/live.rs"]
mod live;
#[path = "e2e/locked.rs"]
mod locked;
#[path = "e2e/logins.rs"]
mod logins;
#[path = "e2e/manual.rs"]
mod manual;
#[path = "e2e/matrix.rs"]
mod matrix;
#[path = "e2e/menu.rs"]
mod menu;
#[path = "e2e/notices.rs"]
mod notices;
#[path = "e2e/origins.rs"]
mod origins;
#[path = "e2e/outside.rs"]
mod outside;
#[path = "e2e/packages.rs"]
mod packages;
#[path = "e2e/pier.rs"]
mod pier;
#[path = "e2e/pipes.rs"]
mod pipes;
#[path = "e2e/plan.rs"]
mod plan;
#[path = "e2e/postgres.rs"]
mod postgres;
#[path = "e2e/privileges.rs"]
mod privileges;
#[path = "e2e/refusals.rs"]
mod refusals;
#[path = "e2e/requests.rs"]
mod requests;
#[path = "e2e/roaming.rs"]
mod roaming;
#[path = "e2e/rooms.rs"]
mod rooms;
#[path = "e2e/scene.rs"]
mod scene;
#[path = "e2e/secrets.rs"]
mod secrets;
#[path = "e2e/silence.rs"]
mod silence;
#[path = "e2e/story.rs"]
mod story;
#[path = "e2e/strays.rs"]
mod strays;
#[path = "e2e/sudo.rs"]
mod sudo;
#[path = "e2e/support.rs"]
mod support;
#[path = "e2e/torture.rs"]
mod torture;
#[path = "e2e/transfers.rs"]
mod transfers;
#[path = "e2e/units.rs"]
mod units;
#[path = "e2e/unproved.rs"]
mod unproved;
#[path = "e2e/versions.rs"]
mod versions;
#[path = "e2e/warnings.rs"]
mod warnings;
#[path = "e2e/ways.rs"]
mod ways;
#[path = "e2e/witness.rs"]
mod witness;
