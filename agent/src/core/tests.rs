//! The core against a world in memory.

mod extend;
mod gates;
mod host;
mod jobs;
mod model;
mod network;
mod world;

use proptest::prelude::*;
use tidegate_common::grant::{Groups, Privilege, Standing, SudoRule};
use tidegate_common::id::SessionId;
use tidegate_common::wire::{FromAgent, FromProxy, GrantOrder, Hello};

use super::*;
use world::{LEASE, World};

fn session(number: u8) -> SessionId {
    SessionId::new(u64::from(number), 0)
}

/// Both clocks, the calendar set by so many microseconds.
fn now_at(boot: u64, wall: i64) -> Now {
    let wall = 1_800_000_000_000_000 + i64::try_from(boot).unwrap() + wall;
    Now { boot, wall: jiff::Timestamp::from_microsecond(wall).unwrap() }
}

fn now(boot: u64) -> Now {
    now_at(boot, 0)
}

fn order(number: u8, groups: &[u8], sudo: bool) -> GrantOrder {
    order_until(number, groups, sudo, None)
}

/// The same for an account, with the administrator's own privilege, which is slow.
fn slow_order(number: u8, account: &str, groups: &[u8], sudo: bool) -> GrantOrder {
    let mut order = order(number, groups, sudo);
    order.account = account.parse().unwrap();
    order.privileges.push(serde_json::from_str(r#"{"kind":"custom","name":"database"}"#).unwrap());
    order
}

fn order_until(number: u8, groups: &[u8], sudo: bool, expires: Option<jiff::Timestamp>) -> GrantOrder {
    let names = groups.iter().map(|group| format!("g{group}").parse().unwrap()).collect::<Vec<_>>();
    let mut privileges = Vec::new();
    if !names.is_empty() {
        privileges.push(Privilege::Groups(Groups { groups: names }));
    }
    if sudo {
        let rule: SudoRule = serde_json::from_str("{}").unwrap();
        privileges.push(Privilege::Sudo(rule));
    }
    GrantOrder { session: session(number), account: "ops".parse().unwrap(), privileges, expires, gate: None }
}

/// A name for a unit on the simulated host.
fn name(unit: &Unit) -> String {
    let name = match unit {
        Unit::Sudo { not_after, .. } => format!("sudo until {not_after:?}"),
        Unit::Group { group, .. } => group.to_string(),
        other => other.to_string(),
    };
    match unit.account().as_str() {
        "ops" => name,
        // What is below /run begins with `sudo`.
        account => format!("{name} of {account}"),
    }
}

fn hello(live: Vec<SessionId>, standing: Vec<Standing>) -> FromAgent {
    FromAgent::Hello(Hello { live, standing, ..Hello::new("") })
}

fn granted(world: &World, id: u8) -> bool {
    world.told.iter().any(|told| matches!(told, FromAgent::Granted { session: of, .. } if *of == session(id)))
}

#[test]
fn the_last_one_out_turns_off_the_light() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], false))));
    world.give(Event::Proxy(FromProxy::Grant(order(2, &[1, 2], false))));
    world.settle();
    assert!(granted(&world, 1) && granted(&world, 2));
    world.give(Event::Proxy(FromProxy::Revoke { session: session(1) }));
    world.settle();
    assert!(world.host.contains("g1"), "session 2 still holds it");
    world.give(Event::Proxy(FromProxy::Revoke { session: session(2) }));
    world.settle();
    assert_eq!(world.host, world.theirs);
}

#[test]
fn a_lease_that_does_not_list_a_grant_ends_it_and_one_that_does_keeps_it() {
    for (live, stays) in [(vec![session(1)], true), (vec![], false)] {
        let mut world = World::new();
        world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], true))));
        world.settle();
        world.time += LEASE - 1;
        world.give(Event::Proxy(FromProxy::Lease { gate: None, live }));
        world.settle();
        world.time += LEASE - 1;
        world.give(Event::Tick);
        world.settle();
        assert_eq!(world.host != world.theirs, stays);
    }
}

#[test]
fn a_grant_ends_at_its_date_however_often_it_is_renewed() {
    let mut world = World::new();
    let mut dated = order(1, &[1], false);
    dated.expires = Some(now(LEASE / 2).wall);
    world.give(Event::Proxy(FromProxy::Grant(dated)));
    world.settle();
    assert!(granted(&world, 1));
    assert_eq!(world.state.next_deadline(now(0)), Some(LEASE / 2));
    world.time = LEASE / 2;
    world.give(Event::Proxy(FromProxy::Lease { gate: None, live: vec![session(1)] }));
    world.settle();
    assert_eq!(world.host, world.theirs);
}

#[test]
fn a_privilege_that_still_stands_is_not_granted_again_and_is_retried_until_gone() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], false))));
    world.settle();
    world.failures = 0b01;
    world.give(Event::Proxy(FromProxy::Revoke { session: session(1) }));
    world.settle();
    let standing =
        |told: &FromAgent| matches!(told, FromAgent::Ended { ended, .. } if ended.standing.len() == 1);
    assert!(world.told.iter().any(standing));
    world.give(Event::Proxy(FromProxy::Grant(order(2, &[1], false))));
    world.settle();
    assert!(matches!(world.told.last(), Some(FromAgent::Refused { .. })));
    world.time += 500_000;
    world.give(Event::Tick);
    world.settle();
    assert_eq!(world.host, world.theirs);
    let clean =
        |told: &FromAgent| matches!(told, FromAgent::Ended { ended, .. } if ended.standing.is_empty());
    assert!(world.told.iter().any(clean));
    assert_eq!(standing_told(&world), []);
}

/// What the proxy was told last to stand.
fn standing_told(world: &World) -> &[Standing] {
    let told = world.told.iter().rev().find_map(|told| match told {
        FromAgent::Hello(Hello { standing, .. }) | FromAgent::Standing { standing } => Some(standing),
        _ => None,
    });
    told.map_or(&[], Vec::as_slice)
}

#[test]
fn what_stands_is_told_with_its_session_also_after_a_crash_and_so_is_that_nothing_does() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], false))));
    world.settle();
    for crash in [false, true] {
        world.failures = 0b1;
        if crash {
            world.die(None, false);
            world.settle();
            world.link(0, LEASE);
            world.down_all();
        } else {
            world.give(Event::Proxy(FromProxy::Revoke { session: session(1) }));
        }
        world.settle();
        let [told] = standing_told(&world) else { panic!("{:?}", world.told) };
        assert_eq!((told.session, told.what.as_str()), (Some(session(1)), "ops is in g1"));
        assert_eq!(told.why.as_str(), "read-only file system");
    }
    world.time += 500_000;
    world.give(Event::Tick);
    world.settle();
    assert_eq!((standing_told(&world), &world.host), (&[][..], &world.theirs));
}

fn refusal_of(privileges: &[&str]) -> Option<String> {
    let mut world = World::new();
    let mut asked = order(1, &[], false);
    asked.privileges = privileges.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    world.give(Event::Proxy(FromProxy::Grant(asked)));
    world.settle();
    match world.told.last() {
        Some(FromAgent::Refused { failure, .. }) => Some(failure.to_string()),
        _ => None,
    }
}

#[test]
fn an_account_is_either_created_or_enabled() {
    let (create, enable) = (r#"{"kind":"account-create"}"#, r#"{"kind":"account-enable"}"#);
    let shell = r#"{"kind":"account-create","shell":"/bin/bash"}"#;
    assert!(refusal_of(&[create, enable]).unwrap().contains("two accounts or two shells"));
    assert!(refusal_of(&[create, shell]).unwrap().contains("two accounts or two shells"));
    assert_eq!(refusal_of(&[create, create]), None);
    assert_eq!(refusal_of(&[enable]), None);
}

#[test]
fn a_created_account_comes_first_and_is_given_all_the_rest() {
    let mut asked = order(1, &[1], true);
    asked.privileges.push(serde_json::from_str(r#"{"kind":"account-create"}"#).unwrap());
    let units = unit::units(&asked).unwrap();
    let of_session = format!("tg-{}", session(1));
    assert!(matches!(units.first(), Some(Unit::Created { .. })));
    assert_eq!(units.len(), 3);
    assert!(units.iter().all(|unit| unit.to_string().starts_with(&of_session)), "{units:?}");
}

#[test]
fn two_shells_for_one_account_are_not_given_at_the_same_time() {
    let mut world = World::new();
    for (number, shell, fine) in [(1, "/bin/sh", true), (2, "/bin/bash", false), (3, "/bin/sh", true)] {
        let mut asked = order(number, &[], false);
        let text = format!(r#"{{"kind":"account-enable","shell":"{shell}"}}"#);
        asked.privileges.push(serde_json::from_str(&text).unwrap());
        world.give(Event::Proxy(FromProxy::Grant(asked)));
        world.settle();
        assert_eq!(granted(&world, number), fine, "{shell}");
    }
}

#[test]
fn a_journal_of_the_version_before_is_read() {
    let text = r#"{"record":"granting","session":"00000000010000000000000001","account":"ops","expires":null,
        "fresh":[[{"unit":"group","account":"ops","group":"adm"},{"delta":"group","group":true,"gshadow":false}],
        [{"unit":"sudo","account":"ops","rule":{},"not_after":null},{"delta":"sudo","file":"a-0","blake3":"00"}]],
        "joined":[]}"#;
    let Record::Granting { fresh, .. } = serde_json::from_str(text).unwrap() else { panic!() };
    assert_eq!(fresh.len(), 2);
}

proptest! {
    /// Leases are on the clock that nobody sets: a host's wall clock that jumps, as by hand
    /// or when a dead battery is noticed, neither shortens one nor makes it longer.
    #[test]
    fn however_the_wall_clock_is_stepped_a_lease_ends_when_it_would_have(
        steps in proptest::collection::vec((1u64..LEASE / 10, -3_000_000_000_000_000i64..3_000_000_000_000_000), 0..30),
        dated in any::<bool>(),
    ) {
        let mut world = World::new();
        let mut asked = order(1, &[1], true);
        // A date that the wall clock may pass at once, or seem never to reach.
        asked.expires = dated.then(|| now(LEASE * 100).wall);
        world.give(Event::Proxy(FromProxy::Grant(asked)));
        world.settle();
        prop_assert!(granted(&world, 1));
        for (wait, stepped) in steps {
            world.time = (world.time + wait).min(LEASE - 1);
            world.wall = stepped;
            world.give(Event::Tick);
            world.settle();
            // Without a date, nothing but the lease ends it.
            prop_assert!(dated || world.host != world.theirs);
        }
        world.time = LEASE;
        world.give(Event::Tick);
        world.settle();
        prop_assert_eq!(&world.host, &world.theirs);
    }
}

#[test]
fn a_handover_waits_for_what_is_under_way_and_new_orders_are_told_to_come_again() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], true))));
    world.give(Event::HandOver);
    assert!(!world.state.is_handed_over(), "a grant is under way");
    world.give(Event::Proxy(FromProxy::Grant(order(2, &[1], false))));
    world.settle();
    assert!(granted(&world, 1) && !granted(&world, 2));
    assert!(world.told.contains(&FromAgent::Later { session: session(2) }), "{:?}", world.told);
    assert_eq!(world.told.last(), Some(&FromAgent::Replaced));
    // The next agent has it.
    assert!(!world.state.is_handed_over());
    assert_eq!(world.state.live(), [session(1)]);
    world.give(Event::Proxy(FromProxy::Grant(order(3, &[2], false))));
    world.settle();
    assert!(granted(&world, 3));
}

#[test]
fn what_still_stands_and_ends_that_nobody_heard_of_go_over_with_their_pauses() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], false))));
    world.settle();
    world.give(Event::Disconnected);
    world.time += LEASE;
    world.failures = 0b01;
    world.give(Event::Tick);
    world.settle();
    let (standing, next) = (world.state.standing(), world.state.next_deadline(world.now()));
    assert_eq!(standing.len(), 1);
    world.give(Event::HandOver);
    world.settle();
    assert_eq!((world.state.standing(), world.state.next_deadline(world.now())), (standing, next));
    world.told.clear();
    world.link(0, LEASE);
    world.down_all();
    world.settle();
    let ended = |world: &World, left: usize| {
        let told = world.told.iter().rev();
        let mut told = told.filter_map(|told| match told {
            FromAgent::Ended { session: of, ended } if *of == session(1) => Some(ended.standing.len()),
            _ => None,
        });
        told.next() == Some(left)
    };
    assert!(ended(&world, 1), "{:?}", world.told);
    world.time += 500_000;
    world.give(Event::Tick);
    world.settle();
    assert!(ended(&world, 0), "{:?}", world.told);
    assert_eq!(world.host, world.theirs);
}

#[test]
fn a_handover_that_is_called_off_leaves_everything_as_it_was() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], false))));
    world.give(Event::HandOver);
    world.give(Event::StayOn);
    world.give(Event::Proxy(FromProxy::Grant(order(2, &[2], false))));
    world.settle();
    assert!(granted(&world, 1) && granted(&world, 2));
}

#[test]
fn a_stop_goes_before_a_handover() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], false))));
    world.settle();
    world.give(Event::Stop);
    world.give(Event::HandOver);
    world.settle();
    assert_eq!(world.host, world.theirs);
    assert!(world.state.live().is_empty());
}

#[test]
fn what_the_disk_had_no_room_for_is_written_once_it_has() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], false))));
    world.settle();
    // The undo succeeds; the records of it, and of the end, do not come to the disk.
    world.failures = 0b110;
    world.give(Event::Proxy(FromProxy::Revoke { session: session(1) }));
    world.settle();
    assert_eq!(world.host, world.theirs);
    assert!(world.disk().held(&unit::units(&order(1, &[1], false)).unwrap()[0]).is_some());
    world.give(Event::HandOver);
    world.settle();
    assert!(!world.state.is_handed_over(), "the next agent would not know");
    world.time = world.state.next_deadline(world.now()).unwrap();
    world.give(Event::Tick);
    world.settle();
    assert_eq!(world.disk(), Ledger::default());
}

#[test]
fn the_sweep_knows_of_a_grant_before_the_host_is_changed_for_it() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], false))));
    while world.inbox.is_empty() {
        assert!(world.work_one() || world.slow_one(), "nothing was planned");
    }
    let planned = world.inbox.pop_front().unwrap();
    world.give(planned);
    let Some(Effect::Journal { record: Record::Granting { .. }, then }) = world.work.front() else {
        panic!("{:?}", world.work)
    };
    let [Effect::KeepDeadlines { deadlines, .. }, Effect::Apply { .. }] = &then[..] else {
        panic!("{then:?}")
    };
    assert_eq!(deadlines.keys().collect::<Vec<_>>(), [&session(1)]);
}
