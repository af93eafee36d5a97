//! Which files went through a channel: SFTP and SCP as an onlooker reads them.
//!
//! What decides is sans-I/O: an [`Observer`] is fed what each side sends, in the order
//! it passes, and answers with [`Finding`]s. It changes no byte, holds no file and
//! takes bounded memory whatever the peers send. Where a stream stops making sense it
//! says so once, and is silent from then on; the relay goes on.
//!
//! [`Watch`] is the part with a task: the relay hands it cheap clones of what passes,
//! and waits only when that task is [`tap::ROOM`] bytes behind.

mod asked;
mod digest;
mod scp;
mod sftp;
mod tap;

use tidegate_common::audit::{Changed, Event, Note, Outcome, Transfer};
use tidegate_common::id::SessionId;

pub use asked::Asked;
pub use tap::Watch;

/// Who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Device,
}

/// What an observer has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// A file went through, or was to.
    Transfer(Transfer),
    /// A file was changed in another way.
    Change(Changed),
    /// Nothing more is known of this channel.
    Lost(Lost),
}

impl Finding {
    /// As a place in the recording.
    fn label(&self) -> String {
        match self {
            Self::Transfer(transfer) => transfer.to_string(),
            Self::Change(changed) => changed.to_string(),
            Self::Lost(lost) => format!("the rest of the transfers is not known: {lost}"),
        }
    }

    /// As the audit log has it.
    fn event(self, session: SessionId, channel: u32) -> Event {
        match self {
            Self::Transfer(transfer) => Event::FileTransferred { session, channel, transfer },
            Self::Change(changed) => Event::FileChanged { session, channel, changed },
            Self::Lost(lost) => {
                Event::TransfersNotFollowed { session, channel, why: Note::new(lost.to_string()) }
            }
        }
    }
}

/// Why a channel cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Lost {
    /// It is not what it was started as.
    #[error("the {0} sent what is no {1}")]
    Nonsense(&'static str, &'static str),
    /// SFTP of a version that nobody asked OpenSSH for.
    #[error("the device speaks version {0} of SFTP, and only version 3 is followed")]
    Version(u32),
    /// More at once than is kept track of.
    #[error("more {0} than are kept track of")]
    TooMuch(&'static str),
    /// A request that used a handle which the device had not given yet.
    #[error("the client used a file before the device said that it is open")]
    Guessed,
    /// SCP whose source did not wait for the answer, which was no.
    #[error("a file was sent although the other side had refused it")]
    SentOn,
}

/// Follows one channel.
enum Observer {
    Sftp(Box<sftp::Observer>),
    Scp(Box<scp::Observer>),
    /// It was lost; what it had to say is said.
    Blind,
}

impl Observer {
    fn new(asked: &Asked) -> Self {
        match asked {
            Asked::Sftp => Self::Sftp(Box::default()),
            Asked::Scp(asked) => Self::Scp(Box::new(scp::Observer::new(asked.clone()))),
        }
    }

    /// Takes what a side sent; `found` gets what is known now.
    fn feed(&mut self, side: Side, bytes: &[u8], found: &mut Vec<Finding>) {
        let followed = match self {
            Self::Sftp(observer) => observer.feed(side, bytes, found),
            Self::Scp(observer) => observer.feed(side, bytes, found),
            Self::Blind => Ok(()),
        };
        if let Err(lost) = followed {
            std::mem::replace(self, Self::Blind).leave(Outcome::Unknown, found);
            found.push(Finding::Lost(lost));
        }
    }

    /// The channel is closed.
    fn end(self, found: &mut Vec<Finding>) {
        self.leave(Outcome::Cut, found);
    }

    fn leave(self, outcome: Outcome, found: &mut Vec<Finding>) {
        match self {
            Self::Sftp(observer) => observer.leave(outcome, found),
            Self::Scp(observer) => observer.leave(outcome, found),
            Self::Blind => {}
        }
    }
}
