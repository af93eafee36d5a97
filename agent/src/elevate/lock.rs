//! The lock that the host's own tools take before they change accounts: a write
//! lock on `/etc/.pwd.lock`, as lckpwdf(3) does it. shadow's tools, systemd and
//! glibc's callers all respect it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::paths::Paths;

/// How long to wait for a tool that holds the lock.
const PATIENCE: Duration = Duration::from_secs(3);

/// Held until dropped. Locks of this kind belong to the process, and closing any
/// handle of the file ends them: only the thread that changes the host takes one.
#[derive(Debug)]
pub struct AccountLock {
    _file: File,
}

impl AccountLock {
    /// Waits for it, within bounds.
    pub fn take(paths: &Paths) -> Result<Self, String> {
        let path = paths.etc.join(".pwd.lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(|error| format!("{} could not be opened: {error}", path.display()))?;
        let whole = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        let started = Instant::now();
        loop {
            match fcntl(&file, FcntlArg::F_SETLK(&whole)) {
                Ok(_) => return Ok(Self { _file: file }),
                Err(Errno::EACCES | Errno::EAGAIN) if started.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(Errno::EACCES | Errno::EAGAIN) => {
                    return Err(format!(
                        "another program has held {} for more than {} s; end it and try again",
                        path.display(),
                        PATIENCE.as_secs()
                    ));
                }
                Err(error) => return Err(format!("{} could not be locked: {error}", path.display())),
            }
        }
    }
}
