//! What a client can ask for on a session channel (RFC 4254, section 6).

use std::fmt::Debug;
use std::sync::Arc;

use futures::future::BoxFuture;
use russh::client::Msg as UpMsg;
use russh::{ChannelReadHalf, ChannelWriteHalf, Pty, Sig};
use tidegate_common::audit::ChannelKind;
use tidegate_common::recording;

use crate::follow::transfers;
use crate::session::Open;
use crate::upstream::Lease;

/// What a client asks for on a session channel.
#[derive(Debug)]
pub enum Control {
    /// Start a program; sent once.
    Start(Start),
    /// The terminal changed its size.
    WindowChange(Size),
    /// A signal for the program (RFC 4254, 6.9).
    Signal(Sig),
}

/// A terminal's size.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Columns, rows, and both in pixels.
    pub columns: u32,
    pub rows: u32,
    pub pixel_width: u32,
    pub pixel_height: u32,
}

impl Size {
    /// As it is shown and recorded; `None` of a client that knows none and says 0 (RFC 4254, 6.2).
    #[must_use]
    pub fn known(&self) -> Option<recording::Size> {
        let known = self.columns > 0 && self.rows > 0;
        known.then_some(recording::Size { cols: self.columns, rows: self.rows })
    }
}

/// A pseudo-terminal (RFC 4254, 6.2).
#[derive(Debug, Clone)]
pub struct Terminal {
    /// `TERM`.
    pub term: String,
    /// Its size.
    pub size: Size,
    /// Its modes.
    pub modes: Vec<(Pty, u32)>,
}

impl Terminal {
    /// The byte that Ctrl-C sends, or whatever its user has set in its place (RFC 4254, 8: 255
    /// where there is none).
    pub fn interrupt(&self) -> Option<u8> {
        let set = self.modes.iter().find(|(mode, _)| *mode == Pty::VINTR);
        set.map_or(Some(0x03), |(_, byte)| u8::try_from(*byte).ok().filter(|byte| *byte != 255))
    }
}

/// What to run, and in which surroundings.
#[derive(Debug)]
pub struct Start {
    /// The terminal, if one was asked for.
    pub terminal: Option<Terminal>,
    /// Environment variables that the allow-list lets through.
    pub env: Vec<(String, String)>,
    /// What of its user's it shall be given.
    pub forwarded: Option<Box<dyn Forwarded>>,
    /// The program.
    pub program: Program,
}

/// What of its user's is forwarded to a program, such as windows or an agent: asked for before the
/// program starts.
pub trait Forwarded: Debug + Send + Sync {
    /// Tells the log; from then on, what the device opens on the connection is let through. An
    /// error is that the log can't be written.
    fn attend<'a>(&'a self, lease: &'a mut Lease, open: &'a Arc<Open>) -> BoxFuture<'a, Result<(), String>>;

    /// Asks the device.
    fn request<'a>(&'a self, write: &'a ChannelWriteHalf<UpMsg>) -> BoxFuture<'a, Result<(), russh::Error>>;

    /// Reads the device's answers; an error is that the device broke off.
    fn answers<'a>(&'a self, read: &'a mut ChannelReadHalf) -> BoxFuture<'a, Result<(), String>>;
}

/// The three ways to name a program (RFC 4254, 6.5).
#[derive(Debug)]
pub enum Program {
    /// The login shell.
    Shell,
    /// A command line.
    Exec(Vec<u8>),
    /// A subsystem, such as sftp.
    Subsystem(String),
}

impl Program {
    /// Whether it is what mosh(1) starts by ssh, to leave ssh behind.
    pub fn is_mosh(&self) -> bool {
        matches!(self, Self::Exec(command) if command.trim_ascii_start().starts_with(b"mosh-server"))
    }

    /// The transfer that it is, if its name says so.
    pub fn transfer(&self) -> Option<transfers::Asked> {
        match self {
            Self::Subsystem(name) if name == "sftp" => Some(transfers::Asked::Sftp),
            Self::Exec(command) => transfers::Asked::by(command),
            Self::Shell | Self::Subsystem(_) => None,
        }
    }

    /// What the channel carries, as far as its name tells.
    pub fn kind(&self) -> ChannelKind {
        match (self, self.transfer()) {
            (_, Some(transfers::Asked::Sftp)) => ChannelKind::Sftp,
            (_, Some(transfers::Asked::Scp(_))) => ChannelKind::Scp,
            (Self::Shell, None) => ChannelKind::Shell,
            (Self::Subsystem(_), None) => ChannelKind::Subsystem,
            (Self::Exec(_), None) => ChannelKind::Exec,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_interrupts_is_what_the_terminal_says_or_ctrl_c() {
        let interrupt = |modes: &[(Pty, u32)]| {
            let size = Size { columns: 80, rows: 24, pixel_width: 0, pixel_height: 0 };
            Terminal { term: "xterm".to_owned(), size, modes: modes.to_vec() }.interrupt()
        };
        assert_eq!(interrupt(&[]), Some(3));
        assert_eq!(interrupt(&[(Pty::VQUIT, 28), (Pty::VINTR, 7)]), Some(7));
        assert_eq!(interrupt(&[(Pty::VINTR, 255)]), None);
        assert_eq!(interrupt(&[(Pty::VINTR, 0x1_0003)]), None);
    }

    #[test]
    fn a_terminal_of_nothing_has_no_known_size_and_one_of_something_has_its_own() {
        let size = |columns, rows| Size { columns, rows, pixel_width: 0, pixel_height: 0 };
        for unknown in [size(0, 0), size(80, 0), size(0, 24)] {
            assert_eq!(unknown.known(), None);
        }
        assert_eq!(size(1, 1).known(), Some(recording::Size { cols: 1, rows: 1 }));
    }
}
