//! Proxies, and the messages on their way to and from them.

use std::collections::BTreeSet;

use tidegate_common::id::SessionId;
use tidegate_common::name::GateName;
use tidegate_common::wire::{FromAgent, FromProxy, GrantOrder, Welcome};

use super::super::*;
use super::now_at;
use super::world::World;

/// A proxy, as the registry of the real one keeps grants.
#[derive(Default)]
pub struct Proxy {
    pub(super) requested: BTreeSet<SessionId>,
    pub(super) active: BTreeSet<SessionId>,
}

impl Proxy {
    pub(super) fn live(&self) -> BTreeSet<SessionId> {
        self.requested.union(&self.active).copied().collect()
    }
}

/// A proxy's name as a gate.
pub fn gate(proxy: usize) -> Option<GateName> {
    Some(format!("gate{proxy}").parse().unwrap())
}

impl World {
    /// A link to this proxy; the one before may not know yet that it has fallen.
    pub(super) fn link(&mut self, proxy: usize, lease: u64) {
        self.fall();
        self.linked = Some(proxy);
        self.give(Event::Connected);
        let now = self.now().wall;
        let welcome = Welcome { protocol: 1, lease_millis: lease / 1000, user_ca: Vec::new(), now };
        self.down.push_back(FromProxy::Welcome(welcome));
    }

    /// The proxy at the other end finds its link gone: orders without an answer fail.
    pub(super) fn fall(&mut self) {
        if let Some(proxy) = self.linked.take() {
            self.proxies[proxy].requested.clear();
        }
    }

    pub(super) fn order(&mut self, proxy: usize, mut order: GrantOrder) {
        order.gate = gate(proxy);
        if self.linked == Some(proxy) && !self.orders.contains_key(&order.session) {
            self.proxies[proxy].requested.insert(order.session);
            self.orders.insert(order.session, order.clone());
            self.down.push_back(FromProxy::Grant(order));
        }
    }

    pub(super) fn revoke(&mut self, session: SessionId) {
        for proxy in 0..self.proxies.len() {
            let of = &mut self.proxies[proxy];
            let known = of.requested.remove(&session) | of.active.remove(&session);
            if known && self.linked == Some(proxy) {
                self.down.push_back(FromProxy::Revoke { session });
            }
        }
    }

    /// A proxy orders a later end, of whichever session, in so many microseconds.
    pub(super) fn extend(&mut self, proxy: usize, session: SessionId, micros: u32) {
        let until = now_at(self.time + u64::from(micros), self.wall).wall;
        let gate = gate(proxy).filter(|_| self.linked == Some(proxy));
        let order = gate.map(|gate| FromProxy::Extend { session, gate, until });
        self.down.extend(order);
    }

    pub(super) fn beat(&mut self) {
        if let Some(proxy) = self.linked {
            let live = self.proxies[proxy].live().into_iter().collect();
            self.down.push_back(FromProxy::Lease { gate: gate(proxy), live });
        }
    }

    /// A proxy that is out of its mind lists whatever anybody ordered.
    pub(super) fn boast(&mut self) {
        if let Some(proxy) = self.linked {
            let live = self.orders.keys().copied().collect();
            self.down.push_back(FromProxy::Lease { gate: gate(proxy), live });
        }
    }

    /// The proxy comes back from a copy that knows of no grant.
    pub(super) fn restore(&mut self, proxy: usize) {
        self.proxies[proxy] = Proxy::default();
    }

    pub(super) fn down_all(&mut self) {
        while let Some(message) = self.down.pop_front() {
            self.give(Event::Proxy(message));
        }
    }

    pub(super) fn arrive(&mut self, proxy: usize, message: &FromAgent) {
        let of = &mut self.proxies[proxy];
        match message {
            FromAgent::Hello(hello) => {
                let live = |session: &SessionId| hello.live.contains(session);
                of.requested.retain(live);
                of.active.retain(live);
            }
            FromAgent::Granted { session, .. } if of.requested.remove(session) => {
                of.active.insert(*session);
            }
            FromAgent::Refused { session, .. }
            | FromAgent::Later { session }
            | FromAgent::Ended { session, .. } => {
                of.requested.remove(session);
                of.active.remove(session);
            }
            _ => {}
        }
    }

    pub(super) fn send(&mut self, message: FromAgent) {
        self.check(&message);
        if let Some(proxy) = self.linked {
            self.up.push_back((proxy, message.clone()));
        }
        self.told.push(message);
    }

    pub(super) fn check(&mut self, message: &FromAgent) {
        match message {
            FromAgent::Granted { session, .. } => {
                let disk = self.disk();
                assert!(disk.grants.get(session).is_some_and(|entry| entry.granted), "told before durable");
                for unit in unit::units(&self.orders[session]).unwrap() {
                    let held = disk.held(&unit);
                    assert!(held.is_some_and(|held| held.holders.contains(session)), "{unit} is not counted");
                    assert!(self.is_there(&unit), "told, but {unit} is not there");
                }
                self.granted.insert(*session);
            }
            FromAgent::Refused { session, .. } => {
                // The record of its end may not have come to the disk; then it is undone once more.
                let held = &self.state.ledger.held;
                assert!(!held.iter().any(|held| held.holders.contains(session)), "refused and held");
            }
            FromAgent::Extended { session, until } => {
                let disk = self.disk();
                assert_eq!(disk.grants[session].expires, Some(*until), "told before durable");
                let order = GrantOrder { expires: Some(*until), ..self.orders[session].clone() };
                for unit in unit::units(&order).unwrap() {
                    if let Unit::Created { .. } = unit {
                        assert_eq!(self.days.get(session), Some(until), "told, but {unit} expires otherwise");
                        continue;
                    }
                    let held = disk.held(&unit);
                    assert!(held.is_some_and(|held| held.holders.contains(session)), "{unit} is not counted");
                    assert!(self.is_there(&unit), "told, but {unit} is not there");
                }
            }
            FromAgent::Replaced => {
                let settled =
                    |grant: &state::Grant| matches!(grant.phase, state::Phase::Active) || grant.has_ended();
                assert!(self.state.grants.values().all(settled), "an order has no answer");
            }
            FromAgent::Ended { session, ended } => {
                let drifted = self.drifted.remove(session) && self.granted.contains(session);
                assert!(!drifted || !ended.drift.is_empty(), "the drift of {session} was not told");
            }
            _ => {}
        }
    }
}
