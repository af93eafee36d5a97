//! How long grants live: leases, calendar ends, and what a restart finds.

use std::collections::BTreeMap;

use tidegate_common::id::SessionId;
use tidegate_common::name::GateName;
use tidegate_common::wire::GrantOrder;

use super::carried::{Carried, Retry};
use super::messages::{Effect, Now};
use super::state::{Grant, Phase, State};
use super::unit::Unit;

impl State {
    /// `Lease`: what this gate ordered and lists lives for another lease, the rest of it ends.
    pub(super) fn renew(
        &mut self,
        gate: Option<&GateName>,
        live: &[SessionId],
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let deadline = now.boot.saturating_add(self.lease.0);
        for (session, grant) in self.grants.iter_mut().filter(|(_, grant)| grant.lives() && grant.is_of(gate))
        {
            grant.deadline = if live.contains(session) { deadline } else { now.boot };
        }
        effects.push(Effect::Send(tidegate_common::wire::FromAgent::Alive));
        self.end_overdue(now, effects);
        self.keep_deadlines(effects);
    }

    /// Ends what has outlived its lease or its date.
    pub(super) fn end_overdue(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let overdue = |grant: &Grant| {
            grant.deadline <= now.boot || grant.order.expires.is_some_and(|end| end <= now.wall)
        };
        self.end_where(overdue, now, effects);
    }

    /// Hands the leases of what is on the host to the sweep and to the agent after
    /// this one. Goes before the undo of a grant, so that a restart does not take a
    /// grant for alive whose undo had begun.
    pub(super) fn keep_deadlines(&self, effects: &mut Vec<Effect>) {
        effects.retain(|effect| !matches!(effect, Effect::KeepDeadlines { .. }));
        let kept = || self.grants.iter().filter(|(session, _)| self.ledger.grants.contains_key(session));
        let ending = kept().filter(|(_, grant)| !grant.lives()).map(|(session, _)| *session).collect();
        let deadlines = kept()
            .map(|(session, grant)| match grant.lives() {
                true => (*session, grant.overdue_at()),
                false if self.waits_for_what_gives(*session) => {
                    (*session, grant.overdue_at().max(self.quick_since).max(self.gives_by))
                }
                false => (*session, grant.overdue_at().max(self.quick_since)),
            })
            .collect();
        effects.push(Effect::KeepDeadlines { deadlines, ending });
    }

    /// After a start: what was granted lives on for what is left of its lease, what
    /// was half done or outlived its lease ends, what stands is tried again.
    pub(super) fn reconcile(
        &mut self,
        deadlines: &BTreeMap<SessionId, u64>,
        carried: Option<Carried>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(carried) = carried {
            self.resume(carried, now);
        }
        self.keep_first_ends(effects);
        let latest = now.boot.saturating_add(self.lease.0);
        for (session, entry) in self.ledger.grants.clone() {
            let left = deadlines.get(&session).copied().filter(|_| entry.granted);
            let order = GrantOrder {
                session,
                account: entry.account,
                privileges: Vec::new(),
                expires: entry.expires,
                gate: entry.gate,
            };
            let deadline = left.unwrap_or(now.boot).min(latest);
            effects.push(Effect::Trace { session, known: entry.traces });
            let (phase, since, drift) = (Phase::Active, now.boot, Vec::new());
            self.grants.insert(session, Grant { order, phase, deadline, since, drift, dated: None });
        }
        let known: Vec<Unit> = self.retries.iter().map(|retry| retry.unit.clone()).collect();
        for held in self.ledger.orphans().into_iter().filter(|held| !known.contains(&held.unit)) {
            let failure = held.unit.failure("was still there when the agent started; being taken away");
            self.retries.push(Retry { unit: held.unit, failure, at: now.boot, wait: 0 });
        }
        self.end_overdue(now, effects);
    }
}
