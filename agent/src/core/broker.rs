//! From an order to an active grant.

use tidegate_common::grant::{Failure, Receipt};
use tidegate_common::id::SessionId;
use tidegate_common::wire::{FromAgent, GrantOrder};

use super::carried::Handover;
use super::ledger::{Held, Record};
use super::messages::{Effect, NotApplied, Now};
use super::running::Job;
use super::state::{Grant, MOST_GRANTS, Phase, State, Wish};
use super::unit::{Delta, Unit, units};

/// Units of one order, at most.
const MOST_UNITS: usize = 64;

impl State {
    /// A new order waits for its turn, or is refused at once.
    pub(super) fn order(&mut self, order: GrantOrder, now: Now, effects: &mut Vec<Effect>) {
        let session = order.session;
        if self.grants.contains_key(&session) || self.ledger.grants.contains_key(&session) {
            effects
                .push(Effect::Warn(format!("the proxy ordered the grant {session} twice; the first stays")));
            return;
        }
        if self.handover == Handover::Wanted && !self.stopping {
            effects.push(Effect::Send(FromAgent::Later { session }));
            return;
        }
        if let Err(failure) = self.acceptable(&order, now) {
            effects.push(Effect::Send(FromAgent::Refused { session, failure }));
            return;
        }
        let deadline = now.boot.saturating_add(self.lease.0);
        let (phase, since, drift, dated) = (Phase::Waiting, now.boot, Vec::new(), order.expires);
        self.grants.insert(session, Grant { order, phase, deadline, since, drift, dated });
        self.waiting.push_back(Job::Grant(session));
    }

    fn acceptable(&self, order: &GrantOrder, now: Now) -> Result<(), Failure> {
        let wanted = units(order)?;
        let kind =
            order.privileges.first().map_or(tidegate_common::grant::PrivilegeKind::Sudo, |one| one.kind());
        let refuse = |why: &str| Err(Failure { kind, why: why.to_owned() });
        if self.stopping {
            return refuse("the agent is stopping; try again when it runs");
        }
        if self.grants.len() >= MOST_GRANTS {
            return refuse("the host has as many grants as the agent keeps; end some sessions");
        }
        if order.expires.is_some_and(|end| end <= now.wall) {
            return refuse("the grant was to end before it began; compare the clocks of host and proxy");
        }
        if wanted.len() > MOST_UNITS {
            return refuse("the order asks for more than 64 things; split the credential");
        }
        self.none_stands(&wanted)
    }

    /// What could not be taken away from a session before is not given to the next.
    pub(super) fn none_stands(&self, wanted: &[Unit]) -> Result<(), Failure> {
        // What a session's end takes back now is gone by the time that the grant's turn comes.
        let standing = |unit: &&Unit| {
            self.ledger.held(unit).is_some_and(|held| held.holders.is_empty()) && !self.is_about_to_go(unit)
        };
        let contradicts = |unit: &&Unit| self.ledger.held.iter().any(|held| held.unit.contradicts(unit));
        if let Some(unit) = wanted.iter().find(contradicts) {
            return Err(unit.failure(
                "another session has given the account another shell; name the same in both credentials, or wait",
            ));
        }
        match wanted.iter().find(standing) {
            Some(unit) => Err(unit.failure(
                "the same privilege still stands from a session before and could not be taken away; \
                 see the agent's log and mend the host",
            )),
            None => Ok(()),
        }
    }

    /// What privileges would change, for an approver. A look, no job.
    pub(super) fn preview(&self, question: u64, order: &GrantOrder, effects: &mut Vec<Effect>) {
        let wanted = units(order).and_then(|wanted| {
            let first = wanted.get(MOST_UNITS);
            first.map_or(Ok(wanted.clone()), |unit| {
                Err(unit.failure("the order asks for more than 64 things"))
            })
        });
        match wanted {
            Ok(units) => {
                let (held, fresh) = units.into_iter().partition(|unit| self.ledger.held(unit).is_some());
                effects.push(Effect::Preview { question, fresh, held });
            }
            Err(failure) => {
                let lines = vec![failure.to_string()];
                effects.push(Effect::Send(FromAgent::Planned { question, lines }));
            }
        }
    }

    /// Whether there was anything to start.
    pub(super) fn start_grant(&mut self, session: SessionId, now: Now, effects: &mut Vec<Effect>) -> bool {
        let Some(grant) = self.grants.get(&session) else { return false };
        let Phase::Waiting = grant.phase else { return false };
        // Checked when the order came, but something may stand since.
        let wanted = units(&grant.order).unwrap_or_default();
        if let Err(failure) = self.none_stands(&wanted) {
            self.begin_ending(session, Some(failure), now, effects);
            return false;
        }
        let Some(grant) = self.grants.get_mut(&session) else { return false };
        grant.phase = Phase::Granting(Wish::Stay);
        let units = wanted.into_iter().filter(|unit| self.ledger.held(unit).is_none()).collect();
        effects.push(Effect::Plan { session, units });
        true
    }

    /// The deltas are known: journal them, then apply.
    pub(super) fn planned(
        &mut self,
        session: SessionId,
        plan: Result<Vec<(Unit, Delta)>, Failure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(until) = self.running.extends(session) {
            return self.planned_extension(session, until, plan, effects);
        }
        let Some(grant) = self.grants.get(&session) else { return };
        let Phase::Granting(wish) = &grant.phase else { return };
        let ended = matches!(wish, Wish::End(_));
        let order = grant.order.clone();
        let fresh = match plan {
            Ok(fresh) if !ended => fresh,
            Ok(_) => {
                effects.push(Effect::LetGo);
                return self.stop_granting(session, None, now, effects);
            }
            Err(failure) => return self.stop_granting(session, Some(failure), now, effects),
        };
        let wanted = units(&order).unwrap_or_default();
        let joined: Vec<Unit> =
            wanted.into_iter().filter(|unit| !fresh.iter().any(|(planned, _)| planned == unit)).collect();
        let held = joined.iter().filter_map(|unit| self.ledger.held(unit).cloned()).collect();
        let apply = Effect::Apply { session, fresh: fresh.clone(), joined: held };
        let GrantOrder { account, expires, gate, .. } = order;
        let record = Record::Granting { session, account, expires, gate, fresh, joined };
        self.ledger.take(record.clone());
        // Before the host is changed: of an agent that hangs from then on, the sweep must know
        // that this grant is overdue.
        let mut then = Vec::new();
        self.keep_deadlines(&mut then);
        then.push(apply);
        effects.push(Effect::Journal { record, then });
    }

    /// Applied and verified, or not: then whatever is there is undone.
    pub(super) fn applied(
        &mut self,
        session: SessionId,
        result: Result<Vec<String>, NotApplied>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(grant) = self.grants.get_mut(&session) else { return };
        let Phase::Granting(wish) = &grant.phase else { return };
        match (result, wish) {
            (Ok(applied), Wish::Stay) => {
                grant.phase = Phase::Active;
                self.running.granted(session);
                let receipt = Receipt { applied, micros: now.boot.saturating_sub(grant.since) };
                let told = vec![Effect::Send(FromAgent::Granted { session, receipt })];
                self.record(Record::Granted { session }, told, effects);
                self.keep_deadlines(effects);
            }
            (Ok(_), Wish::End(_)) => self.stop_granting(session, None, now, effects),
            (Err(NotApplied { failure, untouched }), _) => {
                if untouched {
                    let own = |held: &&Held| !held.applied && held.holders.iter().eq([&session]);
                    let gone = self.ledger.held.iter().filter(own).map(|held| held.unit.clone()).collect();
                    self.record(Record::Gone { gone }, Vec::new(), effects);
                }
                self.stop_granting(session, Some(failure), now, effects);
            }
        }
    }

    /// A grant that does not come to be: its job ends, and the undo runs before any other.
    fn stop_granting(
        &mut self,
        session: SessionId,
        refusal: Option<Failure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.running.granted(session);
        self.begin_ending(session, refusal, now, effects);
    }

    /// The journal could not take a record.
    pub(super) fn journal_failed(&mut self, record: Record, why: &str, now: Now, effects: &mut Vec<Effect>) {
        self.fall_behind(why, now, effects);
        let failure = |kind| Failure {
            kind,
            why: format!("the agent's journal could not be written, so nothing was granted: {why}"),
        };
        match record {
            // Nothing was changed: the units of this record never were.
            Record::Granting { session, fresh, .. } => {
                effects.push(Effect::LetGo);
                let gone: Vec<Unit> = fresh.iter().map(|(unit, _)| unit.clone()).collect();
                let kind = self.kind_of(session);
                self.ledger.take(Record::Released { session, gone });
                self.ledger.take(Record::Ended { session });
                self.stop_granting(session, Some(failure(kind)), now, effects);
                self.keep_deadlines(effects);
            }
            // Applied, but a restart would not know that it was verified: taken back.
            Record::Granted { session } => {
                let kind = self.kind_of(session);
                if self.grants.get(&session).is_some_and(Grant::lives) {
                    self.begin_ending(session, Some(failure(kind)), now, effects);
                }
            }
            Record::Extending { session, until, .. } => {
                self.extension_lost(session, until, true, why, effects);
            }
            // Applied, but a restart would not know.
            Record::Extended { session, until } => {
                self.extension_lost(session, until, false, why, effects);
            }
            // Until the journal has caught up, a restart would undo once more what is gone.
            Record::NotExtended { .. }
            | Record::Traced { .. }
            | Record::Released { .. }
            | Record::Ended { .. }
            | Record::Gone { .. }
            | Record::Snapshot { .. } => {}
        }
    }

    fn kind_of(&self, session: SessionId) -> tidegate_common::grant::PrivilegeKind {
        let first = self.grants.get(&session).and_then(|grant| grant.order.privileges.first());
        first.map_or(tidegate_common::grant::PrivilegeKind::Sudo, |privilege| privilege.kind())
    }
}
