//! Whether the log is what was written.

use std::collections::VecDeque;
use std::path::Path;

use tidegate_common::audit::Chain;
use tidegate_common::digest::Digest;
use tokio::sync::mpsc;

use super::lines::{self, Copied, Damage};
use super::writer::stored;
use super::{AuditError, read_error};
use crate::store::{AuditRow, Store};

/// Records read at a time.
const PAGE: u64 = 512;

/// A log that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many records there are.
    pub records: u64,
    /// The last one's link: whoever writes it down can tell later that nothing before
    /// it was changed.
    pub link: Digest,
}

/// Walks the log and its copy side by side; `known` is the newest record that the log's
/// task wrote. What does not hold in the log comes before what does not in the copy.
pub async fn verify(store: &Store, dir: &Path, known: u64) -> Result<Verified, AuditError> {
    let (send, mut lines) = mpsc::channel(64);
    let at = dir.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        lines::each(&at, |read, file, line| send.blocking_send((read, file.to_owned(), line)).is_ok())
    });
    let mut walk = Walk { store, chain: Chain::start(), page: VecDeque::new() };
    let (mut copied, mut damage) = (None, None);
    while let Some((read, file, line)) = lines.recv().await {
        let why = match read {
            Err(Damage { why, .. }) => why,
            Ok(Copied { seq, link }) => match walk.copied(copied.replace(seq), seq, link).await? {
                None => continue,
                Some(why) => why,
            },
        };
        damage.get_or_insert(Damage { file, line, why });
    }
    let wrong = |why: String| AuditError::Lines { dir: dir.to_owned(), why };
    reading.await.map_err(|panic| wrong(panic.to_string()))?.map_err(|error| wrong(error.to_string()))?;
    while walk.step().await? {}
    let Chain { seq: records, link } = walk.chain;
    match damage {
        _ if records < known => Err(AuditError::Short { found: records, known }),
        Some(damage) => Err(AuditError::Copy { damage, records, link }),
        None => Ok(Verified { records, link }),
    }
}

/// A walk through the stored log.
struct Walk<'a> {
    store: &'a Store,
    chain: Chain,
    page: VecDeque<AuditRow>,
}

impl Walk<'_> {
    /// Checks the next record; `false` when there is none.
    async fn step(&mut self) -> Result<bool, AuditError> {
        if self.page.is_empty() {
            let from = i64::try_from(self.chain.seq.saturating_add(1)).unwrap_or(i64::MAX);
            self.page = self.store.audit_from(from, PAGE).await.map_err(read_error)?.into();
        }
        let Some(row) = self.page.pop_front() else { return Ok(false) };
        self.chain.check(&stored(row).map_err(read_error)?)?;
        Ok(true)
    }

    /// Checks the copy's line for record `seq`, which follows the one for `before`. Says
    /// what is wrong with the copy alone.
    async fn copied(
        &mut self,
        before: Option<u64>,
        seq: u64,
        link: Digest,
    ) -> Result<Option<String>, AuditError> {
        if seq <= before.unwrap_or_default() {
            return Ok(Some(format!("record {seq} stands here after record {}", before.unwrap_or_default())));
        }
        while self.chain.seq < seq {
            if !self.step().await? {
                return Err(AuditError::Short { found: self.chain.seq, known: seq });
            }
        }
        if self.chain.link != link {
            return Err(AuditError::Differs(seq));
        }
        // Files that were taken away lack at the beginning only.
        let gap = before.map(|before| before + 1).filter(|expected| *expected < seq);
        Ok(gap.map(|from| format!("record {seq} follows, but {from} to {} are missing", seq - 1)))
    }
}
