//! The agent's own program against a proxy in memory: TLS, enrolment, grants, ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod audit;
mod blinding;
mod handover;
mod host;
mod logins;
mod proxy;
mod storms;
mod story;
mod witness;
