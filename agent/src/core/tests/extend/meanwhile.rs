//! What comes while a later end is being given: another, and the session's end.

use super::*;

/// Every answer to an order for a later end of the session's, with that end.
fn answers(world: &World, number: u8) -> Vec<(jiff::Timestamp, Result<(), String>)> {
    let told = world.told.iter().filter_map(|told| match told {
        FromAgent::Extended { session: of, until } if *of == session(number) => Some((*until, Ok(()))),
        FromAgent::NotExtended { session: of, until, why } if *of == session(number) => {
            Some((*until, Err(why.to_string())))
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn an_end_that_is_ordered_while_an_earlier_one_is_being_given_is_given_after_it() {
    let both: [(_, Result<(), String>); 2] = [(now(LATER).wall, Ok(())), (now(LATEST).wall, Ok(()))];
    for steps in 0..12 {
        let mut world = granted(&[1]);
        extend(&mut world, 1, LATER);
        (0..steps).for_each(|_| {
            one(&mut world);
        });
        extend(&mut world, 1, LATEST);
        world.settle();
        assert_eq!(answers(&world, 1), both, "{steps}");
        assert_eq!(rules(&world), [rule(LATEST)], "{steps}");
        world.is_sane();
        revoke(&mut world, 1);
        assert_eq!(world.host, world.theirs, "{steps}");
    }
}

#[test]
fn an_end_that_was_ordered_meanwhile_is_given_also_where_the_one_before_it_was_not() {
    // The rule, and the record that it is there.
    for step in [3, 4] {
        let mut world = granted(&[1]);
        world.failures = 1 << step;
        extend(&mut world, 1, LATER);
        extend(&mut world, 1, LATEST);
        world.settle();
        let told = answers(&world, 1);
        let told: Vec<_> = told.into_iter().map(|(until, answer)| (until, answer.is_ok())).collect();
        assert_eq!(told, [(now(LATER).wall, false), (now(LATEST).wall, true)], "{step}");
        assert_eq!(rules(&world), [rule(LATEST)], "{step}");
    }
}

#[test]
fn of_the_ends_that_wait_the_last_one_that_was_ordered_is_given_and_each_is_answered() {
    let refused = |why: &str| Err(why.to_owned());
    let mut world = granted(&[1]);
    for end in [LATER, LATEST + 1, LATEST, LATEST] {
        extend(&mut world, 1, end);
    }
    world.settle();
    let told = [
        (now(LATEST + 1).wall, refused("another end was ordered since")),
        (now(LATER).wall, Ok(())),
        (now(LATEST).wall, Ok(())),
    ];
    assert_eq!(answers(&world, 1), told);
    assert_eq!(rules(&world), [rule(LATEST)]);
    // One that is earlier than what is given meanwhile.
    let mut world = granted(&[1]);
    for end in [LATEST, LATER] {
        extend(&mut world, 1, end);
    }
    world.settle();
    let told = [(now(LATEST).wall, Ok(())), (now(LATER).wall, refused("the grant ends later than that"))];
    assert_eq!(answers(&world, 1), told);
    assert_eq!(rules(&world), [rule(LATEST)]);
}

#[test]
fn an_end_that_comes_before_the_undo_of_a_refused_extension_tells_of_what_that_left() {
    // Without a mistake, and where the rule of the later end cannot be taken away.
    for (failures, standing) in [(0, 0), (0b100, 1)] {
        let mut world = granted(&[1]);
        let other = GrantOrder { account: "dev".parse().unwrap(), ..order(2, &[2], false) };
        world.give(Event::Proxy(FromProxy::Grant(other)));
        world.settle();
        // The record that the rule of the later end is there.
        world.failures = 1 << 4;
        extend(&mut world, 1, LATER);
        while !world.inbox.iter().any(|event| matches!(event, Event::JournalFailed { .. })) {
            assert!(one(&mut world), "no record was refused");
        }
        assert_eq!(rules(&world), [rule(FIRST), rule(LATER)]);
        // Another's end is under way, so that the undo of that rule waits, and its session ends.
        world.give(Event::Proxy(FromProxy::Revoke { session: session(2) }));
        let refused = world.inbox.pop_front().unwrap();
        world.give(refused);
        assert_eq!(world.state.running.at(Pace::Quick), Some(&running::Job::End(session(2))));
        world.give(Event::Proxy(FromProxy::Revoke { session: session(1) }));
        while !world.inbox.iter().any(|event| matches!(event, Event::Undone { .. })) {
            assert!(one(&mut world), "the other's end was never carried out");
        }
        let undone = world.inbox.pop_front().unwrap();
        world.give(undone);
        while world.work.front().is_some_and(|effect| !matches!(effect, Effect::Undo { .. })) {
            world.work_one();
        }
        world.failures = failures;
        while ended(&world, 1).is_none() {
            assert!(one(&mut world), "the end was never told");
        }
        assert_eq!((ended(&world, 1), rules(&world).len()), (Some((standing, false)), standing));
        world.time += 500_000;
        world.give(Event::Tick);
        world.settle();
        assert_eq!(ended(&world, 1), Some((0, false)));
        assert_eq!(world.host, world.theirs);
    }
}
