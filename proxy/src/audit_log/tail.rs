//! The end of the log, for whoever reads along: the records of all gates, by time, those of
//! each gate in their order.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate_common::audit::Record;
use tidegate_common::name::GateName;
use tokio::sync::watch;

use super::{AuditError, read_error};
use crate::store::{AuditRow, Gate, Store, StoreError};

/// Records read at a time.
const PAGE: u64 = 128;

/// How long until the other gates' records are looked for again.
const AGAIN: Duration = Duration::from_millis(500);

/// Records in order. Drop it to stop.
pub struct Tail {
    store: Store,
    newest: watch::Receiver<u64>,
    follow: bool,
    /// How many of before are shown.
    count: u64,
    /// The number of the first record of this gate that came since.
    since: i64,
    parts: Option<Vec<Part>>,
    /// Whose the last record was.
    last: Option<GateName>,
}

/// What is read of one gate's records.
struct Part {
    gate: Gate,
    /// The number of the next record to read.
    next: i64,
    page: VecDeque<AuditRow>,
}

impl Tail {
    pub(super) fn new(store: Store, newest: watch::Receiver<u64>, count: u64, follow: bool) -> Self {
        let since = i64::try_from(newest.borrow().saturating_add(1)).unwrap_or(i64::MAX);
        Self { store, newest, follow, count, since, parts: None, last: None }
    }

    /// The next record. Without `follow`, `None` after the newest one; with it, waits for
    /// one, and `None` when the log closes.
    ///
    /// # Errors
    /// When the store can't be read, or a record is of a version that this one does not know.
    pub async fn next_record(&mut self) -> Result<Option<Record>, AuditError> {
        loop {
            self.newest.borrow_and_update();
            let mut parts = match self.parts.take() {
                Some(parts) => parts,
                None => self.begin().await.map_err(read_error)?,
            };
            for part in &mut parts {
                part.fill(&self.store).await.map_err(read_error)?;
            }
            let several = parts.len() > 1;
            let oldest = parts
                .iter_mut()
                .filter_map(|part| part.page.front().map(|row| row.at_millis).map(|at| (at, part)))
                .min_by_key(|(at, _)| *at);
            if let Some((_, part)) = oldest
                && let Some(row) = part.page.pop_front()
            {
                self.last = several.then(|| part.gate.name.clone());
                self.parts = Some(parts);
                return record(&row).map(Some).map_err(read_error);
            }
            if !self.follow {
                return Ok(None);
            }
            if !self.wait(several).await {
                return Ok(None);
            }
            self.parts = Some(self.with_new(parts).await.map_err(read_error)?);
        }
    }

    /// Whose the last record was, where several gates share the log.
    #[must_use]
    pub fn gate(&self) -> Option<&GateName> {
        self.last.as_ref()
    }

    /// Waits for a record of this gate, or until others may have some; `false` when the log closes.
    async fn wait(&mut self, several: bool) -> bool {
        let others = async {
            if several || self.store.is_shared() {
                tokio::time::sleep(AGAIN).await;
            } else {
                std::future::pending().await
            }
        };
        tokio::select! {
            changed = self.newest.changed() => changed.is_ok(),
            () = others => true,
        }
    }

    async fn begin(&self) -> Result<Vec<Part>, StoreError> {
        let mut parts = Vec::new();
        let starts = self.store.audit_last_of_all(self.count).await?;
        for gate in self.store.gates().await? {
            let next = starts.iter().find(|(id, _)| *id == gate.id).map_or(1, |(_, next)| *next);
            let next = if gate.id == self.store.own_gate() { next.min(self.since) } else { next };
            parts.push(Part { gate, next, page: VecDeque::new() });
        }
        Ok(parts)
    }

    /// Gates that came since are read from their first record on.
    async fn with_new(&self, mut parts: Vec<Part>) -> Result<Vec<Part>, StoreError> {
        for gate in self.store.gates().await? {
            if parts.iter().all(|part| part.gate.id != gate.id) {
                parts.push(Part { gate, next: 1, page: VecDeque::new() });
            }
        }
        Ok(parts)
    }
}

impl Part {
    async fn fill(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.page.is_empty() {
            self.page = store.audit_from(self.gate.id, self.next, PAGE).await?.into();
            if let Some(row) = self.page.back() {
                self.next = row.seq.saturating_add(1);
            }
        }
        Ok(())
    }
}

pub(super) fn record(row: &AuditRow) -> Result<Record, StoreError> {
    serde_json::from_str(&row.body)
        .map_err(|error| StoreError::damaged(format!("record {} of the audit log", row.seq), error))
}
