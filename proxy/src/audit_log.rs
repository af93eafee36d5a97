//! A stand-in with the audit log's interface, chained and durable: the audit log
//! proper, with its rolling lines, takes this file's place.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_common::audit::{Chain, Entry, Stored};
use tokio::sync::Mutex;

use crate::store::{AuditRow, Store, StoreError};

/// The log; clones share it.
#[derive(Clone)]
pub struct AuditLog {
    store: Store,
    chain: Arc<Mutex<Chain>>,
}

/// The log could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the audit log could not be written: {0}")]
pub struct AuditError(#[from] StoreError);

impl AuditLog {
    /// A log in the store.
    pub fn new(store: Store) -> Self {
        Self { store, chain: Arc::default() }
    }

    /// Appends an event; durable when this returns.
    pub async fn append(&self, entry: impl Into<Entry>) -> Result<(), AuditError> {
        let mut chain = self.chain.lock().await;
        let mut next = *chain;
        let at = Timestamp::now();
        let linked =
            next.append(entry.into(), at).map_err(|error| AuditError(StoreError::damaged("event", error)))?;
        let seq = i64::try_from(linked.record.seq).unwrap_or(i64::MAX);
        let link = linked.link.0.to_vec();
        self.store
            .audit_append(AuditRow { seq, at_millis: at.as_millisecond(), body: linked.body, link })
            .await?;
        *chain = next;
        Ok(())
    }
}
