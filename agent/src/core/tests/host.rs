//! The host: what is asked of it, what goes wrong there, and who else changes it.

use tidegate_common::grant::Failure;
use tidegate_common::id::SessionId;
use tidegate_common::wire::GrantOrder;

use super::super::running::Job;
use super::super::*;
use super::name;
use super::world::World;

impl World {
    /// Whether the next thing that is asked of host or disk goes wrong.
    pub(super) fn fails(&mut self) -> bool {
        let fails = self.failures & 1 == 1;
        self.failures >>= 1;
        fails
    }

    /// Another authority puts something on the host or takes it away, as it can at any moment
    /// but from a plan to its apply.
    pub(super) fn someone(&mut self, what: &str, there: bool) {
        if self.locked {
            return;
        }
        // While the disk is full a record may be missing that the undo was done.
        let disk = self.disk();
        let held = self.state.ledger.held.iter().chain(&disk.held);
        let ours = held.filter(|held| !held.delta.is_nothing()).any(|held| name(&held.unit) == what);
        if !there {
            self.theirs.remove(what);
            if self.host.remove(what) {
                self.taken.insert(what.to_owned());
            }
        } else if !ours {
            // What we hold and somebody adds again is nobody's to tell apart.
            self.host.insert(what.to_owned());
            self.theirs.insert(what.to_owned());
        }
    }

    pub(super) fn is_there(&self, unit: &Unit) -> bool {
        self.host.contains(&name(unit)) || self.taken.contains(&name(unit))
    }

    pub(super) fn plan(&self, session: SessionId, unit: Unit) -> (Unit, Delta) {
        let absent = !self.host.contains(&name(&unit));
        let delta = match &unit {
            Unit::Sudo { .. } => Delta::Sudo { file: format!("{session}-0"), blake3: String::new() },
            Unit::Custom { .. } => Delta::Custom { session, run: absent, revoke: String::new() },
            _ => Delta::Group { group: absent, gshadow: absent },
        };
        (unit, delta)
    }

    pub(super) fn apply(
        &mut self,
        order: &GrantOrder,
        fresh: &[(Unit, Delta)],
        joined: &[Held],
    ) -> Result<(), NotApplied> {
        if let Some((unit, _)) = fresh.first().filter(|_| self.fails()) {
            return Err(NotApplied { failure: unit.failure("no room on the disk"), untouched: true });
        }
        let (disk, wanted) = (self.disk(), unit::units(order).unwrap());
        for (unit, delta) in fresh {
            // Invariants 4 and 7: durable before the first change, and what was ordered only.
            assert_eq!(disk.held(unit).map(|held| &held.delta), Some(delta), "{unit:?} has no record");
            assert!(wanted.contains(unit), "{unit:?} was not ordered");
            assert_eq!(
                self.plan(order.session, unit.clone()).1,
                *delta,
                "{unit:?} was changed since it was planned"
            );
            if self.fails() {
                return Err(unit.failure("does not work").into());
            }
            if let Unit::Created { session, expires: Some(end), .. } = unit {
                self.days.insert(*session, *end);
            }
            self.host.insert(name(unit));
            self.taken.remove(&name(unit));
        }
        for held in joined {
            assert!(self.is_there(&held.unit), "{held:?} is joined and not there");
        }
        Ok(())
    }

    /// Whether accounts that were created still expire with the end of before or as they were made, and not
    /// earlier, which is somebody else's doing.
    pub(super) fn may_expire_later(
        &self,
        session: SessionId,
        from: jiff::Timestamp,
        accounts: &[Held],
    ) -> Result<(), Failure> {
        let is_early = |held: &&Held| {
            let day = self.days[&session];
            let as_made = matches!(held.unit, Unit::Created { expires, .. } if expires == Some(day));
            day < from && !as_made
        };
        match accounts.iter().find(is_early) {
            Some(held) => Err(held.unit.failure("somebody else has it expire before its session ends")),
            None => Ok(()),
        }
    }

    /// Accounts that were created expire later.
    pub(super) fn expire_later(
        &mut self,
        session: SessionId,
        from: jiff::Timestamp,
        until: jiff::Timestamp,
        accounts: &[Held],
    ) -> Result<(), Failure> {
        for held in accounts {
            if self.fails() {
                return Err(held.unit.failure("read-only file system"));
            }
            // Invariant 4: what the host says of an end, the journal has said before.
            let entry = self.disk().grants.get(&session).and_then(|entry| entry.expires);
            assert_eq!(entry, Some(until), "{held:?} expires later than its session ends");
            self.may_expire_later(session, from, accounts)?;
            let day = self.days.get_mut(&session).unwrap();
            *day = until.max(*day);
        }
        Ok(())
    }

    /// Whether a unit with a later end has taken its place, as the journal has it, and that is still to
    /// be told.
    pub(super) fn is_replaced(&self, held: &Held) -> bool {
        let extends = matches!(self.state.running.at(Pace::Slow), Some(Job::Extend(..)));
        extends && self.disk().held(&held.unit).is_none_or(|held| held.holders.is_empty())
    }

    pub(super) fn undo(&mut self, held: Held) -> Gone {
        if self.fails() {
            let result = Err(held.unit.failure("read-only file system"));
            return Gone::new(held.unit, result);
        }
        if let Unit::Created { session, .. } = &held.unit {
            self.days.remove(session);
        }
        let what = name(&held.unit);
        let mut found = None;
        if !held.delta.is_nothing() {
            // Invariant 4: the undo takes nothing that was there without us.
            let removed = self.host.remove(&what);
            assert!(!(removed && self.theirs.contains(&what)), "{what} was theirs and was taken");
            found = (!removed && held.applied).then(|| format!("{what} was gone already"));
        }
        self.taken.remove(&what);
        Gone::new(held.unit, Ok(found))
    }

    /// As the real sweep: everything in the journal is undone, records behind it.
    pub(super) fn sweep(&mut self, mut ledger: Ledger) -> Ledger {
        let outcomes: Vec<Gone> = ledger.held.clone().into_iter().map(|held| self.undo(held)).collect();
        let gone = outcomes.into_iter().filter(|gone| gone.result.is_ok()).map(|gone| gone.unit).collect();
        ledger.take(Record::Gone { gone });
        for session in ledger.grants.keys().copied().collect::<Vec<_>>() {
            ledger.take(Record::Released { session, gone: Vec::new() });
            ledger.take(Record::Ended { session });
        }
        self.deadlines = None;
        ledger
    }
}
