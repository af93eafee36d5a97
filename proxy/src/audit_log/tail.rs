//! The end of the log, for whoever reads along.

use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_common::audit::Record;
use tokio::sync::watch;

use super::AuditError;
use crate::store::{AuditRow, Store, StoreError};

/// Records read at a time.
const PAGE: u64 = 128;

/// Records in order. Drop it to stop.
pub struct Tail {
    store: Store,
    newest: watch::Receiver<u64>,
    follow: bool,
    /// The number of the next record to read.
    next: u64,
    page: VecDeque<AuditRow>,
}

impl Tail {
    pub(super) fn new(store: Store, newest: watch::Receiver<u64>, count: u64, follow: bool) -> Self {
        let next = newest.borrow().saturating_sub(count).saturating_add(1);
        Self { store, newest, follow, next, page: VecDeque::new() }
    }

    /// The next record. Without `follow`, `None` after the newest one; with it, waits for
    /// one, and `None` when the log closes.
    ///
    /// # Errors
    /// When the store can't be read, or a record is of a version that this one does not know.
    pub async fn next_record(&mut self) -> Result<Option<Record>, AuditError> {
        loop {
            if let Some(row) = self.page.pop_front() {
                self.next = self.next.saturating_add(1);
                return record(&row).map(Some).map_err(|error| AuditError::Read(Arc::new(error)));
            }
            if *self.newest.borrow_and_update() < self.next {
                if !self.follow || self.newest.changed().await.is_err() {
                    return Ok(None);
                }
                continue;
            }
            let from = i64::try_from(self.next).unwrap_or(i64::MAX);
            let page = self.store.audit_from(from, PAGE).await;
            self.page = page.map_err(|error| AuditError::Read(Arc::new(error)))?.into();
            if self.page.is_empty() {
                // Told of, but gone: verify says so; here there is nothing to show.
                return Ok(None);
            }
        }
    }
}

pub(super) fn record(row: &AuditRow) -> Result<Record, StoreError> {
    serde_json::from_str(&row.body)
        .map_err(|error| StoreError::damaged(format!("record {} of the audit log", row.seq), error))
}
