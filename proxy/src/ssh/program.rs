//! What a client can ask for on a session channel (RFC 4254, section 6).

use russh::{Pty, Sig};
use tidegate_common::audit::ChannelKind;

use super::forward::Asked;

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

/// What to run, and in which surroundings.
#[derive(Debug)]
pub struct Start {
    /// The terminal, if one was asked for.
    pub terminal: Option<Terminal>,
    /// Environment variables that the allow-list lets through.
    pub env: Vec<(String, String)>,
    /// What of its user's it shall be given.
    pub asked: Option<Box<Asked>>,
    /// The program.
    pub program: Program,
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
    /// What the channel carries, as far as its name tells.
    pub fn kind(&self) -> ChannelKind {
        match self {
            Self::Shell => ChannelKind::Shell,
            Self::Subsystem(name) if name == "sftp" => ChannelKind::Sftp,
            Self::Subsystem(_) => ChannelKind::Subsystem,
            Self::Exec(command) if is_scp(command) => ChannelKind::Scp,
            Self::Exec(_) => ChannelKind::Exec,
        }
    }
}

/// Whether a command is the far end of scp's own protocol: `scp … -t` or `-f`.
fn is_scp(command: &[u8]) -> bool {
    let mut words = command.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    words.next() == Some(b"scp")
        && words.take_while(|word| word.starts_with(b"-")).any(|word| matches!(word, b"-t" | b"-f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scps_far_end_is_told_from_other_commands() {
        for command in ["scp -t /tmp", "scp -r -p -f a b", "scp  -v -t -- x"] {
            assert!(is_scp(command.as_bytes()), "{command}");
        }
        for command in ["scp a b:", "ls -t", "scpx -t", "scp /tmp -t"] {
            assert!(!is_scp(command.as_bytes()), "{command}");
        }
    }
}
