//! Why something could not be done with a change.

use tidegate_common::change::{ChangeStateWord, DraftError, NoApproval};
use tidegate_common::name::ChangeId;

use crate::audit_log::AuditError;
use crate::store::StoreError;
use crate::turn::Retryable;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is none of that id, or none that concerns the one who asks.
    #[error("there is no change `{0}` that concerns you; `change list` shows those that do")]
    Unknown(ChangeId),
    /// The id is taken.
    #[error("there is a change `{0}` already; give this one another id")]
    Taken(ChangeId),
    /// The draft does not hold.
    #[error("change `{id}` was not made:\n{}", lines(.wrong))]
    Wrong {
        /// Which.
        id: ChangeId,
        /// All that is wrong with it.
        wrong: Vec<DraftError>,
    },
    /// A part of one that is being written does not hold.
    #[error(transparent)]
    Part(DraftError),
    /// The author has too many that wait.
    #[error("too many of your changes wait for approval already; cancel some with `change cancel`")]
    TooMany,
    /// It is not in the state for that.
    #[error("change `{id}` is {state} already")]
    State {
        /// Which.
        id: ChangeId,
        /// What it is.
        state: ChangeStateWord,
    },
    /// Nobody has approved it.
    #[error("change `{0}` still waits for approval; `change cancel` takes it back")]
    Waits(ChangeId),
    /// It is too late to approve it.
    #[error("the time of change `{0}` is over; make a new one")]
    Over(ChangeId),
    /// This person may not approve or reject it.
    #[error("change `{id}` takes no approval of yours: {why}")]
    NoApproval {
        /// Which.
        id: ChangeId,
        /// Why not.
        why: NoApproval,
    },
    /// Others end it.
    #[error(
        "change `{0}` is not yours to end; its author, its responsible, its approvers and administrators do that"
    )]
    NotYours(ChangeId),
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log failed; nothing was changed.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The proxy is stopping.
    #[error("the gate is stopping; try again later")]
    Stopping,
}

impl Retryable for ChangeError {
    fn is_changed(&self) -> bool {
        matches!(self, Self::Audit(error) if error.is_changed())
    }
}

fn lines(wrong: &[DraftError]) -> String {
    wrong.iter().map(|why| format!("  {why}")).collect::<Vec<_>>().join("\n")
}
