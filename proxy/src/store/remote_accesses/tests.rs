use tidegate_common::model::{Claims, Limited, RemoteAccessState, Scope};
use tidegate_common::time::{Length, Limitation, Window};

use super::*;
use crate::store::testing::{Temporary, on_both};

fn access(id: u64, user: &str) -> RemoteAccess {
    let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let limited =
        Limited { devices: vec![], credentials: vec![], times: Limitation::default(), sessions: Some(2) };
    RemoteAccess {
        id: RemoteAccessId(id),
        batch: Some(RemoteAccessId(1)),
        user: user.parse().unwrap(),
        group: "field".parse().unwrap(),
        scope: Scope::Limited(limited),
        claims: Claims::default(),
        window: Window::starting(now, Length::hours(2)),
        by: "root".to_owned(),
        created: now,
        origin: None,
        state: RemoteAccessState::Granted,
        approvals: Vec::new(),
        used: 0,
        end_told: false,
        keys: Vec::new(),
        before_user: false,
    }
}

async fn a_batch_of_a_thousand_comes_back_and_only_what_is_new_is_read_again() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    assert_eq!(store.next_remote_access_id().await.unwrap(), RemoteAccessId(1));
    let batch: Vec<_> = (1..=1000).map(|id| access(id, &format!("user{id}"))).collect();
    assert!(store.takes(Store::remote_accesses_made(batch)).await);
    assert_eq!(store.next_remote_access_id().await.unwrap(), RemoteAccessId(1001));
    let (read, seen) = store.remote_accesses_since(Revision::default()).await.unwrap();
    assert_eq!(read.len(), 1000);
    assert_eq!(store.remote_accesses_since(seen).await.unwrap(), (Vec::new(), seen));
    let of = |user: &str| RemoteAccessFilter { user: Some(user.parse().unwrap()), ..Default::default() };
    assert_eq!(store.remote_accesses(&of("user7")).await.unwrap(), [access(7, "user7")]);
    let batch = RemoteAccessFilter { batch: Some(RemoteAccessId(1)), limit: 10, ..Default::default() };
    assert_eq!(store.remote_accesses(&batch).await.unwrap().len(), 10);

    let (one, was) = store.remote_access_to_change(RemoteAccessId(7)).await.unwrap().unwrap();
    let state = RemoteAccessState::Cancelled { at: one.created, by: "root".to_owned(), comment: None };
    let cancelled = RemoteAccess { state, ..one.clone() };
    assert!(store.takes(Store::remote_access_changed(cancelled.clone(), was)).await);
    assert!(!store.takes(Store::remote_access_changed(one, was)).await, "it was written since");
    let (read, _) = store.remote_accesses_since(seen).await.unwrap();
    assert_eq!(read, [cancelled]);
    assert!(!store.takes(Store::remote_accesses_made(vec![access(7, "adam")])).await, "the number is taken");
}

async fn no_more_sessions_are_counted_than_there_are_and_none_of_what_is_cancelled() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    assert!(store.takes(Store::remote_accesses_made(vec![access(1, "olga"), access(2, "adam")])).await);
    let use_one = async |id| store.takes(Store::remote_access_used(RemoteAccessId(id), 2)).await;
    assert!(use_one(1).await && use_one(1).await && !use_one(1).await);
    let (used, was) = store.remote_access_to_change(RemoteAccessId(1)).await.unwrap().unwrap();
    assert_eq!((used.used, used.sessions_left()), (2, Some(0)));
    // Writing what was read does not give a session back.
    assert!(store.takes(Store::remote_access_changed(RemoteAccess { used: 0, ..used }, was)).await);
    assert_eq!(store.remote_access(RemoteAccessId(1)).await.unwrap().unwrap().used, 2);
    let (one, was) = store.remote_access_to_change(RemoteAccessId(2)).await.unwrap().unwrap();
    let state = RemoteAccessState::Cancelled { at: one.created, by: "root".to_owned(), comment: None };
    assert!(store.takes(Store::remote_access_changed(RemoteAccess { state, ..one }, was)).await);
    assert!(!use_one(2).await);
}

async fn one_that_has_expired_is_written_as_gates_of_before_read_it() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    let made = access(1, "olga");
    let until = made.created;
    let pending = RemoteAccess { state: RemoteAccessState::Pending { needed: 2, until }, ..made };
    assert!(store.takes(Store::remote_accesses_made(vec![pending.clone()])).await);
    let (read, was) = store.remote_access_to_change(RemoteAccessId(1)).await.unwrap().unwrap();
    assert_eq!(read, pending, "nobody has written down that it expired");
    let expired = RemoteAccess { state: RemoteAccessState::Expired { at: until }, ..pending };
    assert!(store.takes(Store::remote_access_changed(expired.clone(), was)).await);
    assert_eq!(store.remote_access(RemoteAccessId(1)).await.unwrap(), Some(expired.clone()));
    let filter = RemoteAccessFilter { states: &["expired"], ..Default::default() };
    assert_eq!(store.remote_accesses(&filter).await.unwrap(), std::slice::from_ref(&expired));

    // They know of no state that is called so, and of one that waited until then.
    let row = Entity::find_by_id(1).one(&store.readers).await.unwrap().unwrap();
    let document: serde_json::Value = serde_json::from_str(&row.document).unwrap();
    let waited = serde_json::json!({ "state": "pending", "needed": 1, "until": until });
    assert_eq!(document["state"], waited);
    // What a gate in between wrote is read as well.
    let written = serde_json::to_string(&expired).unwrap();
    let between = ActiveModel { id: Set(1), document: Set(written), ..Default::default() };
    Entity::update(between).exec(&store.writer).await.unwrap();
    assert_eq!(store.remote_access(RemoteAccessId(1)).await.unwrap(), Some(expired));
}

on_both! {
    a_batch_of_a_thousand_comes_back_and_only_what_is_new_is_read_again,
    no_more_sessions_are_counted_than_there_are_and_none_of_what_is_cancelled,
    one_that_has_expired_is_written_as_gates_of_before_read_it,
}
