//! What is told of a file that went through a session, or was changed in it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CommandText, FileChange, Note, Outcome, Way};
use crate::digest::Digest;

/// A file went through, or was to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    pub way: Way,
    pub path: CommandText,
    pub bytes: u64,
    /// Of the whole file, when that is certain.
    pub sha256: Option<Digest>,
    pub outcome: Outcome,
    /// Why it went so, or why the digest is not known.
    pub detail: Option<Note>,
}

/// A file or directory was changed by a request of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    pub change: FileChange,
    pub path: CommandText,
    /// Its new name, or what a link points to.
    pub to: Option<CommandText>,
    /// Those that were set.
    pub attributes: Option<Note>,
    pub outcome: Outcome,
    pub detail: Option<Note>,
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, path, bytes, outcome, .. } = self;
        write!(f, "{way} of {path}, {bytes} bytes, {outcome}")
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { change, path, to, outcome, .. } = self;
        let to = to.as_ref().map(|to| format!(", to: {to}")).unwrap_or_default();
        write!(f, "{change}: {path}{to}, {outcome}")
    }
}
