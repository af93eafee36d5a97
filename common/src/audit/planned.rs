//! What the log says of changes and of sessions under them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Note, Notes};
use crate::name::AccessGroupName;

/// A step of a change's workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ChangeStep {
    /// Somebody wrote it; it waits for approval.
    Created {
        title: Note,
        group: AccessGroupName,
        devices: Notes,
        expected: u64,
        responsible: Notes,
        start: Timestamp,
        due: Timestamp,
    },
    /// Somebody else approved it.
    Approved { comment: Option<Note> },
    /// Somebody else rejected it.
    Rejected { comment: Option<Note> },
    /// It was taken back; sessions under it end.
    Cancelled { comment: Option<Note> },
    /// It is over, and this has become of it.
    Closed { outcome: Note, percent: u64, comment: Option<Note> },
}

impl fmt::Display for ChangeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comment = |comment: &Option<Note>| {
            comment.as_ref().map(|comment| format!(", comment: {comment}")).unwrap_or_default()
        };
        match self {
            Self::Created { title, group, devices, expected, responsible, start, due } => write!(
                f,
                "created for {devices} under group {group} from {start} until {due}: {title}, {expected} expected \
                 commands, responsible: {responsible}"
            ),
            Self::Approved { comment: said } => write!(f, "approved{}", comment(said)),
            Self::Rejected { comment: said } => write!(f, "rejected{}", comment(said)),
            Self::Cancelled { comment: said } => write!(f, "cancelled{}", comment(said)),
            Self::Closed { outcome, percent, comment: said } => {
                write!(f, "closed as {outcome}, score {percent} %{}", comment(said))
            }
        }
    }
}
