//! Whether the log is what was written.

use std::collections::VecDeque;
use std::path::Path;

use tidegate_common::audit::Chain;
use tidegate_common::digest::Digest;
use tidegate_common::name::GateName;
use tokio::sync::mpsc;

use super::lines::{self, Copied, Damage};
use super::writer::stored;
use super::{AuditError, read_error};
use crate::store::{AuditRow, Gate, GateId, Store};

/// Records read at a time.
const PAGE: u64 = 512;

/// A log that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many records this gate has.
    pub records: u64,
    /// The last one's link: whoever writes it down can tell later that nothing before
    /// it was changed.
    pub link: Digest,
    /// The same of each other gate.
    pub others: Vec<(GateName, Chain)>,
}

/// Walks the log and its copy side by side, then the other gates' parts, whose copies are with
/// them; `known` is the newest record that the log's task wrote. What does not hold in the log comes before what does not in the copy.
pub async fn verify(store: &Store, dir: &Path, known: u64) -> Result<Verified, AuditError> {
    let (send, mut lines) = mpsc::channel(64);
    let at = dir.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        lines::each(&at, |read, file, line| send.blocking_send((read, file.to_owned(), line)).is_ok())
    });
    let mut walk = Walk::of(store, store.own_gate());
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
        None => Ok(Verified { records, link, others: verify_parts(store).await? }),
    }
}

/// Where the parts of all gates but the store's own end, if each holds.
///
/// # Errors
/// Says what does not hold, or that the store can't be read.
pub async fn verify_parts(store: &Store) -> Result<Vec<(GateName, Chain)>, AuditError> {
    let mut ends = Vec::new();
    for Gate { id, name, .. } in store.gates().await.map_err(read_error)? {
        if id == store.own_gate() {
            continue;
        }
        let mut walk = Walk::of(store, id);
        let whole = async {
            while walk.step().await? {}
            Ok(())
        };
        match whole.await {
            Ok(()) => ends.push((name, walk.chain)),
            Err(why) => return Err(AuditError::Other { gate: name, why: Box::new(why) }),
        }
    }
    Ok(ends)
}

/// A walk through the part of one gate.
struct Walk<'a> {
    store: &'a Store,
    gate: GateId,
    chain: Chain,
    page: VecDeque<AuditRow>,
}

impl<'a> Walk<'a> {
    fn of(store: &'a Store, gate: GateId) -> Self {
        Self { store, gate, chain: Chain::start(), page: VecDeque::new() }
    }

    /// Checks the next record; `false` when there is none.
    async fn step(&mut self) -> Result<bool, AuditError> {
        if self.page.is_empty() {
            let from = i64::try_from(self.chain.seq.saturating_add(1)).unwrap_or(i64::MAX);
            self.page = self.store.audit_from(self.gate, from, PAGE).await.map_err(read_error)?.into();
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
