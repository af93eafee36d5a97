//! What the host's kernel saw run in a session, as the agent tells it.

use serde::{Deserialize, Serialize};

use crate::id::SessionId;
use crate::note::{CommandText, Note};

/// The most arguments of one exec that are kept.
pub const MOST_ARGS: usize = 64;

/// The most bytes of one exec's arguments that are kept.
pub const MOST_ARG_BYTES: usize = 8 * 1024;

/// The most execs in one [`Witnessed`].
pub const MOST_EXECS: usize = 256;

/// Whether the host's kernel can be asked what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "witness", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sight {
    /// It can.
    Sees,
    /// It cannot; sessions go on without a witness.
    Blind {
        /// One sentence.
        why: Note,
    },
}

impl Default for Sight {
    fn default() -> Self {
        Self::Blind { why: Note::new("the agent does not say") }
    }
}

/// One execve(2) or execveat(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// When it returned, by the host's clock; the kernel tells it to the tick.
    pub at: jiff::Timestamp,
    /// The process.
    pub pid: u32,
    /// Its parent then.
    pub ppid: u32,
    /// As whom it runs: the effective user id.
    pub uid: u32,
    /// 0, or the negative errno(3) of one that failed.
    pub exit: i32,
    /// The terminal it is on; empty when none.
    #[serde(default, skip_serializing_if = "Note::is_empty")]
    pub tty: Note<32>,
    /// The program that runs now; of one that failed, the file it asked for.
    pub exe: CommandText,
    /// Its arguments, as far as they are kept. Empty when it failed before it had any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<CommandText>,
    /// How many arguments were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u32,
    /// Its working directory.
    pub cwd: CommandText,
}

/// Some of what ran in one session. The agent sends it again on the next link until
/// [`super::FromProxy::Noted`] answers its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witnessed {
    /// Never used twice by one agent.
    pub number: u64,
    /// The session.
    pub session: SessionId,
    /// In the order in which the kernel told of them; at most [`MOST_EXECS`].
    pub execs: Vec<Exec>,
    /// How many records or execs were lost since the message before, at least.
    #[serde(default, skip_serializing_if = "is_zero_long")]
    pub lost: u64,
    /// Why something is missing, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Note>,
    /// Nothing follows: the session is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands in a reference
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands in a reference
fn is_zero_long(count: &u64) -> bool {
    *count == 0
}
