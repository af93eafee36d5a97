//! A later end of what is granted.
//!
//! What says on the host when it ends, a sudo rule, is put there once more with the later end,
//! beside the first, verified, and only then is the first taken away; so the account has it
//! all the while, and whichever step fails or is the last before a crash, each of the two is in
//! the journal with its own delta. A unit of the later end may be another session's already: then
//! it is joined, as by a grant. An account that was created expires later where it stands, and only once
//! the journal has the later end: before, it is looked at whether it can. What says of no end
//! (memberships, accounts that were enabled, an administrator's programs) stays as it is.
//!
//! It is one slow job, so no grant goes beside it, and no end of the same account: an end waits
//! for it, and takes back all of it.

use std::cmp::Ordering;

use tidegate_common::audit::Note;
use tidegate_common::grant::{Drift, Failure, PrivilegeKind};
use tidegate_common::id::SessionId;
use tidegate_common::name::GateName;
use tidegate_common::wire::FromAgent;

use super::ledger::{Held, Record};
use super::messages::{Effect, Gone, NotApplied, Now};
use super::running::Job;
use super::state::{Phase, State};
use super::unit::{Delta, Pace, Unit};

fn kept(session: SessionId, until: jiff::Timestamp, why: &str) -> Effect {
    Effect::Send(FromAgent::NotExtended { session, until, why: Note::new(why) })
}

impl State {
    /// A grant shall end later. It never ends earlier by this, and what ends goes on ending. What is ordered
    /// while another end is being given comes after it; of those that wait, the last one counts.
    pub(super) fn extend(
        &mut self,
        session: SessionId,
        gate: &GateName,
        until: jiff::Timestamp,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(why) = self.may_extend(session, gate, now) {
            return effects.push(kept(session, until, why));
        }
        match self.waits_to_extend(session) {
            Some(waits) if waits == until => return,
            Some(waits) => {
                self.waiting.retain(|job| *job != Job::Extend(session, waits));
                effects.push(kept(session, waits, "another end was ordered since"));
            }
            None => {}
        }
        match self.running.extends(session) {
            Some(given) if given == until => {}
            // What it comes to is known once that is given, or is not.
            Some(_) => self.waiting.push_back(Job::Extend(session, until)),
            None => match self.answer_to(session, until) {
                Some(answer) => effects.push(answer),
                None => self.waiting.push_back(Job::Extend(session, until)),
            },
        }
    }

    /// Whether the gate may have the grant end later.
    fn may_extend(&self, session: SessionId, gate: &GateName, now: Now) -> Result<(), &'static str> {
        // What another gate granted is none of this one's business.
        let grant = self.grants.get(&session).filter(|grant| grant.is_of(Some(gate)));
        let grant = grant.ok_or("there is no such grant on this host")?;
        match &grant.phase {
            Phase::Waiting | Phase::Granting(_) => return Err("the grant is not applied yet"),
            Phase::Ending(_) => return Err("the grant ends already"),
            Phase::Active => {}
        }
        let end = grant.order.expires.ok_or("the grant has no end that could be later")?;
        if end <= now.wall { Err("the grant ends already") } else { Ok(()) }
    }

    /// The end that a grant waits to be given.
    fn waits_to_extend(&self, session: SessionId) -> Option<jiff::Timestamp> {
        self.waiting.iter().find_map(|job| match job {
            Job::Extend(of, until) if *of == session => Some(*until),
            _ => None,
        })
    }

    /// The answer to an order for which nothing has to be done. Where the end is the grant's already, the
    /// account may not expire then yet: that failed, or the agent died in between.
    fn answer_to(&self, session: SessionId, until: jiff::Timestamp) -> Option<Effect> {
        match until.cmp(&self.end_of(session)?) {
            Ordering::Less => Some(kept(session, until, "the grant ends later than that")),
            Ordering::Equal if self.created(session).is_empty() => {
                Some(Effect::Send(FromAgent::Extended { session, until }))
            }
            Ordering::Equal | Ordering::Greater => None,
        }
    }

    /// The account that was created for the session.
    fn created(&self, session: SessionId) -> Vec<Held> {
        let held = self.ledger.held.iter().filter(|held| held.holders.contains(&session));
        held.filter(|held| matches!(held.unit, Unit::Created { .. })).cloned().collect()
    }

    /// The end that the session's account expires with at the least, unless somebody has brought that
    /// forward or it was never moved: the one that it was given last, and the journal's where that was
    /// before this agent began.
    fn dated(&self, session: SessionId) -> Option<jiff::Timestamp> {
        let grant = self.grants.get(&session)?;
        grant.dated.or(grant.order.expires)
    }

    /// When a grant ends by itself.
    fn end_of(&self, session: SessionId) -> Option<jiff::Timestamp> {
        self.grants.get(&session).and_then(|grant| grant.order.expires)
    }

    fn is_active(&self, session: SessionId) -> bool {
        self.grants.get(&session).is_some_and(|grant| matches!(grant.phase, Phase::Active))
    }

    /// What the session has that says when it ends, with the later end.
    fn with_end(&self, session: SessionId, until: jiff::Timestamp) -> Vec<Unit> {
        let held = self.ledger.held.iter().filter(|held| held.holders.contains(&session));
        held.filter_map(|held| held.unit.until(until)).collect()
    }

    /// Whether there was anything to start.
    pub(super) fn start_extension(
        &mut self,
        session: SessionId,
        until: jiff::Timestamp,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if !self.is_active(session) {
            return false;
        }
        // Another may have been given since it was ordered.
        if let Some(answer) = self.answer_to(session, until) {
            effects.push(answer);
            return false;
        }
        if self.end_of(session) == Some(until) {
            let (from, accounts) = (self.dated(session).unwrap_or(until), self.created(session));
            effects.push(Effect::Retire { session, from, until, accounts, units: Vec::new() });
            return true;
        }
        let wanted = self.with_end(session, until);
        if let Err(failure) = self.none_stands(&wanted) {
            effects.push(kept(session, until, &failure.to_string()));
            return false;
        }
        let units = wanted.into_iter().filter(|unit| self.ledger.held(unit).is_none()).collect();
        effects.push(Effect::Plan { session, units });
        true
    }

    /// The deltas are known: journal them with the later end, then apply.
    pub(super) fn planned_extension(
        &mut self,
        session: SessionId,
        until: jiff::Timestamp,
        plan: Result<Vec<(Unit, Delta)>, Failure>,
        effects: &mut Vec<Effect>,
    ) {
        let fresh = match plan {
            Ok(fresh) if self.is_active(session) => fresh,
            Ok(_) => {
                effects.push(Effect::LetGo);
                self.running.extended(session);
                return;
            }
            Err(failure) => {
                self.running.extended(session);
                return self.tell_kept(session, until, &failure.to_string(), effects);
            }
        };
        let from = self.dated(session).unwrap_or(until);
        let mut joined = self.with_end(session, until);
        joined.retain(|unit| !fresh.iter().any(|(planned, _)| planned == unit));
        let held = joined.iter().filter_map(|unit| self.ledger.held(unit).cloned()).collect();
        let accounts = self.created(session);
        let extend = Effect::Extend { session, from, until, fresh: fresh.clone(), joined: held, accounts };
        self.record(Record::Extending { session, until, fresh, joined }, vec![extend], effects);
    }

    /// What has the later end is there and verified, or not.
    pub(super) fn extended(
        &mut self,
        session: SessionId,
        result: Result<(), NotApplied>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(until) = self.running.extends(session) else { return };
        match result {
            // Its end, which waits for this, takes back all of it.
            _ if !self.is_active(session) => {
                self.running.extended(session);
            }
            Ok(()) => {
                let mut units = self.ledger.last_held_by(session);
                units.retain(|held| held.unit.ends_before(until));
                let (from, accounts) = (self.dated(session).unwrap_or(until), self.created(session));
                // Not in the ledger before it is known to be in the journal, which is when what had
                // the first end was taken away; until then the first end holds.
                let record = Record::Extended { session, until };
                let retire = Effect::Retire { session, from, until, accounts, units };
                effects.push(Effect::Journal { record, then: vec![retire] });
            }
            Err(NotApplied { failure, untouched }) => {
                self.keep_end(session, until, untouched, &failure.to_string(), effects);
            }
        }
    }

    /// The later end is in the journal, and what had the first was taken away, or still stands. Whether
    /// an account `expires` later is told last: where it does not, the gate goes by the first end.
    pub(super) fn retired(
        &mut self,
        session: SessionId,
        expires: Result<(), Failure>,
        outcomes: Vec<Gone>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(until) = self.running.extended(session) else { return };
        self.ledger.take(Record::Extended { session, until });
        // Unless all of it has ended, and what is there is another order of the same name.
        if self.ledger.grants.contains_key(&session)
            && let Some(grant) = self.grants.get_mut(&session)
        {
            grant.order.expires = Some(until);
            grant.dated = if expires.is_ok() { Some(until) } else { grant.dated };
        }
        let mut gone = Vec::new();
        for Gone { unit, result, .. } in outcomes {
            match result {
                Ok(found) => {
                    if let Some(found) = found {
                        self.found(session, unit.kind(), found, effects);
                    }
                    gone.push(unit);
                }
                Err(failure) => {
                    effects.push(Effect::Warn(format!("still standing, will be tried again: {failure}")));
                    self.retry_later(&unit, failure, now);
                }
            }
        }
        if !gone.is_empty() {
            self.record(Record::Gone { gone }, Vec::new(), effects);
        }
        match expires {
            Ok(()) if self.is_active(session) => {
                effects.push(Effect::Send(FromAgent::Extended { session, until }));
            }
            Ok(()) => {}
            Err(failure) => self.tell_kept(session, until, &failure.to_string(), effects),
        }
    }

    /// A record of an extension could not be written. `untouched`: nothing was changed yet.
    pub(super) fn extension_lost(
        &mut self,
        session: SessionId,
        until: jiff::Timestamp,
        untouched: bool,
        why: &str,
        effects: &mut Vec<Effect>,
    ) {
        if untouched {
            effects.push(Effect::LetGo);
        }
        let why = format!("the agent's journal could not be written: {why}");
        self.keep_end(session, until, untouched, &why, effects);
    }

    /// The first end stands: what was to have the later one goes.
    fn keep_end(
        &mut self,
        session: SessionId,
        until: jiff::Timestamp,
        untouched: bool,
        why: &str,
        effects: &mut Vec<Effect>,
    ) {
        self.running.extended(session);
        let alone = self.ledger.last_held_by(session);
        let alone: Vec<Unit> =
            alone.into_iter().filter(|held| held.unit.ends_at(until)).map(|held| held.unit).collect();
        let (gone, left) = if untouched { (alone, Vec::new()) } else { (Vec::new(), alone) };
        self.record(Record::NotExtended { session, until, gone }, Vec::new(), effects);
        if !left.is_empty() {
            self.waiting.push_front(Job::Retry(Pace::Quick, left));
        }
        self.tell_kept(session, until, why, effects);
    }

    /// Something that the grant had touched was not as it had left it: told at its end, and in the log at
    /// once, because this agent may not be the one that ends it.
    pub(super) fn found(
        &mut self,
        session: SessionId,
        kind: PrivilegeKind,
        found: String,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Warn(format!("of {session} something was found changed: {found}")));
        let Some(grant) = self.grants.get_mut(&session) else { return };
        let drift = match &mut grant.phase {
            Phase::Ending(ending) => &mut ending.report.drift,
            Phase::Waiting | Phase::Granting(_) | Phase::Active => &mut grant.drift,
        };
        drift.push(Drift { kind, found });
    }

    fn tell_kept(&self, session: SessionId, until: jiff::Timestamp, why: &str, effects: &mut Vec<Effect>) {
        if self.is_active(session) {
            effects.push(kept(session, until, why));
        }
    }

    /// After a start: an extension that was half done leaves the first end.
    pub(super) fn keep_first_ends(&mut self, effects: &mut Vec<Effect>) {
        for (session, until) in self.ledger.half_extended() {
            self.record(Record::NotExtended { session, until, gone: Vec::new() }, Vec::new(), effects);
        }
    }
}
