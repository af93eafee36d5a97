//! What a live session rests on, as far as the store knows it.

use tidegate_common::change::Change;
use tidegate_common::model::Request;
use tidegate_common::policy::EndReason;

use crate::store::StoreError;

/// What a live session was seen to rest on last.
#[derive(Debug, Default)]
pub(crate) struct Basis {
    pub(super) requests: Vec<Request>,
    pub(super) changes: Vec<Change>,
    /// Whether the last look could not be taken: it is to be taken again soon.
    pub stale: bool,
}

/// Keeps what was read of the store, or what it was last, while its database is away or holds what
/// only a newer gate can read; says whether it is stale.
pub(super) fn keep<T>(
    read: Result<Option<T>, StoreError>,
    kept: &mut Vec<T>,
    shared: bool,
) -> Result<bool, EndReason> {
    match read {
        Ok(read) => *kept = read.into_iter().collect(),
        Err(StoreError::Away { .. }) if !kept.is_empty() => return Ok(true),
        Err(StoreError::Unread { .. }) if !kept.is_empty() && shared => return Ok(true),
        Err(error) => {
            tracing::error!(%error, "what rests on a request or a change cannot be checked and ends");
            return Err(EndReason::Unchecked);
        }
    }
    Ok(false)
}
