//! What an agent gives to the one that takes its place, beside the journal, and how far that is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_common::grant::{Ended, Failure};
use tidegate_common::id::SessionId;
use tidegate_common::name::AccountName;

use super::unit::Unit;

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Handover {
    #[default]
    No,
    /// As soon as nothing is under way.
    Wanted,
    /// The next agent has it all.
    Done,
}

/// What of the state is in neither the journal nor the leases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The lease's length, in microseconds.
    pub(super) lease: u64,
    /// Ends that no link stood to tell.
    pub(super) untold: BTreeMap<SessionId, Ended>,
    /// Grants that have ended and left something standing.
    pub(super) owing: BTreeMap<SessionId, Owing>,
    pub(super) retries: Vec<Retry>,
}

/// An ended grant that is told again once nothing of it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owing {
    pub account: AccountName,
    pub since: u64,
    pub refusal: Option<Failure>,
    pub report: Ended,
    pub standing: Vec<Unit>,
}

/// A unit whose undo failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    pub unit: Unit,
    pub failure: Failure,
    pub at: u64,
    pub wait: u64,
}
