//! The lock files that the tools for accounts make beside what they change: `/etc/group.lock` holds
//! the number of whoever is at work. Unlike the host's lock ([`super::lock`]) one outlives its
//! maker, so one of a process that is gone is what a crash left; any other is somebody else's.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::account_files::FILES;
use crate::paths::Paths;
use crate::process::shown;

/// Files that the tools lock, beside the account files.
const SUBORDINATE: [&str; 2] = ["subuid", "subgid"];

/// How often to look whether one is gone.
const LOOK: Duration = Duration::from_millis(20);

/// The longest number in one.
const MOST_BYTES: usize = 32;

/// A lock file that is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    path: PathBuf,
    /// Whose number is in it, and what that is called.
    holder: Option<(u32, String)>,
}

/// `/etc/group.lock of process 4711 (vigr)`
impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.holder {
            Some((pid, name)) => write!(f, "{path} of process {pid} ({name})"),
            None => write!(f, "{path} of no process that lives"),
        }
    }
}

/// The files that the tools lock.
pub fn files() -> impl Iterator<Item = &'static str> {
    FILES.into_iter().chain(SUBORDINATE)
}

/// The lock file of one, where it is somebody else's.
pub fn foreign(paths: &Paths, file: &str) -> Option<Foreign> {
    let path = paths.etc.join(format!("{file}.lock"));
    path.symlink_metadata().ok()?;
    let content = crate::text::read(&path).unwrap_or_default();
    let content = content.get(..content.len().min(MOST_BYTES)).unwrap_or_default();
    let text = String::from_utf8_lossy(content);
    let exact = text.trim_end_matches('\0');
    let pid = exact.trim().parse::<u32>().ok();
    let holder = pid.and_then(|pid| Some((pid, name_of(paths, pid)?)));
    // The tools themselves take over the lock file of a process that is gone, if they made it:
    // the number and nothing else.
    let is_left = holder.is_none() && pid.is_some_and(|pid| exact == pid.to_string());
    (!is_left).then_some(Foreign { path, holder })
}

/// How a process is called; `None` when there is none of that number.
pub fn name_of(paths: &Paths, pid: u32) -> Option<String> {
    let name = std::fs::read(paths.proc.join(pid.to_string()).join("comm")).ok()?;
    Some(shown(name.trim_ascii_end()))
}

/// Waits until none is somebody else's.
///
/// # Errors
/// The one that still is after `patience`.
pub fn wait(paths: &Paths, patience: Duration) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let Some(held) = files().find_map(|file| foreign(paths, file)) else { return Ok(()) };
        if started.elapsed() >= patience {
            return Err(format!(
                "the lock file {held} keeps accounts from being changed for more than {} s; try again when that \
                 has ended, or remove the file if no program changes accounts",
                patience.as_secs()
            ));
        }
        std::thread::sleep(LOOK);
    }
}
