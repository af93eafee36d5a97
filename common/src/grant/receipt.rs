//! What an agent says of a grant: what it applied, how it ended, why it could not.

use serde::{Deserialize, Serialize};

use super::PrivilegeKind;
use crate::audit::Note;
use crate::id::SessionId;
use crate::name::AccountName;

/// A grant applied and verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// One sentence for each privilege: what changed on the host.
    pub applied: Vec<String>,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// A grant that has ended. Empty `standing` means the host is what it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What could not be undone yet; it is retried and reported until it is.
    pub standing: Vec<Failure>,
    /// What someone else changed meanwhile, reported and left alone.
    pub drift: Vec<Drift>,
    /// Processes of the session that were ended.
    pub leftovers: Vec<Leftover>,
    /// From the order to the last check, in microseconds.
    pub micros: u64,
}

/// A privilege that could not be applied, verified or undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{kind}: {why}")]
pub struct Failure {
    /// Which kind of privilege.
    pub kind: PrivilegeKind,
    /// One sentence: what is wrong and what to do.
    pub why: String,
}

/// A privilege that is on the host although the session it was for is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// The session that held it last; not known of one that a crash left.
    pub session: Option<SessionId>,
    /// Whose it is.
    pub account: AccountName,
    /// Which kind.
    pub kind: PrivilegeKind,
    /// What it is, in a few words.
    pub what: Note,
    /// Why it could not be undone yet.
    pub why: Note,
}

/// Something the grant touched that is no longer as the grant left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Which kind of privilege.
    pub kind: PrivilegeKind,
    /// One sentence: what was found instead.
    pub found: String,
}

/// A process that outlived its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Its process id on the host.
    pub pid: u32,
    /// The name of its program (at most 15 bytes, as the kernel keeps it).
    pub comm: String,
    /// Its command line, as far as it was read; empty when it could not be.
    #[serde(default)]
    pub command: String,
    /// Whether it needed SIGKILL.
    pub killed: bool,
}
