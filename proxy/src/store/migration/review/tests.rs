//! What the step makes of requests that were there before it.

use sea_orm_migration::prelude::*;

use crate::store::migration::Migrator;
use crate::store::testing::{Temporary, gate};
use crate::store::{RequestFilter, Store, connect};

#[tokio::test]
async fn an_emergency_of_before_there_were_reviews_waits_for_one() {
    let temporary = Temporary::new().await;
    let path = temporary.directory().join("old.db");
    let url = crate::store::StoreUrl::Sqlite(path.clone());
    connect::make(&path).unwrap();
    let old = connect::connect(&url, 1).await.unwrap();
    let before = Migrator::migrations().iter().position(|step| step.name() == "m0008_review").unwrap();
    Migrator::up(&old, Some(before.try_into().unwrap())).await.unwrap();
    for (id, claims) in [(1, r#"{"justification":"\"emergency\":1"}"#), (2, r#"{"emergency":"fire"}"#)] {
        let document = format!(
            r#"{{"id":{id},"user":"operator","target":"ops@db01","action":"session","claims":{claims},
            "group":"dba","wish":{{}},"created":"2026-01-01T00:00:00Z","expires":"2026-01-02T00:00:00Z",
            "origin":null,"state":{{"state":"expired","at":"2026-01-02T00:00:00Z"}},"votes":[]}}"#
        );
        let row = format!(
            "INSERT INTO request (id, user_name, target, group_name, state, created, document) \
             VALUES ({id}, 'operator', 'ops@db01', 'dba', 'expired', 0, '{document}')"
        );
        old.execute_unprepared(&row).await.unwrap();
    }
    old.close().await.unwrap();
    let store = Store::open(&url, &gate("gate1")).await;
    let due = RequestFilter { to_review: true, ..RequestFilter::default() };
    let due = store.unwrap().requests(&due).await.unwrap();
    assert_eq!(due.iter().map(|request| request.id.0).collect::<Vec<_>>(), [2]);
    assert!(due[0].wants_review());
}
