//! The state, and which part of it an event is for.

use std::collections::{BTreeMap, VecDeque};

use tidegate_common::audit::Note;
use tidegate_common::grant::{Drift, Ended, Failure, Standing};
use tidegate_common::id::SessionId;
use tidegate_common::name::GateName;
use tidegate_common::wire::{FromAgent, FromProxy, GrantOrder, MOST_STANDING};

use super::carried::{Handover, Retry};
use super::ledger::{Ledger, Record};
use super::messages::{Effect, Event, Now};
use super::running::{Job, Running};
use super::unit::Unit;

/// Grants at the same time, at most; more are refused.
pub(super) const MOST_GRANTS: usize = 4096;

/// How long a grant lives without word until a `Welcome` says otherwise, in microseconds.
pub(super) const DEFAULT_LEASE: u64 = 30_000_000;

/// How long after a record that could not be written all is written once more, in microseconds.
const CATCH_UP: u64 = 5_000_000;

/// The agent's whole state.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(super) ledger: Ledger,
    pub(super) grants: BTreeMap<SessionId, Grant>,
    pub(super) waiting: VecDeque<Job>,
    pub(super) running: Running,
    /// When the last quick job began: who waits for those before it is not one that hangs.
    pub(super) quick_since: u64,
    /// Until when the job that gave something last may take: an end that waits for it is not late.
    pub(super) gives_by: u64,
    pub(super) retries: Vec<Retry>,
    pub(super) lease: Lease,
    pub(super) linked: bool,
    /// What ended while no link stood, told on the next one.
    pub(super) untold: BTreeMap<SessionId, Ended>,
    /// What the proxy knows to stand.
    pub(super) told: Vec<Standing>,
    pub(super) stopping: bool,
    pub(super) exited: bool,
    pub(super) handover: Handover,
    /// What came after a handover that may not come to be.
    pub(super) later: Vec<Event>,
    /// The disk lacks a record: when to write down everything once more.
    pub(super) behind: Option<u64>,
}

/// The lease's length in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease(pub u64);

impl Default for Lease {
    fn default() -> Self {
        Self(DEFAULT_LEASE)
    }
}

/// A grant, from its order to its last report.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub order: GrantOrder,
    pub phase: Phase,
    /// Without word from the proxy it ends then.
    pub deadline: u64,
    /// When the order came.
    pub since: u64,
    /// What was found changed of it while it lives, told at its end.
    pub drift: Vec<Drift>,
    /// The end that its account was given last to expire with, as far as this agent knows.
    pub dated: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// Its job waits.
    Waiting,
    /// Its job runs: being planned, applied, verified.
    Granting(Wish),
    Active,
    Ending(Box<Ending>),
}

/// What shall become of a grant that is being applied.
#[derive(Debug, Clone)]
pub(super) enum Wish {
    Stay,
    /// An end came meanwhile, at this time.
    End(u64),
}

/// The end of a grant: undo and processes, side by side.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub since: u64,
    /// Set when it never came to be.
    pub refusal: Option<Failure>,
    pub undone: bool,
    pub processes_ended: bool,
    /// Whether the session held a privilege, or was root's.
    pub powers: bool,
    pub report: Ended,
    /// Units of this grant that still stand.
    pub standing: Vec<Unit>,
    /// Slow units, which are taken back after the quick ones.
    pub rest: Vec<Unit>,
    /// From when on the sweep may take who does that for one that hangs.
    pub rest_by: Option<u64>,
}

impl State {
    /// The state after a start, from what the journal holds.
    #[must_use]
    pub fn recovered(ledger: Ledger) -> Self {
        Self { ledger, ..Self::default() }
    }

    /// When to send [`Event::Tick`] at the latest, in microseconds since boot.
    #[must_use]
    pub fn next_deadline(&self, now: Now) -> Option<u64> {
        let leases = self.grants.values().filter(|grant| grant.lives()).map(|grant| {
            let left = grant.order.expires.map(|end| micros_between(now.wall, end));
            left.map_or(grant.deadline, |left| grant.deadline.min(now.boot.saturating_add(left)))
        });
        let retries = self.retries.iter().filter(|retry| self.running.at(retry.unit.pace()).is_none());
        let retries = retries.map(|retry| retry.at);
        leases.chain(retries).chain(self.behind.filter(|_| self.running.is_idle())).min()
    }

    pub(super) fn take(&mut self, event: Event, now: Now, effects: &mut Vec<Effect>) {
        match event {
            Event::Started { deadlines, carried } => self.reconcile(&deadlines, carried, now, effects),
            Event::Connected => {
                self.linked = false;
                self.told = self.standing();
                effects.push(Effect::Hello { live: self.live(), standing: self.told.clone() });
            }
            Event::Disconnected => self.linked = false,
            Event::Proxy(message) => self.hear(message, now, effects),
            Event::Planned { session, plan } => self.planned(session, plan, now, effects),
            Event::Applied { session, result } => self.applied(session, result, now, effects),
            Event::Extended { session, result } => self.extended(session, result, effects),
            Event::Retired { session, expires, outcomes } => {
                self.retired(session, expires, outcomes, now, effects);
            }
            Event::Undone { session, pace, outcomes } => self.undone(session, pace, outcomes, now, effects),
            Event::Traced { session, traces } => {
                if self.ledger.grants.get(&session).is_some_and(|entry| entry.traces != traces) {
                    self.record(Record::Traced { session, traces }, Vec::new(), effects);
                }
            }
            Event::ProcessesEnded { session, reaped } => {
                if let Some(Grant { phase: Phase::Ending(ending), .. }) = self.grants.get_mut(&session) {
                    ending.processes_ended = true;
                    reaped.tell_in(&mut ending.report);
                    self.report(session, now, effects);
                }
            }
            Event::JournalFailed { record, why } => self.journal_failed(record, &why, now, effects),
            Event::Tick => {}
            Event::HandOver => self.handover = Handover::Wanted,
            Event::StayOn => self.handover = Handover::No,
            Event::NotHandedOver { why } => self.fall_behind(&why, now, effects),
            Event::Stop => {
                self.stopping = true;
                self.end_where(|_| true, now, effects);
            }
        }
        if self.stopping && !self.exited && self.grants.values().all(Grant::has_ended) {
            self.exited = true;
            effects.push(Effect::Exit);
        }
    }

    fn hear(&mut self, message: FromProxy, now: Now, effects: &mut Vec<Effect>) {
        match message {
            FromProxy::Welcome(welcome) => {
                self.linked = true;
                // A proxy can not make a lease so short that nothing lives, or endless.
                self.lease = Lease(welcome.lease_millis.clamp(100, 600_000).saturating_mul(1000));
                effects.push(Effect::TrustUserCa(welcome.user_ca));
                for (session, ended) in std::mem::take(&mut self.untold) {
                    effects.push(Effect::Send(FromAgent::Ended { session, ended }));
                }
            }
            FromProxy::Grant(order) => self.order(order, now, effects),
            FromProxy::Plan { question, account, privileges } => {
                // The session has no id yet: what is named after it is told as such.
                let session = SessionId::new(0, 0);
                let order = GrantOrder { session, account, privileges, expires: None, gate: None };
                self.preview(question, &order, effects);
            }
            FromProxy::Attached { session } => {
                if let Some(entry) = self.ledger.grants.get(&session) {
                    effects.push(Effect::Trace { session, known: entry.traces.clone() });
                }
            }
            FromProxy::Extend { session, gate, until } => self.extend(session, &gate, until, now, effects),
            FromProxy::Revoke { session } => {
                if self.grants.contains_key(&session) {
                    self.end(session, now, effects);
                } else {
                    // Ended before, or never heard of: either way nothing of it is here.
                    let ended = self.untold.remove(&session).unwrap_or_default();
                    effects.push(Effect::Send(FromAgent::Ended { session, ended }));
                }
            }
            FromProxy::Lease { gate, live } => self.renew(gate.as_ref(), &live, now, effects),
            // The shell keeps certificates, spools and ends links, and its witness logins.
            FromProxy::Enrolled(_)
            | FromProxy::Dialled { .. }
            | FromProxy::Explain { .. }
            | FromProxy::Remarks { .. }
            | FromProxy::Noted { .. }
            | FromProxy::Reported { .. }
            | FromProxy::Goodbye { .. } => {}
        }
    }

    /// Makes a record part of the ledger and of the journal; `then` waits until it is durable.
    pub(super) fn record(&mut self, record: Record, then: Vec<Effect>, effects: &mut Vec<Effect>) {
        self.ledger.take(record.clone());
        effects.push(Effect::Journal { record, then });
    }

    /// A record could not be written.
    pub(super) fn fall_behind(&mut self, why: &str, now: Now, effects: &mut Vec<Effect>) {
        effects.push(Effect::Warn(format!("the journal could not be written: {why}")));
        self.behind = Some(now.boot.saturating_add(CATCH_UP));
    }

    /// Once a record could not be written: all that it was about, in one that says it all.
    /// Without it, a restart would take back what is gone, and somebody may have put there.
    pub(super) fn catch_up(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.running.is_idle() && self.behind.is_some_and(|at| at <= now.boot) {
            self.behind = None;
            let ledger = self.ledger.clone();
            self.record(Record::Snapshot { ledger }, Vec::new(), effects);
        }
    }

    pub(super) fn live(&self) -> Vec<SessionId> {
        self.grants.iter().filter(|(_, grant)| grant.lives()).map(|(session, _)| *session).collect()
    }

    /// Tells what stands when that has changed.
    pub(super) fn tell_standing(&mut self, effects: &mut Vec<Effect>) {
        let standing = self.standing();
        if self.linked && standing != self.told {
            self.told.clone_from(&standing);
            effects.push(Effect::Send(FromAgent::Standing { standing }));
        }
    }

    pub(super) fn standing(&self) -> Vec<Standing> {
        let tell = |retry: &Retry| Standing {
            session: self.ledger.held(&retry.unit).and_then(|held| held.left_by),
            account: retry.unit.account().clone(),
            kind: retry.unit.kind(),
            what: Note::new(retry.unit.to_string()),
            why: Note::new(&retry.failure.why),
        };
        let mut standing: Vec<Standing> = self.retries.iter().take(MOST_STANDING).map(tell).collect();
        // Retries change places; what they tell of has not changed by that.
        standing.sort_by(|one, other| {
            (one.session, one.what.as_str()).cmp(&(other.session, other.what.as_str()))
        });
        standing
    }
}

impl Grant {
    /// Whether its end was tried; something of it may still stand.
    pub(super) fn has_ended(&self) -> bool {
        matches!(&self.phase, Phase::Ending(ending) if ending.undone && ending.processes_ended)
    }

    /// From when on the sweep may find it too late.
    pub(super) fn overdue_at(&self) -> u64 {
        match &self.phase {
            Phase::Waiting | Phase::Active | Phase::Granting(_) => self.deadline,
            Phase::Ending(ending) => ending.rest_by.unwrap_or_else(|| ending.since.min(self.deadline)),
        }
    }

    /// Whether it lives by the word of this gate; one of a time when gates had no name lives by any.
    pub(super) fn is_of(&self, gate: Option<&GateName>) -> bool {
        self.order.gate.is_none() || self.order.gate.as_ref() == gate
    }

    /// Whether it still waits for its end.
    pub(super) fn lives(&self) -> bool {
        match &self.phase {
            Phase::Waiting | Phase::Active | Phase::Granting(Wish::Stay) => true,
            Phase::Granting(Wish::End(_)) | Phase::Ending(_) => false,
        }
    }
}

pub(super) fn micros_between(from: jiff::Timestamp, to: jiff::Timestamp) -> u64 {
    u64::try_from(to.as_microsecond().saturating_sub(from.as_microsecond())).unwrap_or(0)
}
