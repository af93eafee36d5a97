//! A group's part in a decision, as a sentence for administrators.

use jiff::Timestamp;

use super::decide::Miss;

/// A group's part in a decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupVerdict {
    /// It governs.
    #[error("governs; demands {demands}{}", watching(*.silent_watch))]
    Governs {
        /// What it demands.
        demands: &'static str,
        /// Whether a session's user is not told who watches it.
        silent_watch: bool,
    },
    /// It counts, but another governs.
    #[error("counts, but another demands more, is older or is exceptional access; demands {0}")]
    Outdone(&'static str),
    /// It is exceptional access, and governs.
    #[error("is exceptional access and governs; demands nothing, ends at {0}")]
    Excepts(Timestamp),
    /// It is exceptional access that does not count.
    #[error("is exceptional access; does not count: {0}")]
    NotExcepting(Miss),
    /// The same, where one that ends later governs.
    #[error("is exceptional access, but another ends later; ends at {0}")]
    OutdoneException(Timestamp),
    /// It does not count.
    #[error("does not count: {0}")]
    Misses(Miss),
}

fn watching(silent: bool) -> &'static str {
    if silent { "; the user is not told that somebody watches the session" } else { "" }
}
