//! The leases of live grants in a small file, where the sweep finds them when the
//! agent hangs, and the agent after this one when it was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tidegate_common::id::SessionId;

use crate::clock;
use crate::paths::Paths;
use crate::residue;

/// What the file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leases {
    /// The boot that the deadlines count from.
    pub boot: String,
    /// The process that holds the grants.
    pub agent: u32,
    /// When it started, in clock ticks since boot: with the number, unique.
    pub started: u64,
    /// When each grant is overdue, in microseconds since boot.
    pub deadlines: BTreeMap<SessionId, u64>,
    /// Those whose end has begun.
    #[serde(default)]
    pub ending: BTreeSet<SessionId>,
}

impl Leases {
    /// The leases of what had not begun to end.
    #[must_use]
    pub fn of_the_living(mut self) -> BTreeMap<SessionId, u64> {
        self.deadlines.retain(|session, _| !self.ending.contains(session));
        self.deadlines
    }
}

/// Writes them. Not durable on purpose: they mean nothing after a reboot.
///
/// # Errors
/// When the file cannot be written.
pub fn keep(
    paths: &Paths,
    deadlines: BTreeMap<SessionId, u64>,
    ending: BTreeSet<SessionId>,
) -> std::io::Result<()> {
    let agent = std::process::id();
    let started = residue::start_of(paths, agent).unwrap_or_default();
    let leases = Leases { boot: clock::boot_id(paths), agent, started, deadlines, ending };
    let path = paths.leases();
    let fresh = path.with_extension("new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(&leases)?)?;
    std::fs::rename(&fresh, &path)
}

/// Reads them; nothing when there are none of this boot.
#[must_use]
pub fn read(paths: &Paths) -> Option<Leases> {
    let leases = parse(&paths.leases())?;
    (leases.boot == clock::boot_id(paths)).then_some(leases)
}

fn parse(path: &Path) -> Option<Leases> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
