//! Sessions of another gate on the same store.

use jiff::{SignedDuration, Timestamp};
use tidegate_common::id::SessionId;

use super::world::World;
use crate::store::SessionRow;

#[tokio::test]
async fn a_session_of_another_gate_lives_while_that_is_heard_of_and_is_ended_and_played_there() {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j x").await;
    world.says("approver", "request approve 1").await;
    let (own, store) = (world.session().await, &world.services.store);
    let now = Timestamp::now();
    let near = store.other_gate("near", now + SignedDuration::from_hours(1)).await;
    let gone = store.other_gate("gone", now - SignedDuration::from_mins(5)).await;
    let row = store.session(own).await.unwrap().unwrap();
    let (of_near, of_gone) = (SessionId::new(1_700_000_000_000, 7), SessionId::new(1_600_000_000_000, 7));
    for (id, gate) in [(of_near, near), (of_gone, gone)] {
        store.session_put(&SessionRow { id, gate, ..row.clone() }).await.unwrap();
    }
    let listed = async |line: &str| {
        let said = world.says("auditor", line).await.out;
        let listed: serde_json::Value = serde_json::from_str(&said).unwrap();
        let listed = listed.as_array().unwrap().iter();
        listed.map(|one| (one["gate"].to_string(), one["live"] == true)).collect::<Vec<_>>()
    };
    let all = [("gate1", true), ("near", true), ("gone", false)];
    let all = all.map(|(gate, live)| (format!("\"{gate}\""), live));
    assert_eq!(listed("session list -o json").await, all);
    assert_eq!(listed("session list --live -o json").await, all[..2]);
    let said = world.says("auditor", "session list").await.out;
    assert!(said.contains("not known: its gate gone was not heard of since"), "{said}");

    let show = world.says("auditor", &format!("session show {of_near}")).await.out;
    assert!(show.contains("it lives") && show.contains("on gate near; ask there"), "{show}");
    for line in ["session play", "session export", "session verify"] {
        let refused = world.says("auditor", &format!("{line} {of_near}")).await;
        assert_eq!(refused.status, 1);
        assert!(
            refused.err.contains("lies on gate near, which the session is on; ask there"),
            "{}",
            refused.err
        );
    }
    let commands = world.says("auditor", &format!("session commands {of_near}")).await.err;
    assert!(commands.contains("What the kernel saw lies on gate near"), "{commands}");

    let killed = world.says("root", &format!("session end {of_near}")).await;
    assert_eq!((killed.status, killed.err.as_str()), (0, ""));
    let locked = world.says("monitor", &format!("session lock {of_near}")).await;
    assert!(locked.status == 1 && locked.err.contains("is on gate near; ask there"), "{}", locked.err);
    let refused = world.says("root", &format!("session end {of_gone}")).await;
    assert!(
        refused.status == 1 && refused.err.contains("its gate gone was not heard of since"),
        "{}",
        refused.err
    );
}
