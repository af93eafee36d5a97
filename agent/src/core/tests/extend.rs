//! Later ends of what is granted.

mod accounts;
mod meanwhile;

use tidegate_common::wire::{FromAgent, FromProxy, GrantOrder};

use super::super::*;
use super::world::{LEASE, World};
use super::{now, order, order_until, session};

/// The first end, a later one, and one that is later still.
const FIRST: u64 = LEASE / 2;
const LATER: u64 = LEASE / 2 * 3;
const LATEST: u64 = LEASE / 2 * 5;

/// The rule that ends then, on the host.
fn rule(end: u64) -> String {
    format!("sudo until {:?}", Some(now(end).wall))
}

fn rules(world: &World) -> Vec<String> {
    world.host.iter().filter(|what| what.starts_with("sudo")).cloned().collect()
}

fn dated(number: u8) -> GrantOrder {
    order_until(number, &[1], true, Some(now(FIRST).wall))
}

fn extend(world: &mut World, number: u8, end: u64) {
    let (session, gate, until) = (session(number), "gate1".parse().unwrap(), now(end).wall);
    world.give(Event::Proxy(FromProxy::Extend { session, gate, until }));
}

/// A world in which these sessions have a rule until the first end.
fn granted(numbers: &[u8]) -> World {
    let mut world = World::new();
    for number in numbers {
        world.give(Event::Proxy(FromProxy::Grant(dated(*number))));
        world.settle();
    }
    assert_eq!(rules(&world), [rule(FIRST)]);
    world
}

fn revoke(world: &mut World, number: u8) {
    world.give(Event::Proxy(FromProxy::Revoke { session: session(number) }));
    world.settle();
}

/// Whether the session's later end was given; the sentence, where it was not.
fn answer(world: &World, number: u8) -> Option<Result<(), String>> {
    world.told.iter().rev().find_map(|told| match told {
        FromAgent::Extended { session: of, .. } if *of == session(number) => Some(Ok(())),
        FromAgent::NotExtended { session: of, why, .. } if *of == session(number) => {
            Some(Err(why.to_string()))
        }
        _ => None,
    })
}

/// Somebody does the next thing; tells whether there was one.
fn one(world: &mut World) -> bool {
    if world.work_one() || world.slow_one() {
        return true;
    }
    let Some(event) = world.inbox.pop_front() else { return false };
    world.give(event);
    true
}

#[test]
fn a_grant_that_is_given_a_later_end_goes_beyond_the_first_and_ends_at_the_later() {
    let mut world = granted(&[1]);
    extend(&mut world, 1, LATER);
    world.settle();
    assert_eq!((answer(&world, 1), rules(&world)), (Some(Ok(())), vec![rule(LATER)]));
    for time in [FIRST, LATER - 1] {
        world.time = time;
        world.give(Event::Proxy(FromProxy::Lease { gate: None, live: vec![session(1)] }));
        world.settle();
        world.is_sane();
        assert_eq!(rules(&world), [rule(LATER)]);
    }
    // Told once more, it has it already; and nothing makes it end earlier.
    extend(&mut world, 1, LATER);
    assert_eq!(world.state.next_deadline(world.now()), Some(LATER));
    world.time = LATER;
    world.give(Event::Tick);
    world.settle();
    assert_eq!(world.host, world.theirs);
}

#[test]
fn an_end_that_is_not_later_and_a_grant_that_is_not_there_are_answered_with_a_sentence() {
    let why = |world: &mut World, number, end| {
        world.told.clear();
        extend(world, number, end);
        world.settle();
        answer(world, number).unwrap().unwrap_err()
    };
    let mut world = granted(&[1]);
    assert_eq!(why(&mut world, 2, LATER), "there is no such grant on this host");
    assert_eq!(why(&mut world, 1, FIRST - 1), "the grant ends later than that");
    world.give(Event::Proxy(FromProxy::Grant(order(3, &[], false))));
    world.settle();
    assert_eq!(why(&mut world, 3, LATER), "the grant has no end that could be later");
    let others = GrantOrder { gate: Some("gate2".parse().unwrap()), ..dated(4) };
    world.give(Event::Proxy(FromProxy::Grant(others)));
    world.settle();
    assert_eq!(why(&mut world, 4, LATER), "there is no such grant on this host");
    world.give(Event::Proxy(FromProxy::Grant(order_until(5, &[], true, Some(now(FIRST).wall)))));
    assert_eq!(why(&mut world, 5, LATER), "the grant is not applied yet");
    world.give(Event::Proxy(FromProxy::Revoke { session: session(1) }));
    assert_eq!(why(&mut world, 1, LATER), "the grant ends already");
    assert!(!rules(&world).contains(&rule(LATER)));
}

#[test]
fn a_step_that_fails_leaves_the_first_end_and_the_next_order_is_carried_out() {
    // The plan, the record, the first look, the rule, and the record that it is there.
    for step in 0..5 {
        let mut world = granted(&[1]);
        world.failures = 1 << step;
        extend(&mut world, 1, LATER);
        world.settle();
        let told = answer(&world, 1).unwrap();
        assert!(told.is_err() && rules(&world) == [rule(FIRST)], "{step}: {told:?}, {:?}", world.host);
        world.is_sane();
        assert_eq!(world.state.grants[&session(1)].order.expires, Some(now(FIRST).wall), "{step}");
        extend(&mut world, 1, LATER);
        world.settle();
        assert_eq!((answer(&world, 1), rules(&world)), (Some(Ok(())), vec![rule(LATER)]), "{step}");
    }
}

#[test]
fn a_rule_of_the_first_end_that_cannot_be_taken_away_stands_until_it_can() {
    let mut world = granted(&[1]);
    world.failures = 1 << 5;
    extend(&mut world, 1, LATER);
    world.settle();
    assert_eq!(answer(&world, 1), Some(Ok(())));
    assert_eq!((rules(&world).len(), world.state.standing().len()), (2, 1));
    world.time += 500_000;
    world.give(Event::Tick);
    world.settle();
    assert_eq!((rules(&world), world.state.standing()), (vec![rule(LATER)], Vec::new()));
}

/// How much is told to stand, and whether something was found changed, as the session's end has it
/// that was told last.
fn ended(world: &World, number: u8) -> Option<(usize, bool)> {
    world.told.iter().rev().find_map(|told| match told {
        FromAgent::Ended { session: of, ended } if *of == session(number) => {
            Some((ended.standing.len(), !ended.drift.is_empty()))
        }
        _ => None,
    })
}

#[test]
fn an_end_tells_of_the_rule_of_the_first_end_that_still_stands_and_again_once_it_is_gone() {
    let mut world = granted(&[1]);
    world.failures = 1 << 5;
    extend(&mut world, 1, LATER);
    world.settle();
    revoke(&mut world, 1);
    assert_eq!((ended(&world, 1), rules(&world)), (Some((1, false)), vec![rule(FIRST)]));
    world.time += 500_000;
    world.give(Event::Tick);
    world.settle();
    assert_eq!(ended(&world, 1), Some((0, false)));
    assert_eq!(world.host, world.theirs);
}

/// A world in which somebody else took the rule of the first end away and the later one is there, and
/// what came of taking away the first is not known yet.
fn retired() -> World {
    let mut world = granted(&[1]);
    world.someone(&rule(FIRST), false);
    extend(&mut world, 1, LATER);
    while !world.inbox.iter().any(|event| matches!(event, Event::Retired { .. })) {
        assert!(one(&mut world), "the first end was never taken away");
    }
    world
}

#[test]
fn what_a_later_end_found_changed_is_told_at_the_end_also_when_that_comes_meanwhile() {
    let mut world = retired();
    world.settle();
    assert_eq!(answer(&world, 1), Some(Ok(())));
    revoke(&mut world, 1);
    assert_eq!(ended(&world, 1), Some((0, true)));
    let mut world = retired();
    revoke(&mut world, 1);
    assert_eq!(ended(&world, 1), Some((0, true)));
    assert_eq!(world.host, world.theirs);
}

#[test]
fn what_a_later_end_found_changed_is_in_the_log_before_its_agent_may_be_another() {
    let mut world = retired();
    let event = world.inbox.pop_front().unwrap();
    world.give(event);
    let told = |effect: &Effect| matches!(effect, Effect::Warn(why) if why.contains("was gone already"));
    assert!(world.work.iter().any(told), "{:?}", world.work);
}

#[test]
fn what_is_found_changed_once_the_first_end_is_tried_again_is_told_at_the_end() {
    let mut world = granted(&[1]);
    world.failures = 1 << 5;
    extend(&mut world, 1, LATER);
    world.settle();
    world.someone(&rule(FIRST), false);
    world.time += 500_000;
    world.give(Event::Tick);
    world.settle();
    assert_eq!((rules(&world), world.state.standing()), (vec![rule(LATER)], Vec::new()));
    revoke(&mut world, 1);
    assert_eq!(ended(&world, 1), Some((0, true)));
    assert_eq!(world.host, world.theirs);
}

#[test]
fn whichever_step_is_the_last_before_a_crash_the_journal_says_when_the_grant_ends() {
    let mut ends = Vec::new();
    for steps in 0.. {
        let mut world = granted(&[1]);
        extend(&mut world, 1, LATER);
        let all = (0..steps).all(|_| one(&mut world));
        world.die(None, false);
        world.settle();
        world.link(0, LEASE);
        world.down_all();
        world.settle();
        let end = world.state.grants[&session(1)].order.expires;
        let (first, later) = (Some(now(FIRST).wall), Some(now(LATER).wall));
        assert!(end == first || end == later, "{steps}: {end:?}");
        assert_eq!(rules(&world), [rule(if end == first { FIRST } else { LATER })], "{steps}");
        ends.push(end);
        // The gate gives its order again.
        extend(&mut world, 1, LATER);
        world.settle();
        assert_eq!((answer(&world, 1), rules(&world)), (Some(Ok(())), vec![rule(LATER)]), "{steps}");
        revoke(&mut world, 1);
        assert_eq!(world.host, world.theirs);
        if !all {
            break;
        }
    }
    assert!(ends.is_sorted() && ends.first() != ends.last(), "{ends:?}");
}

#[test]
fn of_two_sessions_that_share_a_rule_each_has_its_own_end() {
    let mut world = granted(&[1, 2]);
    extend(&mut world, 1, LATER);
    world.settle();
    assert_eq!(rules(&world), [rule(FIRST), rule(LATER)]);
    revoke(&mut world, 1);
    assert_eq!(rules(&world), [rule(FIRST)]);
    revoke(&mut world, 2);
    assert_eq!(world.host, world.theirs);

    let mut world = granted(&[1, 2]);
    extend(&mut world, 1, LATER);
    extend(&mut world, 2, LATER);
    world.settle();
    assert_eq!((answer(&world, 2), rules(&world)), (Some(Ok(())), vec![rule(LATER)]));
    revoke(&mut world, 1);
    assert_eq!(rules(&world), [rule(LATER)], "the other session still holds it");
    revoke(&mut world, 2);
    assert_eq!(world.host, world.theirs);
}

#[test]
fn an_end_that_comes_meanwhile_takes_back_all_of_it() {
    for steps in 0..12 {
        let mut world = granted(&[1]);
        extend(&mut world, 1, LATER);
        (0..steps).for_each(|_| {
            one(&mut world);
        });
        revoke(&mut world, 1);
        assert_eq!(world.host, world.theirs, "{steps}");
        assert!(world.state.live().is_empty() && world.state.standing().is_empty());
        assert_eq!(world.disk(), Ledger::default(), "{steps}");
    }
}
