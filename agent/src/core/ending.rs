//! From the wish to end a grant to its last report.

use tidegate_common::grant::{Drift, Ended, Failure};
use tidegate_common::id::SessionId;
use tidegate_common::wire::FromAgent;

use super::ledger::Record;
use super::messages::{Effect, Gone, Now, Reaped};
use super::state::{Ending, Grant, Job, MOST_GRANTS, Phase, Retry, State, Wish};
use super::unit::Unit;

/// The first wait before a failed undo is tried again, and the longest, in microseconds.
const FIRST_WAIT: u64 = 500_000;
const LONGEST_WAIT: u64 = 60_000_000;

/// What an undo came to.
struct Report {
    standing: Vec<Unit>,
    drift: Vec<Drift>,
    reaped: Reaped,
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
        grant.phase = Phase::Ending(Ending {
            since,
            refusal,
            undone: false,
            processes_ended,
            powers,
            report: Ended::default(),
            standing: Vec::new(),
        });
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
        outcomes: Vec<Gone>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.busy = None;
        let mut gone = Vec::new();
        let mut standing = Vec::new();
        let mut drift = Vec::new();
        let mut reaped = Reaped::default();
        for Gone { unit, result, ended } in outcomes {
            reaped.add(ended);
            match result {
                Ok(found) => {
                    drift.extend(found.map(|found| Drift { kind: unit.kind(), found }));
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
        match session {
            Some(session) => {
                self.record(Record::Released { session, gone }, Vec::new(), effects);
                self.session_undone(session, Report { standing, drift, reaped }, now, effects);
            }
            None => {
                if !gone.is_empty() {
                    self.record(Record::Gone { gone }, Vec::new(), effects);
                }
                self.report_standing(&drift, now, effects);
            }
        }
    }

    fn session_undone(&mut self, session: SessionId, report: Report, now: Now, effects: &mut Vec<Effect>) {
        let Report { standing, drift, reaped } = report;
        let Some(Grant { phase: Phase::Ending(ending), .. }) = self.grants.get_mut(&session) else { return };
        ending.undone = true;
        ending.standing = standing;
        ending.report.drift = drift;
        reaped.tell_in(&mut ending.report);
        if !ending.processes_ended {
            let known =
                self.ledger.grants.get(&session).map(|entry| entry.traces.clone()).unwrap_or_default();
            let powers = ending.powers;
            effects.push(Effect::EndProcesses { session, known, powers });
        }
        self.report(session, now, effects);
    }

    fn retry_later(&mut self, unit: &Unit, failure: Failure, now: Now) {
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
