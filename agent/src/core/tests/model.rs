//! Random interleavings of everything that can happen to an agent: sessions of two
//! proxies, one of which comes back from a copy or lists what the other ordered; links that overlap; messages lost,
//! doubled and out of turn; ends that move; an authority beside ours; clocks set; effects that fail;
//! kills and power cuts with and without the sweep, in the middle of a record;
//! handovers.

use proptest::prelude::*;

use super::world::{LEASE, World};
use super::{order_until, session};
use crate::core::Event;
use crate::core::messages::Now;

/// What becomes of a message.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    ArrivesAndComesAgain,
    IsLost,
}

#[derive(Debug, Clone)]
enum Act {
    Order { proxy: usize, id: u8, groups: Vec<u8>, sudo: bool, slow: bool, lasts: Option<u32> },
    Extend { proxy: usize, id: u8, micros: u32 },
    Attached(u8),
    Revoke(u8),
    Beat,
    Boast,
    Restore(usize),
    Link { proxy: usize, lease: u64 },
    Unlink,
    Down(usize, Fate),
    Up(usize, Fate),
    Work(u8),
    WorkSlowly,
    Hear(u8),
    Wait(u64),
    SetWall(i64),
    Someone(String, bool),
    Fail(u16),
    Die { cut: Option<u8>, swept: bool },
    LosePower { cut: Option<u8>, swept: bool },
    Stop,
    HandOver,
    StayOn,
    Settle,
    Exchange,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Arrives),
        1 => Just(Fate::ArrivesAndComesAgain),
        1 => Just(Fate::IsLost),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let groups = proptest::collection::vec(0u8..4, 0..3);
    let lasts = prop::option::weighted(0.4, 0u32..60_000_000);
    let slow = prop::bool::weighted(0.3);
    let order = (0usize..2, 0u8..12, groups, any::<bool>(), slow, lasts);
    let thing = prop_oneof!["g[0-3]", Just("theirs".to_owned())];
    // Mostly the next one; sometimes one that is out of turn.
    let pick = || prop_oneof![4 => Just(0usize), 1 => 0usize..4];
    prop_oneof![
        6 => order.prop_map(|(proxy, id, groups, sudo, slow, lasts)| {
            Act::Order { proxy, id, groups, sudo, slow, lasts }
        }),
        4 => (0usize..2, 0u8..12, 0u32..120_000_000)
            .prop_map(|(proxy, id, micros)| Act::Extend { proxy, id, micros }),
        1 => (0u8..12).prop_map(Act::Attached),
        4 => (0u8..12).prop_map(Act::Revoke),
        3 => Just(Act::Beat),
        1 => Just(Act::Boast),
        1 => (0usize..2).prop_map(Act::Restore),
        2 => (0usize..2, prop_oneof![Just(LEASE), Just(LEASE / 3)])
            .prop_map(|(proxy, lease)| Act::Link { proxy, lease }),
        1 => Just(Act::Unlink),
        12 => (pick(), fate()).prop_map(|(pick, fate)| Act::Down(pick, fate)),
        8 => (pick(), fate()).prop_map(|(pick, fate)| Act::Up(pick, fate)),
        10 => (1u8..8).prop_map(Act::Work),
        4 => Just(Act::WorkSlowly),
        8 => (1u8..4).prop_map(Act::Hear),
        3 => (0u64..20_000_000).prop_map(Act::Wait),
        1 => (-90_000_000i64..90_000_000).prop_map(Act::SetWall),
        3 => (thing, any::<bool>()).prop_map(|(what, there)| Act::Someone(what, there)),
        1 => any::<u16>().prop_map(Act::Fail),
        2 => (prop::option::of(any::<u8>()), any::<bool>()).prop_map(|(cut, swept)| Act::Die { cut, swept }),
        1 => (prop::option::of(any::<u8>()), any::<bool>())
            .prop_map(|(cut, swept)| Act::LosePower { cut, swept }),
        1 => Just(Act::Stop),
        2 => Just(Act::HandOver),
        1 => Just(Act::StayOn),
        3 => Just(Act::Settle),
        2 => Just(Act::Exchange),
    ]
}

fn play(world: &mut World, act: Act) {
    match act {
        Act::Order { proxy, id, groups, sudo, slow, lasts } => {
            let Now { boot, .. } = world.now();
            let until = lasts.map(|micros| super::now_at(boot + u64::from(micros), world.wall).wall);
            let mut order = order_until(id, &groups, sudo, until);
            // Of two accounts, so that jobs go side by side.
            if id % 3 == 0 {
                order.account = "dev".parse().unwrap();
            }
            if slow {
                order.privileges.extend(super::slow_order(id, "ops", &[], false).privileges);
            }
            world.order(proxy, order);
        }
        Act::Extend { proxy, id, micros } => world.extend(proxy, session(id), micros),
        Act::Attached(id) => {
            world.down.push_back(tidegate_common::wire::FromProxy::Attached { session: session(id) });
        }
        Act::Revoke(id) => world.revoke(session(id)),
        Act::Beat => world.beat(),
        Act::Boast => world.boast(),
        Act::Restore(proxy) => world.restore(proxy),
        Act::Link { proxy, lease } => world.link(proxy, lease),
        Act::Unlink => {
            world.fall();
            world.give(Event::Disconnected);
        }
        Act::Down(pick, fate) => {
            let Some(message) = taken(&mut world.down, pick, fate) else { return };
            world.give(Event::Proxy(message));
        }
        Act::Up(pick, fate) => {
            let Some((proxy, message)) = taken(&mut world.up, pick, fate) else { return };
            world.arrive(proxy, &message);
        }
        Act::Work(count) => (0..count).for_each(|_| {
            world.work_one();
        }),
        Act::WorkSlowly => {
            world.slow_one();
        }
        Act::Hear(count) => {
            for _ in 0..count {
                let Some(event) = world.inbox.pop_front() else { return };
                world.give(event);
            }
        }
        Act::Wait(micros) => {
            world.time += micros;
            world.give(Event::Tick);
        }
        Act::SetWall(by) => {
            world.wall += by;
            world.give(Event::Tick);
        }
        Act::Someone(what, there) => world.someone(&what, there),
        Act::Fail(mask) => world.failures = mask,
        Act::Die { cut, swept } => world.die(cut, swept),
        Act::LosePower { cut, swept } => world.lose_power(cut, swept),
        Act::Stop => world.give(Event::Stop),
        Act::HandOver => world.give(Event::HandOver),
        Act::StayOn => world.give(Event::StayOn),
        Act::Settle => {
            world.settle();
            world.give(Event::Tick);
            world.settle();
            world.nothing_outlives_its_lease();
        }
        Act::Exchange => {
            world.beat();
            world.down_all();
            world.settle();
            world.only_what_the_proxy_lists_lives();
        }
    }
}

/// The message that comes next, if any does.
fn taken<T: Clone>(queue: &mut std::collections::VecDeque<T>, pick: usize, fate: Fate) -> Option<T> {
    let message = queue.remove(pick.min(queue.len().saturating_sub(1)))?;
    match fate {
        Fate::Arrives => Some(message),
        Fate::ArrivesAndComesAgain => {
            queue.push_back(message.clone());
            Some(message)
        }
        Fate::IsLost => None,
    }
}

/// How many interleavings a plain `cargo test` runs; `PROPTEST_CASES` says otherwise.
fn cases() -> ProptestConfig {
    // A case that failed is worth a test of its own, with a name.
    let plain = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => plain,
        None => ProptestConfig { cases: 10_000, ..plain },
    }
}

proptest! {
    #![proptest_config(cases())]

    /// Invariants 1, 4, 5 and 7; what is asserted on the way is in [`super::world`].
    #[test]
    fn whatever_happens_the_host_is_what_it_was_once_the_leases_are_over(
        acts in proptest::collection::vec(act(), 0..90)
    ) {
        let mut world = World::new();
        for act in acts {
            play(&mut world, act);
            world.is_sane();
        }
        // The proxies are silent from here on; failed undos are tried until they work.
        world.failures = 0;
        world.down.clear();
        world.settle();
        for _ in 0..3 {
            world.time += LEASE + 60_000_000;
            world.give(Event::Tick);
            world.settle();
        }
        prop_assert_eq!(&world.host, &world.theirs);
        prop_assert!(world.state.live().is_empty());
        prop_assert!(world.state.standing().is_empty());
        prop_assert_eq!(world.state.next_deadline(world.now()), None);
        // A restart now would find nothing to do, or only undo again what is gone.
        world.die(None, false);
        world.settle();
        prop_assert_eq!(&world.host, &world.theirs);
    }
}
