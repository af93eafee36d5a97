//! Sets a host up for the agent, and takes exactly that away again.
//!
//! A plan is a list of changes; each knows whether it is done already, so that a
//! second run changes nothing, and `--dry-run` shows what a run would do.

mod change;
mod plan;
mod sshd;
mod sudoers;
mod work;

use std::path::PathBuf;

use crate::program;

pub use change::Change;
pub use plan::{Running, install, start, uninstall, way_in};
pub use sshd::{Sshd, in_force, remarks};
pub use sudoers::{FORMER, INCLUDE, include as sudo_include, of_host as sudo_of_host};
pub use work::Work;

/// What is set up, and where.
#[derive(Debug, Clone)]
pub struct Site {
    /// `/`, or a directory of a test's own.
    pub root: PathBuf,
    /// `host:port` of the proxy's listener for agents.
    pub proxy: String,
    /// The program itself, to be copied.
    pub program: PathBuf,
    /// What the host's sshd can do and is told already.
    pub sshd: Sshd,
    /// Whether the host has a sudo.
    pub sudo: bool,
}

impl Site {
    /// A path of the host below the root.
    #[must_use]
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// Why a host cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The user's.
    #[error("{0}")]
    Host(String),
    /// The host's.
    #[error("{path} could not be changed: {source}")]
    File { path: PathBuf, source: std::io::Error },
    /// The same.
    #[error("{path} could not be read: {source}")]
    Unread { path: PathBuf, source: std::io::Error },
    /// The host's own check refuses what would be written.
    #[error("{program} refuses it, nothing of it was kept: {said}")]
    Refused { program: &'static str, said: String },
    /// A program of the host failed.
    #[error("{0}")]
    Program(#[from] program::ProgramError),
}

/// Carries a plan out, telling each change; with `dry_run` only tells.
///
/// # Errors
/// At the first change that fails; a second run goes on from there.
pub fn carry_out(changes: &[Change], dry_run: bool) -> Result<usize, SetupError> {
    Work::new(dry_run).carry_out(changes)
}

/// Whether systemd says yes to `systemctl WORD UNIT`.
#[must_use]
pub fn says(word: &str, unit: &str) -> bool {
    program::run("systemctl", &[word, "--quiet", unit], change::DEADLINE)
        .is_ok_and(|answer| answer.status.success())
}

#[cfg(test)]
mod tests;
