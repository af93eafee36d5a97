//! The lock that the host's own tools take before they change accounts: a write
//! lock on `/etc/.pwd.lock`, as lckpwdf(3) does it. shadow's tools, systemd and
//! glibc's callers all respect it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::paths::Paths;

/// How long to wait for a tool that holds the lock.
const PATIENCE: Duration = Duration::from_secs(3);

/// Held until it is dropped, by whom it is shared as well. Should the agent die, it stays
/// as long as a program that shares it.
#[derive(Debug)]
pub struct AccountLock {
    file: File,
}

impl AccountLock {
    /// Waits for it, within bounds.
    pub fn take(paths: &Paths) -> Result<Self, String> {
        let path = paths.etc.join(".pwd.lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(|error| format!("{} could not be opened: {error}", path.display()))?;
        let whole = all_of_it(libc::F_WRLCK);
        let started = Instant::now();
        loop {
            match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)) {
                Ok(_) => return Ok(Self { file }),
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

    /// Another hold on it, for a program that works inside it.
    pub fn share(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Drop for AccountLock {
    fn drop(&mut self) {
        // Closing alone would leave it with whatever a tool or its hooks have started.
        let _ = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&all_of_it(libc::F_UNLCK)));
    }
}

fn all_of_it(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::test::Scratch;

    #[test]
    fn it_outlives_a_holder_that_dies_as_long_as_its_tool_and_no_other() {
        let scratch = Scratch::new();
        let lock = AccountLock::take(scratch.paths()).unwrap();
        let tool = lock.share().unwrap();
        // As the kernel closes it for a process that is killed.
        nix::unistd::close(lock.file.as_raw_fd()).unwrap();
        std::mem::forget(lock);
        let taken = AccountLock::take(scratch.paths()).unwrap_err();
        assert!(taken.contains("another program has held"), "{taken}");
        drop(tool);
        let lock = AccountLock::take(scratch.paths()).unwrap();
        let _what_a_hook_started = lock.share().unwrap();
        drop(lock);
        AccountLock::take(scratch.paths()).unwrap();
    }
}
