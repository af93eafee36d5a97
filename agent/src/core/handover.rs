//! How an agent gives its grants to the one that takes its place: no new order is
//! taken, what is under way is finished, and then all that is in no journal goes over
//! in one value. After that nothing is decided here any more.

use tidegate_common::wire::{FromAgent, GrantOrder};

use super::carried::{Carried, Handover, Owing};
use super::ledger::Record;
use super::messages::{Effect, Event, Now};
use super::state::{Ending, Grant, Lease, Phase, State};

impl State {
    /// Whether the next agent has everything, so that nothing is decided here any more.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        self.handover == Handover::Done
    }

    /// Hands over once nothing is under way that only this agent's memory knows, and only
    /// when the disk has all of the ledger.
    pub(super) fn hand_over_when_quiet(&mut self, effects: &mut Vec<Effect>) {
        if self.handover != Handover::Wanted || self.stopping || self.behind.is_some() {
            return;
        }
        let settled = |grant: &Grant| matches!(grant.phase, Phase::Active) || grant.has_ended();
        if self.running.is_idle() && self.waiting.is_empty() && self.grants.values().all(settled) {
            self.handover = Handover::Done;
            // The leases as they are now, whatever was kept before.
            self.keep_deadlines(effects);
            effects.push(Effect::Send(FromAgent::Replaced));
            let record = Record::Snapshot { ledger: self.ledger.clone() };
            effects.push(Effect::HandOver { record, carried: self.carried() });
        }
    }

    /// The events to act on. After a handover there are none: they are the next agent's,
    /// which hears of them anew. Should the ledger not come to the disk, this agent stays
    /// until it can, and all that came meanwhile is due.
    pub(super) fn now_or_later(&mut self, event: Event) -> Vec<Event> {
        if self.handover != Handover::Done {
            return vec![event];
        }
        let fails = matches!(event, Event::NotHandedOver { .. });
        self.later.push(event);
        if !fails {
            return Vec::new();
        }
        self.handover = Handover::Wanted;
        let mut events = std::mem::take(&mut self.later);
        events.rotate_right(1);
        events
    }

    fn carried(&self) -> Carried {
        let owing = self.grants.iter().filter_map(|(session, grant)| match &grant.phase {
            Phase::Ending(ending) => {
                let Ending { since, refusal, report, standing, .. } = (**ending).clone();
                let account = grant.order.account.clone();
                Some((*session, Owing { account, since, refusal, report, standing }))
            }
            Phase::Waiting | Phase::Granting(_) | Phase::Active => None,
        });
        Carried {
            lease: self.lease.0,
            untold: self.untold.clone(),
            owing: owing.collect(),
            retries: self.retries.clone(),
        }
    }

    /// What the agent before this one handed over. What the journal does not know to
    /// stand has gone, whatever was carried.
    pub(super) fn resume(&mut self, carried: Carried, now: Now) {
        let Carried { lease, untold, owing, retries } = carried;
        self.lease = Lease(lease);
        self.untold = untold;
        let orphans = self.ledger.orphans();
        self.retries = retries;
        self.retries.retain(|retry| orphans.iter().any(|held| held.unit == retry.unit));
        for (session, Owing { account, since, refusal, report, standing }) in owing {
            let order = GrantOrder { session, account, privileges: Vec::new(), expires: None, gate: None };
            let (undone, processes_ended, powers) = (true, true, false);
            let (rest, rest_by) = (Vec::new(), None);
            let ending =
                Ending { since, refusal, undone, processes_ended, powers, report, standing, rest, rest_by };
            let (phase, deadline, drift) = (Phase::Ending(Box::new(ending)), now.boot, Vec::new());
            let grant = Grant { order, phase, deadline, since, drift, dated: None };
            self.grants.insert(session, grant);
        }
    }
}
