//! Which files went through a channel: SFTP and SCP as an onlooker reads them.
//!
//! What decides is sans-I/O: an [`Observer`] is fed what each side sends, in the order
//! it passes, and answers with [`Finding`]s. It changes no byte, holds no file and
//! takes bounded memory whatever the peers send. Where a stream stops making sense it
//! says so once, and from there on the channel is recorded as a command's is, with what
//! was not decided yet. What passes in order and no finding tells of, names in a
//! directory or what a server says of an error, is kept in the same way: a program that
//! only speaks SFTP or SCP as far as it must says nothing unseen. (A file's content is
//! told of by its size and digest.)
//!
//! [`Watch`] is the part with a task: the relay hands it cheap clones of what passes,
//! and waits only when that task is [`follower::ROOM`] bytes behind.

mod asked;
mod digest;
mod follower;
mod scp;
mod sftp;

use tidegate_common::audit::{Changed, Event, Note, Outcome, Transfer};
use tidegate_common::id::SessionId;

pub use asked::Asked;
pub use follower::Watch;

/// Who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Device,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Device,
            Self::Device => Self::Client,
        }
    }
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
    /// What a side said, and no other finding tells.
    Aside(Side, Vec<u8>),
}

impl Finding {
    /// As the audit log has it, and as a place in the recording; nothing of an aside.
    fn told(self, session: SessionId, channel: u32) -> Option<(Event, String)> {
        Some(match self {
            Self::Transfer(transfer) => {
                let label = transfer.to_string();
                (Event::FileTransferred { session, channel, transfer }, label)
            }
            Self::Change(changed) => {
                let label = changed.to_string();
                (Event::FileChanged { session, channel, changed }, label)
            }
            Self::Lost(lost) => {
                let why = Note::new(lost.to_string());
                let label = format!("the rest of the transfers is not known: {lost}");
                (Event::TransfersNotFollowed { session, channel, why }, label)
            }
            Self::Aside(..) => return None,
        })
    }
}

/// Why a channel cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Lost {
    /// It is not what it was started as.
    #[error("the {0} sent what is no {1}")]
    Nonsense(&'static str, &'static str),
    /// An extension that OpenSSH's server does not have.
    #[error("the client asked for an extension of SFTP that is not known")]
    Extension,
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

    /// Whether nothing is followed any more.
    fn is_blind(&self) -> bool {
        matches!(self, Self::Blind)
    }

    /// What a side sent that is not decided yet.
    fn held(&self, side: Side) -> Vec<u8> {
        match self {
            Self::Sftp(observer) => observer.held(side),
            Self::Scp(observer) => observer.held(side).to_vec(),
            Self::Blind => Vec::new(),
        }
    }

    /// Takes what a side sent; `found` gets what is known now.
    fn feed(&mut self, side: Side, bytes: &[u8], found: &mut Vec<Finding>) {
        let mut held = self.held(side);
        let followed = match self {
            Self::Sftp(observer) => observer.feed(side, bytes, found),
            Self::Scp(observer) => observer.feed(side, bytes, found),
            Self::Blind => Ok(()),
        };
        if let Err(lost) = followed {
            let others = self.held(side.other());
            std::mem::replace(self, Self::Blind).leave(Outcome::Unknown, found);
            found.push(Finding::Lost(lost));
            held.extend_from_slice(bytes);
            aside(side.other(), others, found);
            aside(side, held, found);
        }
    }

    /// The channel is closed.
    fn end(self, found: &mut Vec<Finding>) {
        for side in [Side::Client, Side::Device] {
            aside(side, self.held(side), found);
        }
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

fn aside(side: Side, bytes: Vec<u8>, found: &mut Vec<Finding>) {
    if !bytes.is_empty() {
        found.push(Finding::Aside(side, bytes));
    }
}
