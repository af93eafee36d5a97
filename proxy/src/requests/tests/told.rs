//! Who approves in whose place, and who is told.

use tidegate_common::notice::Notice;

use super::*;
use crate::store::NotificationFilter;

const PEOPLE: &str = r#"
[[user]]
name = "operator"
email = "operator@example.org"
manager = "boss"
[[user]]
name = "approver"
email = "approver@example.org"
[[user]]
name = "boss"
email = "boss@example.org"
deputy = { user = "zoe", from = 2020-01-01, until = 2999-12-31 }
[[user]]
name = "zoe"
email = "zoe@example.org"
[[user]]
name = "olga"
email = "olga@example.org"
[[access_group]]
name = "dba"
users = ["operator"]
approvers = ["approver", { manager = true, level = 2 }]
copy = ["olga"]
criteria = { accounts = ["ops"] }
session = { justification = true, emergency = true, approval = { needed = 1, levels = true } }
"#;

async fn managed() -> World {
    let world = world().await;
    world.apply(PEOPLE).await;
    world
}

impl World {
    /// Everything that was told so far, the oldest first: to whom and what.
    async fn told(&self) -> Vec<String> {
        let rows = self.temporary.store.notifications(&NotificationFilter::default()).await.unwrap();
        let line = |row: &crate::store::NotificationRow| {
            let tidegate_common::policy::Recipient::User(user) = &row.recipient else { panic!("{row:?}") };
            match &row.notice {
                Notice::ApprovalAsked { level, .. } => format!("{user}: asked in level {}", level.unwrap()),
                Notice::RequestDecided { decided, .. } => format!("{user}: {}", decided.outcome.word()),
                Notice::DecisionCopied { decided, .. } => format!("{user}: copy, {}", decided.outcome.word()),
                Notice::EmergencyUsed { .. } => format!("{user}: emergency"),
                other => panic!("{other:?}"),
            }
        };
        rows.iter().rev().map(line).collect()
    }
}

async fn the_manager_or_their_deputy_approves_and_each_is_told_when_it_is_their_turn() {
    let world = managed().await;
    let id = world.requests.create(ops()).await.unwrap().id;
    assert_eq!(world.told().await, ["approver: asked in level 1"]);
    world.approve(id, "approver", Wish::default()).await.unwrap();
    assert_eq!(world.told().await[1..], ["boss: asked in level 2", "zoe: asked in level 2"]);
    let own = world.approve(id, "operator", Wish::default()).await.unwrap_err().to_string();
    assert_eq!(own, "request 1 takes no vote of yours: nobody approves their own request");
    let approved = world.approve(id, "zoe", Wish::default()).await.unwrap();
    assert!(matches!(approved.state, RequestState::Approved { .. }));
    assert_eq!(approved.votes[1].stands_in_for, Some(user("boss")));
    assert_eq!(world.told().await[3..], ["operator: approved", "olga: copy, approved"]);
    world.requests.revoke(id, Some(&user("boss")), false, &by("boss"), text("enough")).await.unwrap();
    assert_eq!(world.told().await[5..], ["operator: revoked", "olga: copy, revoked"]);
}

async fn a_rejection_an_expiry_and_an_emergency_are_told_to_whom_they_concern() {
    let world = managed().await;
    let id = world.requests.create(ops()).await.unwrap().id;
    world.requests.reject(id, &user("approver"), &by("approver"), text("not now")).await.unwrap();
    assert_eq!(world.told().await[1..], ["operator: rejected", "olga: copy, rejected"]);
    let id = world.requests.create(ops()).await.unwrap();
    assert_eq!(world.requests.expire(id.expires).await.unwrap(), 1);
    assert_eq!(world.told().await[4..], ["operator: expired", "olga: copy, expired"]);
    let claims = Claims { emergency: text("the shop is down"), ..ops().claims };
    world.requests.create(NewRequest { claims, ..ops() }).await.unwrap();
    let told = world.told().await;
    assert_eq!(told[6..], ["approver: emergency", "boss: emergency", "zoe: emergency", "olga: emergency"]);
    // What was refused tells nobody.
    assert!(world.requests.create(NewRequest { claims: Claims::default(), ..ops() }).await.is_err());
    assert_eq!(world.told().await.len(), told.len());
}

on_both! {
    the_manager_or_their_deputy_approves_and_each_is_told_when_it_is_their_turn,
    a_rejection_an_expiry_and_an_emergency_are_told_to_whom_they_concern,
}
