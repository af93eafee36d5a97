//! `systemctl reload`: the agent that runs makes way for the program now installed, in
//! place, and no grant ends by it. Two sides of it are here: what the running agent does
//! before there is no way back, and what `tidegate-agent reload` asks and waits for.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::handover::FORMAT;
use super::journal::{Journal, JournalError};
use crate::identity::{Identity, IdentityError};
use crate::paths::Paths;
use crate::program::{self, ProgramError};
use crate::residue;

/// How long the program now installed may take to say that it can.
const CHECK: Duration = Duration::from_secs(5);

/// How long `reload` waits for the agent; systemd gives both 30 s.
const PATIENCE: Duration = Duration::from_secs(28);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

/// What a replaced file's name ends with in /proc/PID/exe (proc(5)).
const DELETED: &str = " (deleted)";

/// Why an agent is not replaced. It stays then, with all it has granted.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error("the agent cannot ask the program now installed: {0}")]
    Lost(std::io::Error),
    #[error("{program} cannot be read: {source}; install it again")]
    Missing { program: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Check(#[from] ProgramError),
    #[error("{program} can't take over: {said}", said = if .said.is_empty() { "it says nothing" } else { .said })]
    Unfit { program: PathBuf, said: String },
    #[error("the program that runs could not be kept aside: {0}; is the disk full?")]
    Aside(std::io::Error),
    #[error("{0} was replaced once more meanwhile; reload again")]
    Moved(PathBuf),
    #[error("the host was being changed all the while; reload again")]
    Busy,
    #[error("{0}")]
    Identity(#[from] IdentityError),
    #[error("{0}")]
    Journal(#[from] JournalError),
    #[error("what an agent of format {0} leaves is not understood by this one of format {FORMAT}")]
    Format(u32),
    #[error("no agent runs here; start it: systemctl start tidegate-agent")]
    NoAgent,
    #[error("{0}; the agent that runs stays, and its grants with it")]
    Refused(String),
    #[error("the agent ended when it was to be replaced, and its grants with it; see its log")]
    Ended,
    #[error("the agent does not answer; see its log")]
    Silent,
}

/// The program to be, found fit.
#[derive(Debug)]
pub struct Successor {
    program: PathBuf,
    /// Device, inode and change time of what was asked.
    asked: (u64, u64, i64, i64),
}

/// Where this program is installed, whatever is there now.
fn installed() -> Result<PathBuf, ReloadError> {
    Ok(place_of(std::env::current_exe().map_err(ReloadError::Lost)?))
}

/// Where the program is installed that runs from this file.
fn place_of(running: PathBuf) -> PathBuf {
    let name = running.as_os_str().as_bytes();
    match name.strip_suffix(DELETED.as_bytes()) {
        Some(name) if !running.exists() => PathBuf::from(std::ffi::OsStr::from_bytes(name)),
        _ => running,
    }
}

/// From where an agent runs that can make way for another, if one does.
#[must_use]
pub fn runs_from(paths: &Paths) -> Option<PathBuf> {
    let running = Running::read(paths).filter(|agent| agent.lives(paths))?;
    std::fs::read_link(paths.proc.join(format!("{}/exe", running.pid))).ok().map(place_of)
}

fn identity_of(program: &Path) -> Result<(u64, u64, i64, i64), ReloadError> {
    let read = program.metadata();
    let read = read.map_err(|source| ReloadError::Missing { program: program.to_owned(), source })?;
    Ok((read.dev(), read.ino(), read.ctime(), read.ctime_nsec()))
}

/// Asks the program now installed whether it can take over, and keeps the one that runs
/// aside for the sweep, should it not start after all.
///
/// # Errors
/// When it can't.
pub fn prepare(paths: &Paths, config: Option<&Path>) -> Result<Successor, ReloadError> {
    let program = installed()?;
    let asked = identity_of(&program)?;
    let config = config.map(|config| config.to_string_lossy().into_owned());
    let format = FORMAT.to_string();
    let mut arguments = vec!["check-handover", "--format", &format];
    arguments.extend(config.iter().flat_map(|config| ["--config", config]));
    let environment: Vec<(String, String)> = std::env::vars().collect();
    let name = program.to_string_lossy();
    let answer = program::run_with(&name, &name, &arguments, &environment, Stdio::null(), CHECK)?;
    if !answer.status.success() {
        return Err(ReloadError::Unfit { program, said: answer.line() });
    }
    aside(paths).map_err(ReloadError::Aside)?;
    Ok(Successor { program, asked })
}

fn aside(paths: &Paths) -> std::io::Result<()> {
    let fresh = paths.previous().with_extension("new");
    let kept = std::fs::copy(paths.proc.join("self/exe"), &fresh)
        .and_then(|_| std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o700)))
        .and_then(|()| std::fs::rename(&fresh, paths.previous()));
    if kept.is_err() {
        // A part of it would take the room that the journal needs.
        let _ = std::fs::remove_file(fresh);
    }
    kept
}

/// The agent runs, or stays: what was kept aside is not needed.
pub fn settled(paths: &Paths) {
    let _ = std::fs::remove_file(paths.previous());
}

/// `check-handover`: whether this program could go on from what is on this host.
///
/// # Errors
/// When it could not.
pub fn check(paths: &Paths, format: u32) -> Result<(), ReloadError> {
    if format != FORMAT {
        return Err(ReloadError::Format(format));
    }
    Identity::load(paths)?;
    Ok(Journal::check(&paths.journal())?)
}

impl Successor {
    /// Puts it in this process's place; returns only when that fails.
    pub fn replace(self) -> ReloadError {
        let Self { program, asked } = self;
        match identity_of(&program) {
            Ok(now) if now == asked => {}
            Ok(_) => return ReloadError::Moved(program),
            Err(error) => return error,
        }
        let text = |text: OsString| CString::new(text.as_bytes()).unwrap_or_default();
        let path = text(program.clone().into_os_string());
        let arguments: Vec<CString> =
            std::iter::once(path.clone()).chain(std::env::args_os().skip(1).map(text)).collect();
        let variable = |(name, value): (OsString, OsString)| {
            let mut both = name;
            both.push("=");
            both.push(value);
            text(both)
        };
        let environment: Vec<CString> = std::env::vars_os().map(variable).collect();
        let Err(error) = nix::unistd::execve(&path, &arguments, &environment);
        ReloadError::Missing { program, source: error.into() }
    }
}

/// Which agent runs, in a small file for `reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pid: u32,
    started: u64,
    version: String,
    /// How often it was asked for a reload, and why the last one was refused.
    pub reloads: u64,
    refused: Option<String>,
}

impl Running {
    /// This process.
    #[must_use]
    pub fn this(paths: &Paths, reloads: u64) -> Self {
        let pid = std::process::id();
        let started = residue::start_of(paths, pid).unwrap_or_default();
        Self { pid, started, version: env!("CARGO_PKG_VERSION").to_owned(), reloads, refused: None }
    }

    /// A reload was asked for and did not come to be.
    pub fn refuse(&mut self, why: &ReloadError) {
        self.reloads = self.reloads.saturating_add(1);
        self.refused = Some(why.to_string());
    }

    /// Writes it where `reload` finds it. Nothing else depends on it.
    pub fn keep(&self, paths: &Paths) {
        let written = serde_json::to_vec(self).map_err(std::io::Error::other).and_then(|text| {
            let fresh = paths.running().with_extension("new");
            std::fs::write(&fresh, text)?;
            std::fs::rename(&fresh, paths.running())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "`tidegate-agent reload` will not find this agent");
        }
    }

    fn read(paths: &Paths) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(paths.running()).ok()?).ok()
    }

    fn lives(&self, paths: &Paths) -> bool {
        residue::start_of(paths, self.pid) == Some(self.started)
    }
}

/// Asks the agent that runs to make way for the program now installed, and waits until
/// it has. Returns the version that runs now.
///
/// # Errors
/// When it stays, or ended.
pub fn reload(paths: &Paths) -> Result<String, ReloadError> {
    let before = Running::read(paths).filter(|agent| agent.lives(paths)).ok_or(ReloadError::NoAgent)?;
    let pid = i32::try_from(before.pid).ok().filter(|pid| *pid > 1).ok_or(ReloadError::NoAgent)?;
    kill(Pid::from_raw(pid), Signal::SIGHUP).map_err(|_| ReloadError::NoAgent)?;
    let asked = Instant::now();
    while asked.elapsed() < PATIENCE {
        match Running::read(paths) {
            Some(now) if now.reloads != before.reloads && now.pid == before.pid => {
                return match now.refused {
                    Some(why) => Err(ReloadError::Refused(why)),
                    None => Ok(now.version),
                };
            }
            _ if !before.lives(paths) => return Err(ReloadError::Ended),
            _ => std::thread::sleep(LOOK),
        }
    }
    Err(ReloadError::Silent)
}
