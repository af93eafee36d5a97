use tidegate_common::change::{ChangeState, Report};
use tidegate_common::id::SessionId;

use super::comparisons::Comparison;
use super::*;
use crate::store::testing::{Temporary, on_both};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn change(id: &str, due: i64) -> Change {
    Change {
        id: id.parse().unwrap(),
        title: "restart the database".parse().unwrap(),
        description: None,
        start: at(0),
        due: at(due),
        group: "dba".parse().unwrap(),
        devices: vec!["db01".parse().unwrap()],
        expected: Vec::new(),
        ordered: false,
        responsible: vec!["olga".parse().unwrap()],
        interrupt: false,
        author: "operator".parse().unwrap(),
        created: at(due),
        state: ChangeState::WaitingApproval,
    }
}

fn approved(change: Change) -> Change {
    Change { state: ChangeState::Approved { by: "zoe".to_owned(), at: at(1), comment: None }, ..change }
}

fn ids(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.id.as_str()).collect()
}

async fn changes_come_back_and_those_that_are_open_are_found() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    for (id, due) in [("CHG-1", 10), ("CHG-2", 20), ("CHG-3", 30)] {
        assert!(store.takes(Store::change_made(change(id, due))).await);
    }
    assert!(!store.takes(Store::change_made(change("CHG-1", 99))).await, "the id is taken");
    for id in ["CHG-1", "CHG-2"] {
        let (change, was) = store.change_to_change(&id.parse().unwrap()).await.unwrap().unwrap();
        assert!(store.takes(Store::change_changed(approved(change), was)).await);
    }
    let all = store.changes(&ChangeFilter::default()).await.unwrap();
    assert_eq!(ids(&all), ["CHG-3", "CHG-2", "CHG-1"]);
    let (dba, named) = ("dba".parse().unwrap(), ["CHG-3".parse().unwrap(), "CHG-9".parse().unwrap()]);
    assert_eq!(ids(&store.changes_for(&dba, &[], at(15)).await.unwrap()), ["CHG-2"]);
    assert_eq!(ids(&store.changes_for(&dba, &named, at(15)).await.unwrap()), ["CHG-2", "CHG-3"]);
    assert_eq!(store.changes_for(&"web".parse().unwrap(), &[], at(15)).await.unwrap(), []);
    assert_eq!(store.change(&"CHG-2".parse().unwrap()).await.unwrap(), Some(approved(change("CHG-2", 20))));
}

async fn a_change_that_somebody_else_wrote_meanwhile_is_not_written() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    assert!(store.takes(Store::change_made(change("CHG-1", 10))).await);
    let before = store.revisions().await.unwrap().requests;
    let (read, was) = store.change_to_change(&"CHG-1".parse().unwrap()).await.unwrap().unwrap();
    assert!(store.takes(Store::change_changed(approved(read.clone()), was)).await);
    assert!(store.revisions().await.unwrap().requests > before, "other gates are told to look again");
    assert!(!store.takes(Store::change_changed(read, was)).await);
}

async fn what_came_of_a_session_is_written_over_and_found_by_its_change() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    let comparison = |session, complete| Comparison {
        session: SessionId::new(session, 1),
        change: "CHG-1".parse().unwrap(),
        complete,
        witnessed: true,
        report: Report::default(),
    };
    for written in [comparison(2, false), comparison(3, false)] {
        assert!(store.takes(store.comparing(written)).await);
    }
    for written in [comparison(1, true), comparison(2, true)] {
        assert!(store.takes(Store::compared(written)).await);
    }
    let cut_off = store.cut_off().await.unwrap().into_iter().map(|one| one.came.unwrap());
    assert_eq!(cut_off.collect::<Vec<_>>(), [comparison(3, false)], "the others are over");
    assert!(store.takes(Store::compared(comparison(3, false))).await);
    assert!(store.cut_off().await.unwrap().is_empty());
    let found = store.comparisons(&"CHG-1".parse().unwrap()).await.unwrap();
    assert_eq!(found, [comparison(1, true), comparison(2, true), comparison(3, false)]);
    assert_eq!(store.comparison(SessionId::new(2, 1)).await.unwrap(), Some(comparison(2, true)));
    assert_eq!(store.comparison(SessionId::new(4, 1)).await.unwrap(), None);
}

on_both! {
    changes_come_back_and_those_that_are_open_are_found,
    a_change_that_somebody_else_wrote_meanwhile_is_not_written,
    what_came_of_a_session_is_written_over_and_found_by_its_change,
}
