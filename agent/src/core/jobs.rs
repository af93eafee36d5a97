//! What changes the host next: at most one quick job and one slow job at a time.
//!
//! Quick is only what takes back a few lines of files. A grant is slow whatever it gives:
//! it asks sudo, which may wait for a name server.
//!
//! What one session takes back is never what another takes back, so undos go side by side
//! whoever they are of. A grant may join what another session holds, so it goes beside no
//! undo of the same account, and before none that is due: what it would join might be gone
//! with a boot, and only the undo knows. The same goes for a later end of what is granted.

use std::collections::BTreeSet;

use tidegate_common::id::SessionId;
use tidegate_common::name::AccountName;

use super::ledger::Held;
use super::messages::{Effect, Now};
use super::running::Job;
use super::state::{Grant, Phase, State};
use super::unit::{Pace, Unit, units};

/// How long what gives something may take before those that wait for it are late, in microseconds: a
/// little more than the watchdog gives to each step of it.
const LONGEST_GIFT: u64 = 45_000_000;

impl State {
    /// The accounts that it changes.
    fn accounts(&self, job: &Job) -> BTreeSet<AccountName> {
        let of = |units: &[Unit]| units.iter().map(|unit| unit.account().clone()).collect();
        match job {
            Job::Grant(session) => {
                let wanted = self.grants.get(session).and_then(|grant| units(&grant.order).ok());
                of(&wanted.unwrap_or_default())
            }
            Job::Extend(session, _) | Job::End(session) | Job::Rest(session) => {
                let held = self.ledger.held.iter().filter(|held| held.holders.contains(session));
                held.map(|held| held.unit.account().clone()).collect()
            }
            Job::Retry(_, units) => of(units),
        }
    }

    /// Whether it can go beside what is under way.
    fn may_start(&self, job: &Job) -> bool {
        let pace = job.pace();
        if self.running.at(pace).is_some() {
            return false;
        }
        let (slow, quick) = match pace {
            Pace::Slow => (Some(job), self.running.at(Pace::Quick)),
            Pace::Quick => (self.running.at(Pace::Slow), Some(job)),
        };
        match (slow, quick) {
            (Some(slow), Some(quick)) if slow.gives() => {
                self.accounts(slow).is_disjoint(&self.accounts(quick))
            }
            _ => true,
        }
    }

    /// Whether an undo of its account waits, and it is none.
    fn comes_after_an_undo(&self, job: &Job) -> bool {
        let undo = |other: &&Job| !other.gives();
        if !job.gives() {
            return false;
        }
        let accounts = self.accounts(job);
        self.waiting.iter().filter(undo).any(|other| !accounts.is_disjoint(&self.accounts(other)))
    }

    /// Starts what can be started.
    pub(super) fn next_jobs(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let may = |state: &Self, job: &Job| state.may_start(job) && !state.comes_after_an_undo(job);
        while let Some(next) = self.waiting.iter().position(|job| may(self, job)) {
            let Some(job) = self.waiting.remove(next) else { return };
            self.begin(job, now, effects);
        }
        for pace in [Pace::Quick, Pace::Slow] {
            let due = self.retries.iter().filter(|retry| retry.unit.pace() == pace && retry.at <= now.boot);
            let due: Vec<Unit> = due.map(|retry| retry.unit.clone()).collect();
            let others_wait = self.waiting.iter().any(|job| job.pace() == pace);
            let job = Job::Retry(pace, due.clone());
            if !due.is_empty() && !others_wait && self.may_start(&job) {
                self.begin(job, now, effects);
            }
        }
    }

    fn begin(&mut self, job: Job, now: Now, effects: &mut Vec<Effect>) {
        let pace = job.pace();
        if job.gives() {
            self.gives_by = now.boot.saturating_add(LONGEST_GIFT);
        }
        if pace == Pace::Quick {
            self.quick_since = now.boot;
            let ends = self.waiting.iter().any(|job| matches!(job, Job::End(_)));
            if ends {
                self.keep_deadlines(effects);
            }
        }
        if self.start(&job, pace, now, effects) {
            self.running.put(pace, Some(job));
        }
    }

    /// Whether there was anything to start.
    fn start(&mut self, job: &Job, pace: Pace, now: Now, effects: &mut Vec<Effect>) -> bool {
        match job {
            Job::Grant(session) => self.start_grant(*session, now, effects),
            Job::Extend(session, until) => self.start_extension(*session, *until, effects),
            Job::End(session) => {
                let mut held = self.ledger.last_held_by(*session);
                held.extend(self.left_and_waiting(*session));
                let (units, rest): (Vec<_>, Vec<_>) =
                    held.into_iter().partition(|held| held.unit.pace() == Pace::Quick);
                if let Some(Grant { phase: Phase::Ending(ending), .. }) = self.grants.get_mut(session) {
                    ending.rest = rest.into_iter().map(|held| held.unit).collect();
                }
                effects.push(Effect::Undo { session: Some(*session), pace, units });
                true
            }
            Job::Rest(session) => {
                let rest = match self.grants.get(session).map(|grant| &grant.phase) {
                    Some(Phase::Ending(ending)) => ending.rest.clone(),
                    _ => Vec::new(),
                };
                let mut units = self.ledger.orphans();
                units.retain(|held| rest.contains(&held.unit));
                effects.push(Effect::Undo { session: Some(*session), pace, units });
                true
            }
            Job::Retry(pace, due) => {
                let mut units = self.ledger.orphans();
                units.retain(|held| due.contains(&held.unit));
                self.retries.retain(|retry| {
                    !due.contains(&retry.unit) || units.iter().any(|held| held.unit == retry.unit)
                });
                effects.push(Effect::Undo { session: None, pace: *pace, units });
                true
            }
        }
    }

    /// What the session has left already and nobody has begun to take away: its end does, because it tells
    /// whether all of it is gone.
    fn left_and_waiting(&mut self, session: SessionId) -> Vec<Held> {
        let mut left = self.ledger.orphans();
        left.retain(|held| held.left_by == Some(session));
        left.retain(|held| {
            let waits = |job: &Job| matches!(job, Job::Retry(_, units) if units.contains(&held.unit));
            self.waiting.iter().any(waits)
        });
        for job in &mut self.waiting {
            if let Job::Retry(_, units) = job {
                units.retain(|unit| !left.iter().any(|held| held.unit == *unit));
            }
        }
        self.waiting.retain(|job| !matches!(job, Job::Retry(_, units) if units.is_empty()));
        left
    }

    /// Whether a session's end waits until something was given to its account.
    pub(super) fn waits_for_what_gives(&self, session: SessionId) -> bool {
        let end = Job::End(session);
        let gives = self.running.at(Pace::Slow).filter(|job| job.gives());
        gives.is_some_and(|job| {
            self.waiting.contains(&end) && !self.accounts(job).is_disjoint(&self.accounts(&end))
        })
    }

    /// Whether a session's end has still to take it back.
    pub(super) fn is_about_to_go(&self, unit: &Unit) -> bool {
        self.grants.values().any(
            |grant| matches!(&grant.phase, Phase::Ending(ending) if !ending.undone && ending.rest.contains(unit)),
        )
    }
}
