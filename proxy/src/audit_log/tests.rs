//! The log over a real store.

mod faults;

use std::fs;
use std::time::Instant;

use tidegate_common::audit::{Actor, Broken, Event, Note};

use super::*;
use crate::store::testing::{Temporary, lose_answers, on_both};

async fn log(temporary: &Temporary) -> AuditLog {
    AuditLog::open(temporary.store.clone(), &temporary.directory().join("audit")).await.unwrap()
}

fn stopped(why: &str) -> Event {
    Event::ProxyStopped { why: Note::new(why) }
}

/// Rewrites the stored log as somebody with the file would.
async fn tamper(temporary: &Temporary, change: impl FnOnce(&mut Vec<crate::store::AuditRow>)) -> Temporary {
    let mut rows = temporary.store.audit_from(temporary.store.own_gate(), 1, 1000).await.unwrap();
    change(&mut rows);
    let other = Temporary::new().await;
    other.store.audit_append_all(rows, None).await.unwrap();
    other
}

/// The lines as far as they are written; the copy may lag.
fn lines(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let text: String = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    text.lines().map(str::to_owned).collect()
}

async fn records_are_numbered_chained_and_go_on_after_a_restart() {
    let temporary = Temporary::new().await;
    let first = log(&temporary).await;
    assert_eq!(first.append(stopped("one")).await.unwrap(), 1);
    assert_eq!(first.append(stopped("two").by(Actor::LocalAdmin)).await.unwrap(), 2);
    let end = first.newest.clone();
    drop(first);
    wait_for_the_end(end).await;
    let again = log(&temporary).await;
    assert_eq!(again.newest(), 2);
    assert_eq!(again.append(stopped("three")).await.unwrap(), 3);
    let verified = again.verify().await.unwrap();
    assert_eq!(verified.records, 3);
}

async fn records_appended_at_once_share_transactions_and_none_is_lost() {
    let temporary = Temporary::new().await;
    let log = log(&temporary).await;
    let start = Instant::now();
    for _ in 0..50 {
        log.append(stopped("alone")).await.unwrap();
    }
    let alone = start.elapsed() / 50;
    let start = Instant::now();
    let many: Vec<_> = (0..500)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move { log.append(stopped(&format!("{number}"))).await.unwrap() })
        })
        .collect();
    let mut given = Vec::new();
    for one in many {
        given.push(one.await.unwrap());
    }
    println!("an append takes {alone:?} alone, {:?} among 500 at once", start.elapsed() / 500);
    given.sort_unstable();
    assert_eq!(given, (51..=550).collect::<Vec<_>>());
    assert_eq!(log.verify().await.unwrap().records, 550);
}

async fn a_changed_record_is_found_at_its_number() {
    let temporary = Temporary::new().await;
    let log = log(&temporary).await;
    for why in ["one", "two", "three"] {
        log.append(stopped(why)).await.unwrap();
    }
    let changed = tamper(&temporary, |rows| rows[1].body = rows[1].body.replace("two", "2wo")).await;
    let verdict = verify::verify(&changed.store, &temporary.directory().join("audit"), 3).await;
    assert!(matches!(verdict, Err(AuditError::Broken(Broken::Link { seq: 2 }))), "{verdict:?}");
    let same = tamper(&temporary, |_| ()).await;
    let verdict = verify::verify(&same.store, &temporary.directory().join("audit"), 3).await;
    assert_eq!(verdict.unwrap().records, 3);
}

async fn a_log_cut_off_at_its_end_is_shown_by_its_copy() {
    let temporary = Temporary::new().await;
    let dir = temporary.directory().join("audit");
    let log = log(&temporary).await;
    for why in ["one", "two", "three"] {
        log.append(stopped(why)).await.unwrap();
    }
    let cut = tamper(&temporary, |rows| rows.truncate(2)).await;
    // Who runs still knows.
    let verdict = verify::verify(&cut.store, &dir, log.newest()).await;
    assert!(matches!(verdict, Err(AuditError::Short { found: 2, known: 3 })), "{verdict:?}");
    // Who starts anew reads it in the copy, which is complete when the log's task has ended.
    let (queue, end) = (log.queue.clone(), log.newest.clone());
    drop((log, queue));
    wait_for_the_end(end).await;
    let verdict = verify::verify(&cut.store, &dir, 0).await;
    assert!(matches!(verdict, Err(AuditError::Short { found: 2, known: 3 })), "{verdict:?}");
}

/// The sender goes with the log's task, after its lines.
async fn wait_for_the_end(mut newest: watch::Receiver<u64>) {
    while newest.changed().await.is_ok() {}
}

async fn a_log_written_anew_differs_from_its_copy() {
    let (temporary, forged) = (Temporary::new().await, Temporary::new().await);
    let first = log(&temporary).await;
    first.append(stopped("the truth")).await.unwrap();
    let end = first.newest.clone();
    drop(first);
    wait_for_the_end(end).await;
    log(&forged).await.append(stopped("a lie")).await.unwrap();
    let verdict = verify::verify(&forged.store, &temporary.directory().join("audit"), 0).await;
    assert!(matches!(verdict, Err(AuditError::Differs(1))), "{verdict:?}");
}

async fn each_record_is_copied_to_one_json_line_with_its_link() {
    let temporary = Temporary::new().await;
    let log = log(&temporary).await;
    log.append(stopped("one")).await.unwrap();
    log.append(stopped("two\nlines")).await.unwrap();
    let link = log.verify().await.unwrap().link;
    let end = log.newest.clone();
    drop(log);
    wait_for_the_end(end).await;
    let lines = lines(&temporary.directory().join("audit"));
    assert_eq!(lines.len(), 2);
    let last: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(last["record"]["seq"], 2);
    assert_eq!(last["record"]["event"]["why"], "two\\nlines");
    assert_eq!(last["link"], link.to_string());
}

async fn a_tail_shows_the_last_records_and_follows() {
    let temporary = Temporary::new().await;
    let log = log(&temporary).await;
    for why in ["one", "two", "three"] {
        log.append(stopped(why)).await.unwrap();
    }
    let mut last = log.tail(2, false);
    assert_eq!(last.next_record().await.unwrap().unwrap().seq, 2);
    assert_eq!(last.next_record().await.unwrap().unwrap().seq, 3);
    assert_eq!(last.next_record().await.unwrap(), None);
    let mut follower = log.tail(0, true);
    let (record, appended) = tokio::join!(follower.next_record(), log.append(stopped("four")));
    assert_eq!(record.unwrap().unwrap().seq, appended.unwrap());
    assert_eq!(log.tail(100, false).next_record().await.unwrap().unwrap().seq, 1);
    drop(log);
    assert_eq!(follower.next_record().await.unwrap(), None);
}

async fn what_is_told_while_nobody_knows_what_was_written_is_in_the_log_once() {
    let temporary = Temporary::new().await;
    let log = log(&temporary).await;
    log.append(stopped("before")).await.unwrap();
    // The first is written and its answer lost; of the second, not even the log's end can be read.
    lose_answers(2);
    for why in ["one", "two"] {
        let kept = log.tell(stopped(why)).await.unwrap_err();
        assert!(matches!(kept, AuditError::Kept(_)), "{kept}");
    }
    assert_eq!(log.append(stopped("after")).await.unwrap(), 4);
    let told = log.last(10).await.into_iter().map(|record| record.event).collect::<Vec<_>>();
    assert_eq!(told, ["before", "one", "two", "after"].map(stopped));
    assert_eq!(log.verify().await.unwrap().records, 4);
}

async fn a_store_that_is_gone_refuses_the_append() {
    let temporary = Temporary::new().await;
    let log = log(&temporary).await;
    log.append(stopped("one")).await.unwrap();
    temporary.store.clone().close().await.unwrap();
    let error = log.append(stopped("two")).await.unwrap_err();
    assert!(error.to_string().contains("could not be written, so nothing was done"), "{error}");
}

on_both! {
    records_are_numbered_chained_and_go_on_after_a_restart,
    records_appended_at_once_share_transactions_and_none_is_lost,
    a_changed_record_is_found_at_its_number,
    a_log_cut_off_at_its_end_is_shown_by_its_copy,
    a_log_written_anew_differs_from_its_copy,
    each_record_is_copied_to_one_json_line_with_its_link,
    a_tail_shows_the_last_records_and_follows,
    what_is_told_while_nobody_knows_what_was_written_is_in_the_log_once,
    a_store_that_is_gone_refuses_the_append,
}
