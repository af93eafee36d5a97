//! What goes beside what, and what waits.

use tidegate_common::wire::{FromAgent, FromProxy};

use super::world::{LEASE, World};
use super::{granted, now, order, order_until, session, slow_order};
use crate::core::{Effect, Event};

#[test]
fn an_end_does_not_wait_for_what_another_session_gives_or_takes_slowly() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], true))));
    world.give(Event::Proxy(FromProxy::Grant(slow_order(2, "dev", &[2], true))));
    world.give(Event::Proxy(FromProxy::Grant(order(3, &[3], true))));
    world.settle();
    assert!(granted(&world, 1) && granted(&world, 2) && granted(&world, 3));
    let quickly = |world: &mut World| {
        while world.work_one() {}
        while let Some(event) = world.inbox.pop_front() {
            world.give(event);
            while world.work_one() {}
        }
    };
    // One's slow undo hangs: what is quick of it is gone, and so is all of another.
    world.give(Event::Proxy(FromProxy::Revoke { session: session(2) }));
    world.give(Event::Proxy(FromProxy::Revoke { session: session(1) }));
    quickly(&mut world);
    assert!(!world.host.contains("g1") && !world.host.contains("g2 of dev"), "{:?}", world.host);
    let ended = |world: &World, id: u8| {
        let of =
            |told: &&FromAgent| matches!(told, FromAgent::Ended { session: of, .. } if *of == session(id));
        world.told.iter().filter(of).count()
    };
    assert_eq!((ended(&world, 1), ended(&world, 2)), (1, 0), "the second is not over yet");
    // The sweep does not take the agent for one that hangs meanwhile.
    let due = world.deadlines.as_ref().and_then(|deadlines| deadlines.get(&session(2)).copied());
    assert!(due.is_some_and(|due| due > world.time + 60_000_000), "{due:?}");
    // A grant waits for it.
    world.give(Event::Proxy(FromProxy::Grant(slow_order(4, "dev", &[1], false))));
    quickly(&mut world);
    assert!(!granted(&world, 4) && world.slow.len() == 1, "{:?}", world.slow);
    // And an end goes while a grant is at work.
    world.slow_one();
    quickly(&mut world);
    assert_eq!(ended(&world, 2), 1);
    world.give(Event::Proxy(FromProxy::Revoke { session: session(3) }));
    quickly(&mut world);
    assert_eq!(ended(&world, 3), 1);
    assert!(!granted(&world, 4));
    world.settle();
    assert!(granted(&world, 4));
}

#[test]
fn an_end_waits_for_a_grant_to_the_same_account_which_may_join_it() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], false))));
    world.settle();
    world.give(Event::Proxy(FromProxy::Grant(slow_order(2, "ops", &[1], false))));
    while world.work_one() {}
    world.give(Event::Proxy(FromProxy::Revoke { session: session(1) }));
    while world.work_one() {}
    assert!(world.host.contains("g1"), "the second was told that it is there");
    world.settle();
    assert!(granted(&world, 2) && world.host.contains("g1"));
    world.give(Event::Proxy(FromProxy::Revoke { session: session(2) }));
    world.settle();
    assert_eq!(world.host, world.theirs);
}

#[test]
fn an_end_that_waits_for_others_is_not_late_while_one_after_the_other_is_done() {
    let mut world = World::new();
    for id in 1..=5 {
        world.give(Event::Proxy(FromProxy::Grant(order(id, &[id], true))));
    }
    world.settle();
    world.give(Event::Proxy(FromProxy::Lease { gate: None, live: Vec::new() }));
    let mut last = 0;
    // Each undo takes three seconds, as when somebody holds the account files.
    while world.host != world.theirs {
        world.time += 3_000_000;
        assert!(world.work_one() || !world.inbox.is_empty());
        while world.work.front().is_some_and(|next| !matches!(next, Effect::Undo { .. })) {
            world.work_one();
        }
        while let Some(event) = world.inbox.pop_front() {
            world.give(event);
        }
        let waits = world.state.waiting.len();
        let due = world.deadlines.iter().flatten().filter(|(id, _)| world.state.grants.contains_key(*id));
        let oldest = due.map(|(_, due)| *due).min().unwrap_or(world.time);
        assert!(waits == 0 || oldest + 6_000_000 >= world.time, "{oldest} at {}", world.time);
        last = world.time;
    }
    assert!(last >= 15_000_000, "the five take their time: {last}");
}

#[test]
fn an_end_that_waits_for_its_own_later_end_is_not_late_while_that_is_given() {
    let mut world = World::new();
    let until = |micros| Some(now(micros).wall);
    world.give(Event::Proxy(FromProxy::Grant(order_until(1, &[1], true, until(LEASE / 2)))));
    world.settle();
    let (session, gate) = (session(1), "gate1".parse().unwrap());
    let until = now(LEASE).wall;
    world.give(Event::Proxy(FromProxy::Extend { session, gate, until }));
    world.time += 1_000_000;
    world.give(Event::Proxy(FromProxy::Revoke { session }));
    while world.work_one() {}
    assert!(world.host.contains("g1") && !world.slow.is_empty(), "the end did not wait");
    let due = world.deadlines.as_ref().and_then(|deadlines| deadlines.get(&session).copied());
    assert_eq!(due, Some(45_000_000), "the sweep takes it for one that hangs, or never does");
    assert!(world.ending.contains(&session));
    world.settle();
    assert_eq!(world.host, world.theirs);
}

#[test]
fn an_agent_takes_no_grant_for_alive_whose_end_had_begun_and_could_not_be_written() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(slow_order(1, "dev", &[1], true))));
    world.settle();
    world.give(Event::Proxy(FromProxy::Revoke { session: session(1) }));
    // What is quick is gone, two things; that, the disk has no room for. What is slow has its time.
    world.failures = 0b100;
    while world.work_one() {}
    while let Some(event) = world.inbox.pop_front() {
        world.give(event);
        while world.work_one() {}
    }
    assert_eq!(world.host.difference(&world.theirs).collect::<Vec<_>>(), ["dev has custom database of dev"]);
    assert_eq!(world.disk().held.len(), 3, "it could be written");
    world.failures = 0;
    world.die(None, false);
    world.is_sane();
    assert!(world.state.live().is_empty());
    world.settle();
    assert_eq!(world.host, world.theirs);
}

#[test]
fn a_grant_does_not_join_what_a_boot_took_while_its_undo_is_due() {
    let mut world = World::new();
    let of_dev = |id: u8| {
        let mut order = order(id, &[], true);
        order.account = "dev".parse().unwrap();
        order
    };
    world.give(Event::Proxy(FromProxy::Grant(of_dev(3))));
    world.give(Event::Proxy(FromProxy::Grant(order(4, &[], false))));
    world.settle();
    assert!(granted(&world, 3) && granted(&world, 4));
    // Below /run nothing outlives it. Two ends are due, one after the other, when the order comes.
    world.lose_power(None, false);
    world.link(0, LEASE);
    world.down_all();
    world.order(0, of_dev(0));
    world.down_all();
    world.settle();
    assert!(granted(&world, 0), "{:?}", world.told);
}
