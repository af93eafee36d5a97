//! What a connection is, how far it has come, and what its channels are.

use russh::Channel;
use russh::server::Msg;
use tidegate_common::name::DeviceName;
use tidegate_common::policy::Proved;

use super::super::forward::Asked;
use super::MOST_ENV;
use crate::admission::Conversation;
use crate::inbox::Inbox;
use crate::relay::{Control, Terminal};
use crate::session::Held;

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The protocol.
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    /// The log.
    #[error("{0}")]
    Audit(#[from] crate::audit_log::AuditError),
    /// The client tried too often.
    #[error("too many wrong keys or answers")]
    Attempts,
}

/// Where a connection comes in.
#[derive(Debug, Clone)]
pub enum Entrance {
    /// From the network: nobody is proved.
    Front,
    /// Inside a `direct-tcpip` channel of a proved user, towards a device.
    Jump {
        /// The user, and what the outer connection rests on.
        proved: Proved,
        /// The device.
        device: DeviceName,
    },
}

/// How far a connection has come.
pub(super) enum State {
    /// Nobody is proved.
    Unproved,
    /// Nobody is proved, and the code of a link is asked for.
    Code,
    /// A user is proved; policy wants something.
    Asking(Box<Conversation>),
    /// A session.
    Session(Held),
    /// No target: the console, and jumps.
    Console,
    /// Policy says no; the sentence answers every channel.
    Refused(String),
}

/// A channel, and what was asked for on it before its program.
pub(super) struct Chan {
    pub inbox: Inbox<Control>,
    pub terminal: Option<Terminal>,
    pub env: Vec<(String, String)>,
    pub asked: Option<Box<Asked>>,
    pub started: bool,
    /// What waits for the first program, where that is the gate's own console.
    pub console: Option<Channel<Msg>>,
}

impl Chan {
    /// A channel that no program is started on.
    pub fn forward(inbox: Inbox<Control>) -> Self {
        Self { inbox, terminal: None, env: Vec::new(), asked: None, started: true, console: None }
    }

    /// Keeps a variable for the program; the last value of a name counts. `false` when
    /// there is no room for it.
    pub fn set_env(&mut self, name: &str, value: &str) -> bool {
        if let Some((_, old)) = self.env.iter_mut().find(|(known, _)| known == name) {
            value.clone_into(old);
            return true;
        }
        let fits = self.env.len() < MOST_ENV;
        if fits {
            self.env.push((name.to_owned(), value.to_owned()));
        }
        fits
    }
}
