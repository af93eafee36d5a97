//! What is durable: the ledger that the journal's records add up to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_common::id::SessionId;
use tidegate_common::name::{AccountName, GateName};

use super::unit::{Delta, Unit};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Record {
    /// Written before the host is touched: what will change, and how to take it back.
    Granting {
        session: SessionId,
        account: AccountName,
        expires: Option<jiff::Timestamp>,
        /// Which gate ordered it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gate: Option<GateName>,
        /// Units to be applied.
        fresh: Vec<(Unit, Delta)>,
        /// Units that another session holds already.
        joined: Vec<Unit>,
    },
    /// All of it is applied and verified.
    Granted { session: SessionId },
    /// Written before the host is touched: the session's grant shall end then, which is later. What is
    /// fresh and joined, it holds beside what it has.
    Extending { session: SessionId, until: jiff::Timestamp, fresh: Vec<(Unit, Delta)>, joined: Vec<Unit> },
    /// All of that is applied and verified: the grant ends then, and what has an earlier end is no
    /// longer the session's.
    Extended { session: SessionId, until: jiff::Timestamp },
    /// It is not: the grant ends when it was to end before, and these units were never there.
    NotExtended { session: SessionId, until: jiff::Timestamp, gone: Vec<Unit> },
    /// Where processes of the session were seen.
    Traced { session: SessionId, traces: Traces },
    /// The session holds nothing any more, and these units are off the host. Its
    /// processes are still to be ended.
    Released { session: SessionId, gone: Vec<Unit> },
    /// Nothing of the session is left to do.
    Ended { session: SessionId },
    /// Units that stood without a holder are off the host.
    Gone { gone: Vec<Unit> },
    /// Everything before, in short.
    Snapshot { ledger: Ledger },
}

/// Where a session's processes live on the host, so that one that cleans its
/// environment is found all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// logind's scopes, as /proc/PID/cgroup writes them.
    pub scopes: BTreeSet<String>,
    /// The kernel's audit session ids.
    pub audit: BTreeSet<u32>,
    /// Processes: id and start time in clock ticks since boot.
    pub processes: BTreeSet<(u32, u64)>,
    /// When the first of them started, also when it has ended since.
    #[serde(default)]
    pub since: Option<u64>,
}

/// A session in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub account: AccountName,
    pub expires: Option<jiff::Timestamp>,
    pub granted: bool,
    pub traces: Traces,
    /// Which gate ordered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateName>,
    /// The later end that it is being given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extending: Option<jiff::Timestamp>,
}

/// A unit that is, or may be, on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    pub unit: Unit,
    pub delta: Delta,
    /// Whether it was verified once; its absence later is somebody else's doing then.
    pub applied: bool,
    /// Who holds it. Nobody: it has to go.
    pub holders: BTreeSet<SessionId>,
    /// Who held it last, once nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_by: Option<SessionId>,
}

impl Held {
    fn leave(&mut self, session: SessionId) {
        if self.holders.remove(&session) && self.holders.is_empty() {
            self.left_by = Some(session);
        }
    }
}

/// The durable part of the agent's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    pub grants: BTreeMap<SessionId, Entry>,
    pub held: Vec<Held>,
}

impl Ledger {
    /// Takes one record in.
    pub fn take(&mut self, record: Record) {
        match record {
            Record::Granting { session, account, expires, gate, fresh, joined } => {
                // Nothing, unless the record of an earlier end was lost with a full disk.
                for held in &mut self.held {
                    held.leave(session);
                }
                let (granted, traces, extending) = (false, Traces::default(), None);
                self.grants.insert(session, Entry { account, expires, granted, traces, gate, extending });
                self.hold(session, fresh, &joined);
            }
            Record::Extending { session, until, fresh, joined } => {
                if let Some(entry) = self.grants.get_mut(&session) {
                    entry.extending = Some(until);
                    self.hold(session, fresh, &joined);
                }
            }
            Record::Extended { session, until } => {
                if let Some(entry) = self.grants.get_mut(&session) {
                    (entry.expires, entry.extending) = (Some(until), None);
                }
                for held in self.held.iter_mut().filter(|held| held.holders.contains(&session)) {
                    held.applied |= held.unit.ends_at(until);
                    if held.unit.ends_before(until) {
                        held.leave(session);
                    }
                }
            }
            Record::NotExtended { session, until, gone } => {
                if let Some(entry) = self.grants.get_mut(&session) {
                    entry.extending = None;
                }
                for held in self.held.iter_mut().filter(|held| held.unit.ends_at(until)) {
                    held.leave(session);
                }
                self.held.retain(|held| !gone.contains(&held.unit));
            }
            Record::Granted { session } => {
                for held in self.held.iter_mut().filter(|held| held.holders.contains(&session)) {
                    held.applied = true;
                }
                if let Some(entry) = self.grants.get_mut(&session) {
                    entry.granted = true;
                }
            }
            Record::Traced { session, traces } => {
                if let Some(entry) = self.grants.get_mut(&session) {
                    entry.traces = traces;
                }
            }
            Record::Released { session, gone } => {
                for held in &mut self.held {
                    held.leave(session);
                }
                self.held.retain(|held| !gone.contains(&held.unit));
                if let Some(entry) = self.grants.get_mut(&session) {
                    (entry.granted, entry.extending) = (false, None);
                }
            }
            Record::Ended { session } => {
                self.grants.remove(&session);
                // The record before this one may have been lost with a full disk.
                for held in &mut self.held {
                    held.leave(session);
                }
            }
            Record::Gone { gone } => self.held.retain(|held| !gone.contains(&held.unit)),
            Record::Snapshot { ledger } => *self = ledger,
        }
    }

    /// The session holds what is fresh alone, and what is joined with others.
    fn hold(&mut self, session: SessionId, fresh: Vec<(Unit, Delta)>, joined: &[Unit]) {
        for (unit, delta) in fresh {
            let holders = BTreeSet::from([session]);
            self.held.retain(|held| held.unit != unit);
            self.held.push(Held { unit, delta, applied: false, holders, left_by: None });
        }
        for held in self.held.iter_mut().filter(|held| joined.contains(&held.unit)) {
            held.holders.insert(session);
        }
    }

    /// Sessions that were being given a later end, and which.
    #[must_use]
    pub fn half_extended(&self) -> Vec<(SessionId, jiff::Timestamp)> {
        self.grants.iter().filter_map(|(session, entry)| Some((*session, entry.extending?))).collect()
    }

    /// The host was booted since: what lies below /run is gone by itself, not by
    /// somebody's hand.
    #[must_use]
    pub fn after_boot(mut self) -> Self {
        for held in self.held.iter_mut().filter(|held| matches!(held.unit, Unit::Sudo { .. })) {
            held.applied = false;
        }
        self
    }

    /// The unit, when it is held or has to go.
    #[must_use]
    pub fn held(&self, unit: &Unit) -> Option<&Held> {
        self.held.iter().find(|held| held.unit == *unit)
    }

    /// Units that have to go when this session ends: those nobody else holds.
    #[must_use]
    pub fn last_held_by(&self, session: SessionId) -> Vec<Held> {
        let last = |held: &&Held| held.holders.len() == 1 && held.holders.contains(&session);
        self.held.iter().filter(last).cloned().collect()
    }

    /// Units that nobody holds: what could not be undone, or what a crash left.
    #[must_use]
    pub fn orphans(&self) -> Vec<Held> {
        self.held.iter().filter(|held| held.holders.is_empty()).cloned().collect()
    }
}
