//! Undoes what a journal holds without a running agent: after its stop, at boot
//! before sshd starts, and by a timer when an agent hangs past its leases.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::RawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::journal::{Journal, JournalError};
use super::{SYSTEMD, leases};
use crate::clock;
use crate::core::Record;
use crate::elevate::{Elevator, forget_passwords};
use crate::paths::Paths;
use crate::residue::{self, Late, Lates, Leaving};

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
    let open = |write| OpenOptions::new().read(true).write(write).create(write).mode(0o600).open(&path);
    let file = open(true).or_else(|error| match error.kind() {
        // Nothing can be written, which must not keep privileges standing.
        ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull => open(false),
        _ => Err(error),
    });
    let file = file.map_err(wrong)?;
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
    let ledger = Journal::read(&paths.journal())?;
    let ledger = if leases::read(paths).is_some() { ledger } else { ledger.after_boot() };
    let mut swept = Swept::default();
    let mut standing = Vec::new();
    let mut records = Vec::new();
    let mut lates = Lates::open(paths);
    // Somebody of them may have been on the way in when the sweep before came.
    let before = lates.list().iter().cloned();
    let mut leaving: Vec<Leaving> =
        before.map(|Late { session, lost, .. }| Leaving { session, lost, ..Leaving::default() }).collect();
    if !ledger.held.is_empty() {
        let (outcomes, lost) = Elevator::new(paths.clone()).take_away(ledger.held.clone());
        lates.add(Late { session: None, lost: lost.clone(), at: clock::now().boot });
        leaving.push(Leaving { lost, ..Leaving::default() });
        let mut gone = Vec::new();
        for outcome in outcomes {
            match outcome.result {
                Ok(found) => {
                    let what = found.unwrap_or_else(|| format!("taken away: {}", outcome.unit));
                    swept.done.push(what);
                    gone.push(outcome.unit);
                }
                Err(failure) => standing.push(failure.to_string()),
            }
        }
        records.push(Record::Gone { gone });
    }
    for (session, entry) in &ledger.grants {
        lates.add(Late { session: Some(*session), lost: BTreeSet::new(), at: clock::now().boot });
        let held = ledger.held.iter().any(|held| held.holders.contains(session));
        let powers = held || entry.account.as_str() == "root";
        let known = entry.traces.clone();
        leaving.push(Leaving { session: Some(*session), known, powers, ..Leaving::default() });
    }
    for (session, reaped) in residue::end_all(paths, leaving, grace, SYSTEMD) {
        let said = reaped
            .leftovers
            .iter()
            .map(|leftover| format!("ended: process {} ({})", leftover.pid, leftover.comm));
        swept.done.extend(said);
        swept.done.extend(reaped.unseen.iter().map(|unseen| format!("not certain: {unseen}")));
        let Some(session) = session.filter(|session| ledger.grants.contains_key(session)) else { continue };
        residue::missed(paths, session, reaped);
        if let Some(entry) = ledger.grants.get(&session) {
            forget_passwords(paths, &entry.account);
        }
        records.push(Record::Released { session, gone: Vec::new() });
        records.push(Record::Ended { session });
    }
    let _ = std::fs::remove_file(paths.leases());
    crate::elevate::remove_until(paths, Instant::now() + PATIENCE);
    let standing = standing
        .split_first()
        .map(|(first, rest)| SweepError::Standing { count: rest.len() + 1, first: first.clone() });
    // Last: a disk on which nothing can be written keeps no privilege standing. Until it is
    // mended each sweep does all this again, and finds it done.
    let kept = keep(paths, &records).map_err(SweepError::from);
    match kept.and(standing.map_or(Ok(()), Err)) {
        Ok(()) => Ok(swept),
        Err(error) => {
            swept.done.iter().for_each(|what| tracing::warn!("{what}"));
            Err(error)
        }
    }
}

/// Writes the journal anew, and what was done.
fn keep(paths: &Paths, records: &[Record]) -> Result<(), JournalError> {
    let mut journal = Journal::open(&paths.journal())?;
    records.iter().try_for_each(|record| journal.append(record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Delta, Unit};
    use crate::test::Scratch;
    use tidegate_common::id::SessionId;

    const GROUP: &str = "docker:x:998:jane\n";

    /// A host on which a membership was granted and the agent killed.
    fn left() -> Scratch {
        let scratch = Scratch::new();
        let paths = scratch.paths();
        std::fs::write(paths.etc.join("passwd"), "ops:x:4100:4100::/:/bin/sh\n").unwrap();
        std::fs::write(paths.etc.join("group"), "docker:x:998:jane,ops\n").unwrap();
        // It had been about to replace this one too.
        std::fs::write(paths.etc.join(".shadow.tidegate"), "ops:*:::::::\n").unwrap();
        let (account, session) = ("ops".parse().unwrap(), SessionId::new(1, 1));
        let unit = Unit::Group { account, group: "docker".parse().unwrap() };
        let fresh = vec![(unit, Delta::Group { group: true, gshadow: false })];
        let account = "ops".parse().unwrap();
        let granting =
            Record::Granting { session, account, expires: None, gate: None, fresh, joined: Vec::new() };
        Journal::open(&paths.journal()).unwrap().append(&granting).unwrap();
        scratch
    }

    fn group(scratch: &Scratch) -> String {
        std::fs::read_to_string(scratch.paths().etc.join("group")).unwrap()
    }

    #[test]
    fn what_a_killed_agent_left_is_taken_away_with_its_copies_of_account_files() {
        let scratch = left();
        let swept = sweep(scratch.paths(), Duration::ZERO).unwrap();
        assert_eq!(swept.done, ["taken away: ops is in docker"]);
        assert_eq!(group(&scratch), GROUP);
        assert!(!scratch.paths().etc.join(".shadow.tidegate").exists());
        assert_eq!(Journal::read(&scratch.paths().journal()).unwrap(), crate::core::Ledger::default());
    }

    #[test]
    fn a_home_that_a_killed_agent_had_put_aside_is_gone_after_the_sweep() {
        let scratch = left();
        let put_aside = scratch.path().join("home/.tidegate-removed");
        std::fs::create_dir_all(put_aside.join("tg-1/a/b")).unwrap();
        std::fs::write(put_aside.join("tg-1/a/b/c"), "").unwrap();
        // What one has no time for, the next goes on with.
        let started = Instant::now();
        while put_aside.exists() {
            assert!(started.elapsed() < Duration::from_secs(120), "it never went");
            sweep(scratch.paths(), Duration::ZERO).unwrap();
        }
        assert_eq!(group(&scratch), GROUP);
    }

    #[test]
    fn a_journal_that_cannot_be_written_keeps_no_privilege_standing() {
        let scratch = left();
        // Nothing can take the journal's place while this is in the way.
        let in_the_way = scratch.paths().state.join(".journal.tidegate");
        std::fs::create_dir(&in_the_way).unwrap();
        let error = sweep(scratch.paths(), Duration::ZERO).unwrap_err();
        assert!(matches!(error, SweepError::Journal(JournalError::Write { .. })), "{error}");
        assert_eq!(group(&scratch), GROUP);
        // And once it can, the next sweep is done with it.
        std::fs::remove_dir(&in_the_way).unwrap();
        sweep(scratch.paths(), Duration::ZERO).unwrap();
        assert_eq!(Journal::read(&scratch.paths().journal()).unwrap(), crate::core::Ledger::default());
    }
}
