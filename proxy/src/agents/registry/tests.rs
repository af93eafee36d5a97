//! Who hears of the end of a grant, and who may tell it.

use tidegate_common::wire::GrantOrder;

use super::*;
use crate::store::testing::gate;

pub(super) fn registry() -> Registry {
    Registry::new(Duration::from_secs(30), gate("gate1"))
}

pub(super) fn status() -> LinkStatus {
    LinkStatus {
        protocol: tidegate_common::wire::VERSION,
        version: "1".to_owned(),
        kinds: vec![PrivilegeKind::Sudo],
        vouched: Vouched::default(),
        bound: false,
        explains: false,
        remarks: false,
        witness: Sight::Sees,
        since: Instant::now(),
    }
}

fn order(number: u128) -> GrantOrder {
    GrantOrder {
        session: SessionId::new(1, number),
        account: "ops".parse().unwrap(),
        privileges: Vec::new(),
        expires: None,
        gate: None,
    }
}

pub(super) fn db01() -> DeviceName {
    "db01".parse().unwrap()
}

/// The agent of db01 links; these grants live there.
pub(super) fn connect(
    registry: &Registry,
    status: LinkStatus,
    alive: &[SessionId],
) -> mpsc::Receiver<FromProxy> {
    let (sender, orders) = mpsc::channel(8);
    registry.connected(&db01(), status, alive, sender);
    orders
}

pub(super) async fn granted(registry: &Registry, number: u128) -> (LiveGrant, mpsc::Receiver<FromProxy>) {
    let (sender, mut orders) = mpsc::channel(8);
    registry.connected(&db01(), status(), &[], sender);
    let receipt = Receipt { applied: Vec::new(), micros: 1 };
    let answer = async {
        assert!(matches!(orders.recv().await, Some(FromProxy::Grant(_))));
        registry.granted(SessionId::new(1, number), &db01(), receipt);
    };
    let device = db01();
    let (grant, ()) = tokio::join!(registry.grant(&device, order(number)), answer);
    (grant.unwrap(), orders)
}

#[tokio::test]
async fn a_grant_that_is_dropped_is_revoked_and_off_the_lease() {
    let registry = registry();
    let (grant, mut orders) = granted(&registry, 7).await;
    assert_eq!(registry.live(&db01()), [SessionId::new(1, 7)]);
    drop(grant);
    assert!(registry.live(&db01()).is_empty());
    assert!(matches!(orders.recv().await, Some(FromProxy::Revoke { .. })));
}

#[tokio::test]
async fn without_an_agent_nothing_is_granted_and_the_user_is_told_whom_to_ask() {
    let registry = registry();
    let error = registry.grant(&db01(), order(1)).await.err().unwrap();
    assert!(error.to_string().contains("the agent on db01 is away"), "{error}");
    assert!(registry.live(&db01()).is_empty());
}

#[tokio::test]
async fn another_device_cannot_speak_for_a_grant() {
    let registry = registry();
    let (mut grant, _orders) = granted(&registry, 7).await;
    let other: DeviceName = "db02".parse().unwrap();
    registry.ended(SessionId::new(1, 7), &other, &Ended::default());
    let over = tokio::time::timeout(Duration::ZERO, grant.over()).await;
    assert!(over.is_err(), "{over:?}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_away_for_a_lease_loses_its_grants() {
    let registry = registry();
    let (mut grant, _orders) = granted(&registry, 7).await;
    registry.disconnected(&db01(), 1);
    let before = tokio::time::Instant::now();
    assert!(matches!(grant.over().await, GrantOver::Lost));
    assert!(before.elapsed() >= Duration::from_secs(30));
}

#[tokio::test]
async fn an_agent_that_comes_back_with_the_grant_keeps_it() {
    let registry = registry();
    let (mut grant, _orders) = granted(&registry, 7).await;
    registry.disconnected(&db01(), 1);
    let (sender, _orders) = mpsc::channel(8);
    registry.connected(&db01(), status(), &[SessionId::new(1, 7)], sender);
    registry.give_up(&db01(), 1);
    assert!(tokio::time::timeout(Duration::ZERO, grant.over()).await.is_err());
}

fn states(registry: &Registry) -> Vec<GrantState> {
    registry.grants().iter().map(|grant| grant.state).collect()
}

#[tokio::test(start_paused = true)]
async fn a_grant_is_seen_from_its_order_until_its_agent_says_that_it_is_gone() {
    let registry = registry();
    let (sender, mut orders) = mpsc::channel(8);
    registry.connected(&db01(), status(), &[], sender);
    assert_eq!(states(&registry), []);
    let answer = async {
        assert!(matches!(orders.recv().await, Some(FromProxy::Grant(_))));
        assert_eq!(states(&registry), [GrantState::Applying]);
        let receipt = Receipt { applied: vec!["done".to_owned()], micros: 1 };
        registry.granted(SessionId::new(1, 7), &db01(), receipt);
    };
    let device = db01();
    let (grant, ()) = tokio::join!(registry.grant(&device, order(7)), answer);
    tokio::time::advance(Duration::from_secs(12)).await;
    let [seen] = &registry.grants()[..] else { panic!("one grant") };
    assert_eq!((seen.state, seen.what.applied.as_slice()), (GrantState::Active, &["done".to_owned()][..]));
    assert_eq!(seen.lease_left, Duration::from_secs(18));
    registry.live(&db01());
    assert_eq!(registry.grants()[0].lease_left, Duration::from_secs(30));
    drop(grant);
    assert_eq!(states(&registry), [GrantState::Ending]);
    let other: DeviceName = "db02".parse().unwrap();
    registry.ended(SessionId::new(1, 7), &other, &Ended::default());
    assert_eq!(states(&registry), [GrantState::Ending], "another device has no say in it");
    registry.ended(SessionId::new(1, 7), &db01(), &Ended::default());
    assert_eq!(states(&registry), []);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_whose_answer_was_lost_is_ordered_again_or_forgotten_with_the_lease() {
    for back in [true, false] {
        let registry = registry();
        let (grant, _orders) = granted(&registry, 7).await;
        registry.disconnected(&db01(), 1);
        drop(grant);
        assert_eq!(states(&registry), [GrantState::Ending]);
        assert!(!registry.grants()[0].linked);
        let (sender, mut orders) = mpsc::channel(8);
        if back {
            registry.connected(&db01(), status(), &[], sender);
            assert!(matches!(orders.recv().await, Some(FromProxy::Revoke { .. })));
        }
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(states(&registry).len(), usize::from(back), "the lease ended it, if nothing else did");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_away_twice_for_a_moment_keeps_its_grants() {
    let registry = registry();
    let (mut grant, _orders) = granted(&registry, 7).await;
    registry.disconnected(&db01(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (sender, _orders) = mpsc::channel(8);
    let second = registry.connected(&db01(), status(), &[SessionId::new(1, 7)], sender).number;
    tokio::time::sleep(Duration::from_secs(28)).await;
    registry.disconnected(&db01(), second);
    // A lease after the first time it left, it has been away for two seconds.
    assert!(tokio::time::timeout(Duration::from_secs(2), grant.over()).await.is_err());
    // And after a lease of its own it is given up.
    assert!(tokio::time::timeout(Duration::from_secs(29), grant.over()).await.is_ok());
}

/// How an agent that is being replaced leaves an order.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Leaves {
    /// It says that it does not take it.
    Refused,
    /// It has said its last word when the order comes.
    Unheard,
    /// The link was gone already.
    Late,
}

#[tokio::test(start_paused = true)]
async fn a_session_that_begins_while_its_agent_is_replaced_gets_its_grant_from_the_successor() {
    for leaves in [Leaves::Refused, Leaves::Unheard, Leaves::Late] {
        let registry = registry();
        let (sender, mut orders) = mpsc::channel(8);
        let first = registry.connected(&db01(), status(), &[], sender).number;
        let replaced = async {
            if leaves != Leaves::Late {
                assert!(matches!(orders.recv().await, Some(FromProxy::Grant(_))));
            }
            if leaves == Leaves::Refused {
                registry.later(SessionId::new(1, 7), &db01());
            }
            registry.replaced(&db01(), first);
            registry.disconnected(&db01(), first);
        };
        let device = db01();
        let succeeds = async {
            let (sender, mut orders) = mpsc::channel(8);
            registry.connected(&db01(), status(), &[], sender);
            assert!(matches!(orders.recv().await, Some(FromProxy::Grant(_))), "not ordered again");
            registry.granted(SessionId::new(1, 7), &db01(), Receipt { applied: Vec::new(), micros: 1 });
        };
        let begins = registry.grant(&device, order(7));
        let grant = if leaves == Leaves::Late {
            replaced.await;
            tokio::join!(begins, succeeds).0
        } else {
            tokio::join!(begins, async { (replaced.await, succeeds.await) }).0
        };
        assert!(grant.is_ok(), "{leaves:?}: {:?}", grant.err());
        assert_eq!(registry.live(&db01()), [SessionId::new(1, 7)], "{leaves:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_does_not_come_is_waited_for_ten_seconds_and_one_that_was_not_told_of_not_at_all() {
    for (told, seconds, sentence) in [(true, 10, "is being replaced"), (false, 0, "is away")] {
        let registry = registry();
        let (sender, _orders) = mpsc::channel(8);
        let number = registry.connected(&db01(), status(), &[], sender).number;
        if told {
            registry.replaced(&db01(), number);
        }
        registry.disconnected(&db01(), number);
        // Another device's link is no reason to look up.
        let (sender, _others) = mpsc::channel(8);
        registry.connected(&"db02".parse().unwrap(), status(), &[], sender);
        let before = tokio::time::Instant::now();
        let error = registry.grant(&db01(), order(7)).await.err().unwrap();
        assert_eq!(before.elapsed().as_secs(), seconds);
        assert!(error.to_string().contains(sentence), "{error}");
        assert!(registry.grants().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_it_waits_for_a_successor_is_not_ordered_again() {
    let registry = registry();
    let (sender, _orders) = mpsc::channel(8);
    let number = registry.connected(&db01(), status(), &[], sender).number;
    registry.replaced(&db01(), number);
    registry.disconnected(&db01(), number);
    let device = db01();
    let waits = registry.grant(&device, order(7));
    assert!(tokio::time::timeout(Duration::from_secs(1), waits).await.is_err());
    let (sender, mut orders) = mpsc::channel(8);
    registry.connected(&db01(), status(), &[], sender);
    assert!(orders.try_recv().is_err());
}

#[tokio::test]
async fn an_order_names_its_gate_to_agents_that_know_of_it_and_a_lease_to_all() {
    for (protocol, named) in [(1, None), (2, Some(gate("gate1")))] {
        let registry = registry();
        let (sender, mut orders) = mpsc::channel(8);
        registry.connected(&db01(), LinkStatus { protocol, ..status() }, &[], sender);
        let (device, ordered) = (db01(), order(7));
        tokio::select! {
            ended = registry.grant(&device, ordered) => panic!("{:?}", ended.err()),
            said = orders.recv() => {
                let Some(FromProxy::Grant(order)) = said else { panic!("{said:?}") };
                assert_eq!(order.gate, named, "version {protocol}");
            }
        }
        let FromProxy::Lease { gate: of, .. } = registry.lease_for(&db01()) else { panic!() };
        assert_eq!(of, Some(gate("gate1")));
    }
}
