//! The task that owns the chain's end.

use jiff::Timestamp;
use std::sync::Arc;
use tidegate_common::audit::{Chain, Linked, Stored};
use tidegate_common::digest::Digest;
use tokio::sync::{mpsc, oneshot, watch};

use super::lines::Lines;
use super::{AuditError, Waiting};
use crate::store::{AuditRow, Store, StoreError};

/// The most records of one transaction.
const BATCH: usize = 256;

/// Who waits for one record of a batch.
type Done = oneshot::Sender<Result<u64, AuditError>>;

/// Writes until nobody can append any more. Ends without a wake-up in between.
pub async fn run(
    store: Store,
    mut lines: Lines,
    mut chain: Chain,
    mut waiting: mpsc::Receiver<Waiting>,
    newest: watch::Sender<u64>,
) {
    let mut batch = Vec::new();
    let mut sure = true;
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let (entries, done): (Vec<_>, Vec<Done>) =
            batch.drain(..).map(|waiting| (waiting.entry, waiting.done)).unzip();
        if !sure {
            // A transaction that failed may have been written all the same.
            match last(&store).await {
                Ok(end) => (chain, sure) = (end, true),
                Err(error) => {
                    refuse(done, &error);
                    continue;
                }
            }
        }
        let mut next = chain;
        let at = now();
        let linked: Result<Vec<Linked>, _> =
            entries.into_iter().map(|entry| next.append(entry, at)).collect();
        let written = match linked {
            Ok(linked) => store.audit_append_all(linked.iter().map(row).collect()).await.map(|()| linked),
            Err(error) => Err(StoreError::damaged("record of the audit log", error)),
        };
        match written {
            Ok(linked) => {
                chain = next;
                newest.send_replace(chain.seq);
                for (linked, done) in linked.iter().zip(done) {
                    // Whoever no longer waits has its record all the same.
                    let _ = done.send(Ok(linked.record.seq));
                }
                lines.write(&linked);
            }
            Err(error) => {
                sure = false;
                refuse(done, &AuditError::Append(Arc::new(error)));
            }
        }
    }
    // The copy is complete before whoever watches is told of the end.
    drop(lines);
    drop(newest);
}

fn refuse(done: Vec<Done>, error: &AuditError) {
    for done in done {
        let _ = done.send(Err(error.clone()));
    }
}

/// Where the stored log ends.
pub async fn last(store: &Store) -> Result<Chain, AuditError> {
    let read = |error| AuditError::Read(Arc::new(error));
    match store.audit_last().await.map_err(read)? {
        None => Ok(Chain::start()),
        Some(row) => stored(row).map(|stored| Chain { seq: stored.seq, link: stored.link }).map_err(read),
    }
}

/// A row as the chain knows it.
pub fn stored(row: AuditRow) -> Result<Stored<String>, StoreError> {
    let what = || format!("record {} of the audit log", row.seq);
    let seq = u64::try_from(row.seq).map_err(|error| StoreError::damaged(what(), error))?;
    let link = Digest::try_from(row.link.as_slice()).map_err(|error| StoreError::damaged(what(), error))?;
    Ok(Stored { seq, body: row.body, link })
}

fn row(linked: &Linked) -> AuditRow {
    AuditRow {
        seq: i64::try_from(linked.record.seq).unwrap_or(i64::MAX),
        at_millis: linked.record.at.as_millisecond(),
        body: linked.body.clone(),
        link: linked.link.0.to_vec(),
    }
}

/// To the millisecond, as records have it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
