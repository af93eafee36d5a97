//! What a recording is made of: its header, and the events of its channels.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{RequestId, SessionId};
use crate::name::{AccessGroupName, CredentialName, UserName};

/// The version of our own part of the header.
pub const FORMAT: u16 = 1;

/// Whose recording it is. Holds no secret: it is readable by whoever may replay it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u16,
    /// The session.
    pub session: SessionId,
    /// The person.
    pub user: UserName,
    /// The account and device they were on.
    pub target: CredentialName,
    /// Where they came from.
    pub origin: IpAddr,
    /// When it began, to the millisecond; events count from here.
    pub started: jiff::Timestamp,
    /// The access group that admitted them.
    pub group: Option<AccessGroupName>,
    /// The request it was under.
    pub request: Option<RequestId>,
    /// Whether it was an emergency.
    pub emergency: bool,
    /// Whether what was typed is kept.
    pub input: bool,
    /// How much is kept of a stream that no terminal showed, in bytes.
    pub exec_output_limit: u64,
}

/// What a channel carries, and so how much of it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A PTY: everything it showed.
    Terminal,
    /// A command without a PTY: the first bytes of its output, and the whole's digest.
    Exec,
    /// SFTP or SCP: what the list of transfers does not tell of, as a command's output; of
    /// files no content; the whole's digest.
    Transfer,
    /// A port, X11 or agent forward: no content, the whole's digest.
    Forward,
}

/// A stream of a channel (RFC 4254, 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// From the user.
    Input,
    /// To the user.
    Output,
    /// To the user, SSH_EXTENDED_DATA_STDERR.
    Stderr,
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Stderr => "stderr",
        })
    }
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub cols: u32,
    pub rows: u32,
}

/// All that went through one stream of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// Which.
    pub stream: Stream,
    /// Bytes that went through.
    pub bytes: u64,
    /// Bytes of them that are in the recording.
    pub kept: u64,
    /// BLAKE3 of all of them; none for a terminal, whose bytes are all kept.
    pub blake3: Option<Digest>,
}

/// What happened beside the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Control {
    /// A channel is there, or is another kind from here on. `term` is the terminal's type, `size` its size.
    Opened { channel: u32, kind: Kind, command: Option<String>, term: Option<String>, size: Option<Size> },
    /// Its terminal has another size.
    Resized { channel: u32, size: Size },
    /// From here on no more of the stream is kept.
    Limited { channel: u32, stream: Stream, kept: u64 },
    /// A place to jump to, for a person.
    Marker { label: String },
    /// It is gone.
    Closed { channel: u32, exit: Option<u32>, signal: Option<String>, totals: Vec<Total> },
    /// The session is over.
    Ended { exit: Option<u32>, cause: String },
}
