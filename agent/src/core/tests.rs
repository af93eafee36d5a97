//! Random orders, ends, losses and crashes against a host in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use tidegate_common::grant::{Groups, Privilege, Standing, SudoRule};
use tidegate_common::id::SessionId;
use tidegate_common::wire::{FromAgent, FromProxy, GrantOrder, Welcome};

use super::*;

const LEASE: u64 = 30_000_000;

fn session(number: u8) -> SessionId {
    SessionId::new(u64::from(number), 0)
}

fn now(boot: u64) -> Now {
    Now { boot, wall: jiff::Timestamp::from_microsecond(1_800_000_000_000_000 + boot as i64).unwrap() }
}

fn order(number: u8, groups: &[u8], sudo: bool) -> GrantOrder {
    let names = groups.iter().map(|group| format!("g{group}").parse().unwrap()).collect::<Vec<_>>();
    let mut privileges = Vec::new();
    if !names.is_empty() {
        privileges.push(Privilege::Groups(Groups { groups: names }));
    }
    if sudo {
        let rule: SudoRule = serde_json::from_str("{}").unwrap();
        privileges.push(Privilege::Sudo(rule));
    }
    GrantOrder { session: session(number), account: "ops".parse().unwrap(), privileges, expires: None }
}

/// A name for a unit on the simulated host.
fn name(unit: &Unit) -> String {
    match unit {
        Unit::Sudo { .. } => "sudo".to_owned(),
        Unit::Group { group, .. } => group.to_string(),
        other => other.to_string(),
    }
}

/// The host, its disk, and the agent's memory, which a crash clears.
#[derive(Default)]
struct World {
    state: State,
    pending: VecDeque<Effect>,
    disk: Ledger,
    deadlines: BTreeMap<SessionId, u64>,
    host: BTreeSet<String>,
    /// What was on the host before: `g0` is the account's own.
    before: BTreeSet<String>,
    told: Vec<FromAgent>,
    /// What the proxy was told last to stand.
    standing: Vec<Standing>,
    time: u64,
    /// By how much the wall clock was stepped, in microseconds.
    stepped: i64,
    failures: u8,
    used: BTreeSet<u8>,
}

impl World {
    fn new() -> Self {
        let before = BTreeSet::from(["g0".to_owned()]);
        let mut world = Self { host: before.clone(), before, ..Self::default() };
        world.give(Event::Started { deadlines: BTreeMap::new() });
        world.link();
        world
    }

    fn link(&mut self) {
        self.give(Event::Connected);
        let now = now(self.time).wall;
        let welcome = Welcome { protocol: 1, lease_millis: LEASE / 1000, user_ca: Vec::new(), now };
        self.give(Event::Proxy(FromProxy::Welcome(welcome)));
    }

    fn give(&mut self, event: Event) {
        let state = std::mem::take(&mut self.state);
        let now = now(self.time);
        let wall = now.wall.as_microsecond() + self.stepped;
        let now = Now { wall: jiff::Timestamp::from_microsecond(wall).unwrap(), ..now };
        let (state, effects) = step(state, event, now);
        self.state = state;
        self.pending.extend(effects);
    }

    /// Whether the next thing the simulated host is asked to do goes wrong.
    fn fails(&mut self) -> bool {
        let fails = self.failures & 1 == 1;
        self.failures >>= 1;
        fails
    }

    /// Executes one effect, as the shell would.
    fn run_one(&mut self) -> bool {
        let Some(effect) = self.pending.pop_front() else { return false };
        match effect {
            Effect::Plan { session, units } => {
                let plan = units.into_iter().map(|unit| {
                    let delta = match &unit {
                        Unit::Sudo { .. } => {
                            Delta::Sudo { file: format!("{session}-0"), blake3: String::new() }
                        }
                        _ => {
                            let absent = !self.host.contains(&name(&unit));
                            Delta::Group { group: absent, gshadow: absent }
                        }
                    };
                    (unit, delta)
                });
                let plan = Ok(plan.collect());
                self.give(Event::Planned { session, plan });
            }
            Effect::Journal { record, then } => {
                if self.fails() {
                    self.give(Event::JournalFailed { record, why: "disk full".to_owned() });
                } else {
                    self.disk.take(record);
                    for effect in then.into_iter().rev() {
                        self.pending.push_front(effect);
                    }
                }
            }
            Effect::Apply { session, fresh, joined } => {
                let mut result = Ok(Vec::new());
                for (unit, _) in &fresh {
                    // Invariant 4: durable before the first change.
                    assert!(self.disk.held(unit).is_some(), "{unit:?} applied without a record");
                    if self.fails() {
                        result = Err(unit.failure("does not work"));
                        break;
                    }
                    self.host.insert(name(unit));
                }
                assert!(joined.iter().all(|held| self.host.contains(&name(&held.unit))));
                self.give(Event::Applied { session, result });
            }
            Effect::Undo { session, units } => {
                let outcomes = units
                    .into_iter()
                    .map(|held| {
                        if self.fails() {
                            let result = Err(held.unit.failure("read-only file system"));
                            return Gone::new(held.unit, result);
                        }
                        if held.delta != (Delta::Group { group: false, gshadow: false }) {
                            self.host.remove(&name(&held.unit));
                        }
                        Gone::new(held.unit, Ok(None))
                    })
                    .collect();
                self.give(Event::Undone { session, outcomes });
            }
            Effect::Trace { session, known } => self.give(Event::Traced { session, traces: known }),
            Effect::EndProcesses { session, .. } => {
                self.give(Event::ProcessesEnded { session, leftovers: Vec::new() });
            }
            Effect::Hello { standing, .. } | Effect::Send(FromAgent::Standing { standing }) => {
                self.standing = standing;
            }
            Effect::Send(message) => {
                self.check(&message);
                self.told.push(message);
            }
            Effect::KeepDeadlines(deadlines) => self.deadlines = deadlines,
            Effect::Preview { .. } | Effect::TrustUserCa(_) | Effect::Warn(_) | Effect::Exit => {}
        }
        true
    }

    fn check(&self, message: &FromAgent) {
        if let FromAgent::Granted { session, .. } = message {
            assert!(self.disk.grants.get(session).is_some_and(|entry| entry.granted), "told before durable");
            for held in self.disk.held.iter().filter(|held| held.holders.contains(session)) {
                assert!(self.host.contains(&name(&held.unit)), "granted, but {held:?} is not there");
            }
        }
    }

    fn settle(&mut self) {
        while self.run_one() {}
    }

    /// The agent dies here: memory and everything not yet executed are gone.
    fn crash(&mut self) {
        self.pending.clear();
        self.state = State::recovered(self.disk.clone());
        let deadlines = self.deadlines.clone();
        self.give(Event::Started { deadlines });
    }

    /// Invariant 5: what an active grant holds is on the host.
    fn active_is_there(&self) {
        let active = |id: &SessionId| self.state.live().contains(id);
        for held in self.state.ledger().held.iter().filter(|held| held.applied) {
            if held.holders.iter().any(active) {
                assert!(self.host.contains(&name(&held.unit)), "{held:?} was taken from a live grant");
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Act {
    Order(u8, Vec<u8>, bool),
    Revoke(u8),
    Renew(Vec<u8>),
    Wait(u64),
    Unlink,
    Link,
    Run(u8),
    Fail(u8),
    Crash,
    Stop,
}

fn act() -> impl Strategy<Value = Act> {
    let groups = proptest::collection::vec(0u8..4, 0..3);
    prop_oneof![
        4 => (0u8..9, groups, any::<bool>()).prop_map(|(id, groups, sudo)| Act::Order(id, groups, sudo)),
        3 => (0u8..9).prop_map(Act::Revoke),
        2 => proptest::collection::vec(0u8..9, 0..9).prop_map(Act::Renew),
        2 => (0u64..20_000_000).prop_map(Act::Wait),
        1 => Just(Act::Unlink),
        1 => Just(Act::Link),
        8 => (0u8..8).prop_map(Act::Run),
        1 => any::<u8>().prop_map(Act::Fail),
        2 => Just(Act::Crash),
        1 => Just(Act::Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Invariants 1, 4 and 5.
    #[test]
    fn whatever_happens_the_host_is_what_it_was_once_the_leases_are_over(
        acts in proptest::collection::vec(act(), 0..60)
    ) {
        let mut world = World::new();
        for act in acts {
            match act {
                // A session's id is never used twice.
                Act::Order(id, ..) if !world.used.insert(id) => {}
                Act::Order(id, groups, sudo) => {
                    world.give(Event::Proxy(FromProxy::Grant(order(id, &groups, sudo))));
                }
                Act::Revoke(id) => world.give(Event::Proxy(FromProxy::Revoke { session: session(id) })),
                Act::Renew(ids) => {
                    let live = ids.into_iter().map(session).collect();
                    world.give(Event::Proxy(FromProxy::Lease { live }));
                }
                Act::Wait(micros) => {
                    world.time += micros;
                    world.give(Event::Tick);
                }
                Act::Unlink => world.give(Event::Disconnected),
                Act::Link => world.link(),
                Act::Run(count) => (0..count).for_each(|_| { world.run_one(); }),
                Act::Fail(mask) => world.failures = mask,
                Act::Crash => world.crash(),
                Act::Stop => world.give(Event::Stop),
            }
            world.active_is_there();
            prop_assert!(world.host.contains("g0"), "a membership from before was taken");
        }
        // The proxy is silent from here on; failed undos are tried until they work.
        world.settle();
        world.failures = 0;
        for _ in 0..3 {
            world.time += LEASE + 60_000_000;
            world.give(Event::Tick);
            world.settle();
        }
        prop_assert_eq!(&world.host, &world.before);
        prop_assert!(world.state.live().is_empty());
        prop_assert!(world.state.standing().is_empty());
        prop_assert_eq!(world.state.next_deadline(now(world.time)), None);
        // A restart now would find nothing to do, or only undo again what is gone.
        world.crash();
        world.settle();
        prop_assert_eq!(&world.host, &world.before);
    }
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
    assert_eq!(world.host, world.before);
}

#[test]
fn a_lease_that_does_not_list_a_grant_ends_it_and_one_that_does_keeps_it() {
    for (live, stays) in [(vec![session(1)], true), (vec![], false)] {
        let mut world = World::new();
        world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], true))));
        world.settle();
        world.time += LEASE - 1;
        world.give(Event::Proxy(FromProxy::Lease { live }));
        world.settle();
        world.time += LEASE - 1;
        world.give(Event::Tick);
        world.settle();
        assert_eq!(world.host != world.before, stays);
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
    world.give(Event::Proxy(FromProxy::Lease { live: vec![session(1)] }));
    world.settle();
    assert_eq!(world.host, world.before);
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
    assert_eq!(world.host, world.before);
    let clean =
        |told: &FromAgent| matches!(told, FromAgent::Ended { ended, .. } if ended.standing.is_empty());
    assert!(world.told.last().is_some_and(clean));
}

#[test]
fn what_stands_is_told_with_its_session_also_after_a_crash_and_so_is_that_nothing_does() {
    let mut world = World::new();
    world.give(Event::Proxy(FromProxy::Grant(order(1, &[1], false))));
    world.settle();
    for crash in [false, true] {
        world.failures = 0b1;
        if crash {
            world.crash();
            world.settle();
            world.link();
        } else {
            world.give(Event::Proxy(FromProxy::Revoke { session: session(1) }));
        }
        world.settle();
        let [told] = &world.standing[..] else { panic!("{:?}", world.standing) };
        assert_eq!((told.session, told.what.as_str()), (Some(session(1)), "ops is in g1"));
        assert_eq!(told.why.as_str(), "read-only file system");
    }
    world.time += 500_000;
    world.give(Event::Tick);
    world.settle();
    assert_eq!((world.standing, world.host), (Vec::new(), world.before));
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
            world.stepped = stepped;
            world.give(Event::Tick);
            world.settle();
            // Without a date, nothing but the lease ends it.
            prop_assert!(dated || world.host != world.before);
        }
        world.time = LEASE;
        world.give(Event::Tick);
        world.settle();
        prop_assert_eq!(&world.host, &world.before);
    }
}
