//! Several gates, each with grants of its own.

use tidegate_common::wire::{FromProxy, GrantOrder};

use super::super::*;
use super::world::{LEASE, World};
use super::{order, session};

#[test]
fn a_word_of_one_gate_neither_renews_nor_ends_what_another_ordered() {
    let gate = |name: &str| Some(name.parse().unwrap());
    for (speaks, live, until) in [
        // It would end what it does not list, and renew what it does.
        ("gate2", vec![], LEASE),
        ("gate2", vec![session(1)], LEASE),
        ("gate1", vec![session(1)], LEASE + LEASE / 2),
        ("gate1", vec![], LEASE / 2),
    ] {
        let mut world = World::new();
        let ordered = GrantOrder { gate: gate("gate1"), ..order(1, &[1], true) };
        world.give(Event::Proxy(FromProxy::Grant(ordered)));
        world.settle();
        // Also when the agent was started again in between.
        world.die(None, false);
        world.settle();
        world.time = LEASE / 2;
        world.give(Event::Proxy(FromProxy::Lease { gate: gate(speaks), live: live.clone() }));
        world.settle();
        world.time = until - 1;
        world.give(Event::Tick);
        world.settle();
        assert_eq!(world.host != world.theirs, until > LEASE / 2, "{speaks} {live:?}");
        world.time = until;
        world.give(Event::Tick);
        world.settle();
        assert_eq!(world.host, world.theirs, "{speaks} {live:?}");
    }
}
