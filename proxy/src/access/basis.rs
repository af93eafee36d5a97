//! What a live session rests on, as far as the store knows it.

use tidegate_common::change::Change;
use tidegate_common::model::Request;
use tidegate_common::policy::EndReason;

use crate::store::StoreError;

/// What a live session was seen to rest on last.
#[derive(Debug, Default)]
pub(crate) struct Basis {
    pub(super) requests: Vec<Request>,
    /// Those that gave its request more time, where that makes a difference.
    pub(super) more_time: Vec<Request>,
    pub(super) changes: Vec<Change>,
    /// Whether the last look could not be taken: it is to be taken again soon.
    pub stale: bool,
}

/// Keeps what was read of the store, or what it was last, while its database is away or holds what
/// only a newer gate can read; says whether it is stale. What is over is kept by nobody, however
/// little of it can be read ([`StoreError::Over`]).
pub(super) fn keep<T>(
    read: Result<impl IntoIterator<Item = T>, StoreError>,
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

#[cfg(test)]
mod tests {
    use tidegate_common::id::RequestId;

    use super::*;

    #[test]
    fn what_only_a_newer_gate_reads_is_rested_on_as_it_was_unless_it_is_over() {
        let why = || "tea".to_owned();
        let mut kept = vec![7];
        let unread = StoreError::Unread { what: "request 1".to_owned(), why: why() };
        assert_eq!(keep(Err::<Option<i32>, _>(unread), &mut kept, true), Ok(true));
        assert_eq!(kept, [7]);
        let over = StoreError::Over { request: RequestId(1), why: why() };
        assert_eq!(keep(Err::<Option<i32>, _>(over), &mut kept, true), Err(EndReason::Unchecked));
    }
}
