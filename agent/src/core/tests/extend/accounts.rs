//! Accounts that were created for a session that ends later.

use super::*;

/// A world with a session that has an account of its own, and a rule for it, until the first end.
fn created() -> World {
    let mut world = World::new();
    let mut order = dated(1);
    order.privileges.push(serde_json::from_str(r#"{"kind":"account-create"}"#).unwrap());
    world.give(Event::Proxy(FromProxy::Grant(order)));
    world.settle();
    assert_eq!(day(&world), now(FIRST).wall);
    world
}

/// When its account expires.
fn day(world: &World) -> jiff::Timestamp {
    world.days[&session(1)]
}

/// The end that the journal has.
fn end(world: &World) -> jiff::Timestamp {
    world.disk().grants[&session(1)].expires.unwrap()
}

#[test]
fn whichever_step_is_the_last_before_a_crash_no_account_expires_later_than_the_journal_says() {
    let mut days = Vec::new();
    for steps in 0.. {
        let mut world = created();
        extend(&mut world, 1, LATER);
        let mut all = true;
        for _ in 0..steps {
            all &= one(&mut world);
            assert!(day(&world) <= end(&world), "{steps}");
        }
        world.die(None, false);
        world.settle();
        world.link(0, LEASE);
        world.down_all();
        world.settle();
        assert!(day(&world) <= end(&world), "{steps}");
        days.push((end(&world), day(&world)));
        // The gate gives its order again: also where only the account's day was not moved yet.
        extend(&mut world, 1, LATER);
        world.settle();
        let later = now(LATER).wall;
        assert_eq!((answer(&world, 1), end(&world), day(&world)), (Some(Ok(())), later, later), "{steps}");
        revoke(&mut world, 1);
        assert_eq!(world.host, world.theirs);
        assert!(world.days.is_empty());
        if !all {
            break;
        }
    }
    let (first, later) = (now(FIRST).wall, now(LATER).wall);
    days.dedup();
    assert_eq!(days, [(first, first), (later, first), (later, later)]);
}

#[test]
fn a_step_that_fails_leaves_the_accounts_day_and_the_next_order_moves_it() {
    // The plan, the record, the first look, the rule, the record that it is there, and the day.
    for step in 0..6 {
        let mut world = created();
        world.failures = 1 << step;
        extend(&mut world, 1, LATER);
        world.settle();
        let told = answer(&world, 1).unwrap();
        assert!(told.is_err() && day(&world) == now(FIRST).wall, "{step}: {told:?}");
        world.is_sane();
        extend(&mut world, 1, LATER);
        world.settle();
        assert_eq!((answer(&world, 1), day(&world)), (Some(Ok(())), now(LATER).wall), "{step}");
        revoke(&mut world, 1);
        assert_eq!(world.host, world.theirs, "{step}");
    }
}

#[test]
fn a_day_that_was_not_moved_with_its_end_is_moved_with_the_next() {
    // The day; and a crash before it, after which nobody ordered that end again.
    for crash in [false, true] {
        let mut world = created();
        world.failures = if crash { 0 } else { 1 << 5 };
        extend(&mut world, 1, LATER);
        while end(&world) != now(LATER).wall {
            assert!(one(&mut world), "the journal has no later end");
        }
        if crash {
            world.die(None, false);
        }
        world.settle();
        assert_eq!((end(&world), day(&world)), (now(LATER).wall, now(FIRST).wall));
        extend(&mut world, 1, LATEST);
        world.settle();
        assert_eq!((answer(&world, 1), day(&world)), (Some(Ok(())), now(LATEST).wall));
        revoke(&mut world, 1);
        assert_eq!(world.host, world.theirs);
    }
}

#[test]
fn a_day_that_somebody_has_brought_forward_stays_and_the_order_is_refused() {
    // Before the order, which leaves the first end; and once the journal has the later one.
    for journalled in [false, true] {
        let mut world = created();
        let earlier = now(FIRST / 2).wall;
        if !journalled {
            world.days.insert(session(1), earlier);
        }
        extend(&mut world, 1, LATER);
        if journalled {
            while end(&world) != now(LATER).wall {
                assert!(one(&mut world), "the journal has no later end");
            }
            world.days.insert(session(1), earlier);
        }
        world.settle();
        world.is_sane();
        let told = answer(&world, 1).unwrap().unwrap_err();
        assert!(told.contains("somebody else"), "{told}");
        let ends = if journalled { LATER } else { FIRST };
        assert_eq!((end(&world), day(&world)), (now(ends).wall, earlier));
        let rules = rules(&world);
        assert!(rules.len() == 1 && rules[0].starts_with(&rule(ends)), "{rules:?}");
        revoke(&mut world, 1);
        assert_eq!(world.host, world.theirs);
    }
}

#[test]
fn a_day_that_was_brought_forward_stays_also_where_the_agent_was_started_anew_since() {
    let mut world = created();
    extend(&mut world, 1, LATER);
    world.settle();
    world.die(None, false);
    world.settle();
    world.link(0, LEASE);
    world.down_all();
    world.settle();
    // Later than the account was made to expire, and earlier than it was given since.
    let earlier = now((FIRST + LATER) / 2).wall;
    world.days.insert(session(1), earlier);
    extend(&mut world, 1, LATEST);
    world.settle();
    let told = answer(&world, 1).unwrap().unwrap_err();
    assert!(told.contains("somebody else") && day(&world) == earlier, "{told}");
    revoke(&mut world, 1);
    assert_eq!(world.host, world.theirs);
}

#[test]
fn an_account_goes_with_its_session_whichever_step_of_a_later_end_that_comes_after() {
    for steps in 0..12 {
        let mut world = created();
        extend(&mut world, 1, LATER);
        (0..steps).for_each(|_| {
            one(&mut world);
        });
        revoke(&mut world, 1);
        assert_eq!(world.host, world.theirs, "{steps}");
        assert!(world.days.is_empty() && world.state.standing().is_empty(), "{steps}");
        assert_eq!(world.disk(), Ledger::default(), "{steps}");
    }
}
