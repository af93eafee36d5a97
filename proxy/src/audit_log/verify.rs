//! Whether the log is what was written.

use std::path::Path;
use std::sync::Arc;

use tidegate_common::audit::Chain;
use tidegate_common::digest::Digest;

use super::writer::stored;
use super::{AuditError, lines};
use crate::store::Store;

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

/// Walks the log; `known` is the newest record that the log's task wrote.
pub async fn verify(store: &Store, dir: &Path, known: u64) -> Result<Verified, AuditError> {
    let at = dir.to_owned();
    let copy = tokio::task::spawn_blocking(move || lines::newest(&at)).await;
    let copy =
        copy.unwrap_or_else(|panic| Err(AuditError::Lines { dir: dir.to_owned(), why: panic.to_string() }))?;
    let mut chain = Chain::start();
    loop {
        let read = |error| AuditError::Read(Arc::new(error));
        let from = i64::try_from(chain.seq.saturating_add(1)).unwrap_or(i64::MAX);
        let page = store.audit_from(from, PAGE).await.map_err(read)?;
        if page.is_empty() {
            break;
        }
        for row in page {
            chain.check(&stored(row).map_err(read)?)?;
            if copy.as_ref().is_some_and(|copy| copy.seq == chain.seq && copy.link != chain.link) {
                return Err(AuditError::Differs(chain.seq));
            }
        }
    }
    let known = copy.map_or(known, |copy| copy.seq.max(known));
    if chain.seq < known {
        return Err(AuditError::Short { found: chain.seq, known });
    }
    Ok(Verified { records: chain.seq, link: chain.link })
}
