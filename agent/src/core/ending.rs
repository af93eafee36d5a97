//! From the wish to end a grant to its last report.

use tidegate_common::grant::{Drift, Ended, Failure};
use tidegate_common::id::SessionId;
use tidegate_common::wire::FromAgent;

use super::carried::Retry;
use super::ledger::Record;
use super::messages::{Effect, Gone, Now, Reaped};
use super::running::Job;
use super::state::{Ending, Grant, MOST_GRANTS, Phase, State, Wish};
use super::unit::{Pace, Unit};

/// The first wait before a failed undo is tried again, and the longest, in microseconds.
const FIRST_WAIT: u64 = 500_000;
const LONGEST_WAIT: u64 = 60_000_000;

/// How long the slow part of an end may take, with those that it waits for, in microseconds. The
/// watchdog knows of one that hangs long before.
const LONGEST_REST: u64 = 120_000_000;

/// What an undo came to.
struct Report {
    standing: Vec<Unit>,
    drift: Vec<Drift>,
    reaped: Reaped,
}

impl Report {
    fn tell_in(self, ending: &mut Ending) {
        let Self { standing, drift, reaped } = self;
        ending.standing.extend(standing);
        ending.report.drift.extend(drift);
        reaped.tell_in(&mut ending.report);
    }
}

impl State {
    /// Ends a grant as soon as nothing of it is being applied.
    pub(super) fn end(&mut self, session: SessionId, now: Now, effects: &mut Vec<Effect>) {
        let Some(grant) = self.grants.get_mut(&session) else { return };
        match &mut grant.phase {
            Phase::Waiting => {
                self.waiting.retain(|job| *job != Job::Grant(session));
                self.begin_ending(session, None, now, effects);
            }
            Phase::Granting(wish @ Wish::Stay) => *wish = Wish::End(now.boot),
            Phase::Active => self.begin_ending(session, None, now, effects),
            Phase::Granting(Wish::End(_)) | Phase::Ending(_) => {}
        }
    }

    /// Ends every grant that lives and for which `which` holds.
    pub(super) fn end_where(&mut self, which: impl Fn(&Grant) -> bool, now: Now, effects: &mut Vec<Effect>) {
        let ending: Vec<SessionId> = self
            .grants
            .iter()
            .filter(|(_, grant)| grant.lives() && which(grant))
            .map(|(session, _)| *session)
            .collect();
        for session in ending {
            self.end(session, now, effects);
        }
    }

    /// Queues the undo before everything else. Processes follow the privileges.
    pub(super) fn begin_ending(
        &mut self,
        session: SessionId,
        refusal: Option<Failure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(grant) = self.grants.get_mut(&session) else { return };
        let (since, processes_ended) = match &grant.phase {
            Phase::Active => (now.boot, false),
            Phase::Granting(Wish::End(since)) => (*since, true),
            // Nobody has logged in with a grant that was never told.
            Phase::Waiting | Phase::Granting(Wish::Stay) | Phase::Ending(_) => (now.boot, true),
        };
        let held = self.ledger.held.iter().any(|held| held.holders.contains(&session));
        let powers = held || grant.order.account.as_str() == "root";
        let report = Ended { drift: std::mem::take(&mut grant.drift), ..Ended::default() };
        self.waiting.retain(|job| !matches!(job, Job::Extend(of, _) if *of == session));
        grant.phase = Phase::Ending(Box::new(Ending {
            since,
            refusal,
            undone: false,
            processes_ended,
            powers,
            report,
            standing: Vec::new(),
            rest: Vec::new(),
            rest_by: None,
        }));
        if self.ledger.grants.contains_key(&session) {
            self.waiting.push_front(Job::End(session));
            self.keep_deadlines(effects);
        } else {
            if let Some(Grant { phase: Phase::Ending(ending), .. }) = self.grants.get_mut(&session) {
                ending.undone = true;
            }
            self.report(session, now, effects);
        }
    }

    /// The undo of a session's units, or of units without one, has been tried.
    pub(super) fn undone(
        &mut self,
        session: Option<SessionId>,
        pace: Pace,
        outcomes: Vec<Gone>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.running.done(pace);
        let mut gone = Vec::new();
        let mut standing = Vec::new();
        let mut drift = Vec::new();
        let mut reaped = Reaped::default();
        for Gone { unit, result, ended } in outcomes {
            reaped.add(ended);
            match result {
                Ok(found) => {
                    match (found, self.left_by_known(session, &unit)) {
                        (Some(found), Some(of)) => self.found(of, unit.kind(), found, effects),
                        (found, _) => drift.extend(found.map(|found| Drift { kind: unit.kind(), found })),
                    }
                    self.retries.retain(|retry| retry.unit != unit);
                    gone.push(unit);
                }
                Err(failure) => {
                    effects.push(Effect::Warn(format!("still standing, will be tried again: {failure}")));
                    self.retry_later(&unit, failure, now);
                    standing.push(unit);
                }
            }
        }
        let report = Report { standing, drift, reaped };
        match (session, pace) {
            (Some(session), Pace::Quick) => {
                self.record(Record::Released { session, gone }, Vec::new(), effects);
                self.privileges_gone(session, report, now, effects);
            }
            (Some(session), Pace::Slow) => {
                if !gone.is_empty() {
                    self.record(Record::Gone { gone }, Vec::new(), effects);
                }
                self.rest_gone(session, report, now, effects);
            }
            (None, _) => {
                if !gone.is_empty() {
                    self.record(Record::Gone { gone }, Vec::new(), effects);
                }
                self.report_standing(&report.drift, now, effects);
            }
        }
    }

    /// The grant that left a unit which goes without a session's end: it may go on, or have ended.
    fn left_by_known(&self, session: Option<SessionId>, unit: &Unit) -> Option<SessionId> {
        let left_by = self.ledger.held(unit).filter(|_| session.is_none())?.left_by;
        left_by.filter(|of| self.grants.contains_key(of))
    }

    /// What is quick is gone: its processes follow, and beside them what is slow.
    fn privileges_gone(&mut self, session: SessionId, report: Report, now: Now, effects: &mut Vec<Effect>) {
        let Some(Grant { phase: Phase::Ending(ending), .. }) = self.grants.get_mut(&session) else { return };
        report.tell_in(ending);
        ending.undone = ending.rest.is_empty();
        if !ending.undone {
            ending.rest_by = Some(now.boot.saturating_add(LONGEST_REST));
        }
        if !ending.processes_ended {
            let known =
                self.ledger.grants.get(&session).map(|entry| entry.traces.clone()).unwrap_or_default();
            let powers = ending.powers;
            effects.push(Effect::EndProcesses { session, known, powers });
        }
        if ending.undone {
            self.report(session, now, effects);
        } else {
            self.waiting.push_front(Job::Rest(session));
            self.keep_deadlines(effects);
        }
    }

    /// What is slow is gone as well, or stands.
    fn rest_gone(&mut self, session: SessionId, report: Report, now: Now, effects: &mut Vec<Effect>) {
        let Some(Grant { phase: Phase::Ending(ending), .. }) = self.grants.get_mut(&session) else { return };
        report.tell_in(ending);
        ending.undone = true;
        ending.rest_by = None;
        self.report(session, now, effects);
    }

    pub(super) fn retry_later(&mut self, unit: &Unit, failure: Failure, now: Now) {
        let before = self.retries.iter().find(|retry| retry.unit == *unit).map(|retry| retry.wait);
        let wait = before.map_or(FIRST_WAIT, |wait| wait.saturating_mul(2).clamp(FIRST_WAIT, LONGEST_WAIT));
        self.retries.retain(|retry| retry.unit != *unit);
        self.retries.push(Retry { unit: unit.clone(), failure, at: now.boot.saturating_add(wait), wait });
    }

    /// Tells again how the ended grants stand that left something standing.
    fn report_standing(&mut self, drift: &[Drift], now: Now, effects: &mut Vec<Effect>) {
        let sessions: Vec<SessionId> = self.grants.keys().copied().collect();
        for session in sessions {
            if let Some(Grant { phase: Phase::Ending(ending), .. }) = self.grants.get_mut(&session)
                && ending.undone
                && !ending.standing.is_empty()
            {
                ending.standing.retain(|unit| self.retries.iter().any(|retry| retry.unit == *unit));
                ending.report.drift.extend(drift.iter().cloned());
                self.report(session, now, effects);
            }
        }
    }

    /// Once the undo was tried and the processes are ended, tells the proxy; the
    /// grant is forgotten when nothing of it stands.
    pub(super) fn report(&mut self, session: SessionId, now: Now, effects: &mut Vec<Effect>) {
        let Some(Grant { phase: Phase::Ending(ending), .. }) = self.grants.get_mut(&session) else { return };
        if !(ending.undone && ending.processes_ended) {
            return;
        }
        // Left before this end: what a later one took the place of, or what had one that did not come to be.
        for retry in &self.retries {
            let left_by = self.ledger.held(&retry.unit).and_then(|held| held.left_by);
            if left_by == Some(session) && !ending.standing.contains(&retry.unit) {
                ending.standing.push(retry.unit.clone());
            }
        }
        let failures = self.retries.iter().filter(|retry| ending.standing.contains(&retry.unit));
        ending.report.standing = failures.map(|retry| retry.failure.clone()).collect();
        ending.report.micros = now.boot.saturating_sub(ending.since);
        let ended = ending.report.clone();
        let clean = ended.standing.is_empty();
        let refusal = ending.refusal.clone().filter(|_| clean);
        if self.ledger.grants.contains_key(&session) {
            self.record(Record::Ended { session }, Vec::new(), effects);
            self.keep_deadlines(effects);
        }
        if clean {
            self.grants.remove(&session);
        }
        match refusal {
            Some(failure) => effects.push(Effect::Send(FromAgent::Refused { session, failure })),
            None if self.linked => effects.push(Effect::Send(FromAgent::Ended { session, ended })),
            None if self.untold.len() < MOST_GRANTS => {
                self.untold.insert(session, ended);
            }
            None => {
                effects.push(Effect::Warn(format!("the end of {session} will not be told: too many are")))
            }
        }
    }
}
