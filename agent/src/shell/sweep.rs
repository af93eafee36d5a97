//! Undoes what a journal holds without a running agent: after its stop, at boot
//! before sshd starts, and by a timer when an agent hangs past its leases.

use std::fs::{File, OpenOptions};
use std::os::fd::RawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::journal::{Journal, JournalError};
use super::{clock, leases};
use crate::core::Record;
use crate::elevate::Elevator;
use crate::paths::Paths;
use crate::residue;

/// An agent whose leases are over by more than this hangs, in microseconds.
const GRACE: u64 = 5_000_000;

/// How long to wait for the lock after the agent was killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the sweep, or the agent, cannot begin or left something.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error("{path} could not be locked: {source}")]
    Lock { path: PathBuf, source: std::io::Error },
    #[error("another tidegate-agent holds {0}; stop it first: systemctl stop tidegate-agent")]
    Held(PathBuf),
    #[error("{0}")]
    Journal(#[from] JournalError),
    #[error("{count} privileges could not be taken away and will be tried again: {first}")]
    Standing { count: usize, first: String },
}

/// What a sweep did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// One sentence for each thing undone or found.
    pub done: Vec<String>,
}

/// Takes the right to change this host; held until dropped.
///
/// # Errors
/// When another agent or sweep has it.
pub fn lock(paths: &Paths) -> Result<Flock<File>, SweepError> {
    let path = paths.lock();
    let wrong = |source| SweepError::Lock { path: path.clone(), source };
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(wrong)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => SweepError::Held(path.clone()),
        error => wrong(error.into()),
    })
}

/// The right to change this host, as the agent before this one left it.
///
/// # Errors
/// When that is not what it left.
pub fn take_over(paths: &Paths, left: RawFd) -> Result<Flock<File>, SweepError> {
    let path = paths.lock();
    let wrong = |source| SweepError::Lock { path: path.clone(), source };
    let file = File::from(crate::sys::adopt(left).map_err(wrong)?);
    let (is, wanted) = (file.metadata().map_err(wrong)?, path.metadata().map_err(wrong)?);
    if (is.dev(), is.ino()) != (wanted.dev(), wanted.ino()) {
        return Err(wrong(std::io::ErrorKind::NotFound.into()));
    }
    // It is locked already, which this makes sure of.
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| wrong(error.into()))
}

/// Whether an agent or a sweep is at work.
#[must_use]
pub fn is_held(paths: &Paths) -> bool {
    paths.state.exists() && matches!(lock(paths), Err(SweepError::Held(_)))
}

/// Undoes everything. While an agent runs and keeps its leases, does nothing.
///
/// # Errors
/// When the journal cannot be read, or something still stands.
pub fn sweep(paths: &Paths, grace: Duration) -> Result<Swept, SweepError> {
    if !paths.state.exists() {
        return Ok(Swept::default());
    }
    let _lock = match lock(paths) {
        Ok(lock) => lock,
        Err(SweepError::Held(path)) => match hanging(paths) {
            Some(agent) => end_agent(paths, agent, path)?,
            None => return Ok(Swept::default()),
        },
        Err(error) => return Err(error),
    };
    sweep_locked(paths, grace)
}

/// The agent's process id, when its leases have been over for too long.
fn hanging(paths: &Paths) -> Option<Pid> {
    let leases = leases::read(paths)?;
    let overdue = leases.deadlines.values().any(|at| at.saturating_add(GRACE) < clock::now().boot);
    let pid = i32::try_from(leases.agent).ok().filter(|pid| *pid > 1)?;
    // The number may be another program's by now, when a sweep holds the lock.
    let same = residue::start_of(paths, leases.agent) == Some(leases.started);
    (overdue && same).then(|| Pid::from_raw(pid))
}

fn end_agent(paths: &Paths, agent: Pid, held: PathBuf) -> Result<Flock<File>, SweepError> {
    tracing::error!(%agent, "the agent hangs past its leases and is killed");
    // It may have gone meanwhile; then the lock is free.
    let _ = kill(agent, Signal::SIGKILL);
    let started = Instant::now();
    loop {
        match lock(paths) {
            Err(SweepError::Held(_)) if started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(SweepError::Held(_)) => return Err(SweepError::Held(held)),
            other => return other,
        }
    }
}

fn sweep_locked(paths: &Paths, grace: Duration) -> Result<Swept, SweepError> {
    crate::witness::put_back_after_crash(paths);
    let mut journal = Journal::open(&paths.journal())?;
    let ledger = journal.ledger().clone();
    let ledger = if leases::read(paths).is_some() { ledger } else { ledger.after_boot() };
    let mut swept = Swept::default();
    let mut standing = Vec::new();
    let mut gone = Vec::new();
    if !ledger.held.is_empty() {
        for outcome in Elevator::new(paths.clone()).undo(ledger.held.clone()) {
            match outcome.result {
                Ok(found) => {
                    let what = found.unwrap_or_else(|| format!("taken away: {}", outcome.unit));
                    swept.done.push(what);
                    gone.push(outcome.unit);
                }
                Err(failure) => standing.push(failure.to_string()),
            }
        }
        journal.append(&Record::Gone { gone })?;
    }
    let sessions = ledger.grants.into_iter().map(|(session, entry)| (session, entry.traces));
    for (session, leftovers) in residue::end_all(paths, sessions, grace) {
        let said =
            leftovers.iter().map(|leftover| format!("ended: process {} ({})", leftover.pid, leftover.comm));
        swept.done.extend(said);
        residue::missed(paths, session, &leftovers);
        journal.append(&Record::Released { session, gone: Vec::new() })?;
        journal.append(&Record::Ended { session })?;
    }
    let _ = std::fs::remove_file(paths.leases());
    match standing.split_first() {
        Some((first, rest)) => Err(SweepError::Standing { count: rest.len() + 1, first: first.clone() }),
        None => Ok(swept),
    }
}
