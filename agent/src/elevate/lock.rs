//! The lock that the host's own tools take before they change accounts: a write
//! lock on `/etc/.pwd.lock`, as lckpwdf(3) does it. shadow's tools, systemd and
//! glibc's callers all respect it.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::paths::Paths;

/// How long to wait for a tool that holds the lock.
const PATIENCE: Duration = Duration::from_secs(3);

/// The agent's own access to the account files. Its threads change them one after the other, each
/// under the host's lock; one may keep that lock from a plan to its apply, so that no other
/// program comes in between, and the other thread changes them meanwhile all the same.
#[derive(Debug, Clone, Default)]
pub struct AccountFiles(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    lock: Option<Arc<AccountLock>>,
    kept: bool,
}

/// Beside whom they may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    /// A change that was planned and is not made yet.
    Planned,
    Nobody,
}

impl AccountFiles {
    /// Waits for other threads and other programs, within bounds.
    pub fn take(&self, paths: &Paths) -> Result<Taken<'_>, String> {
        self.wait(paths, Company::Planned)
    }

    /// The same, and for what was planned to be applied or let go: for a thread of which those
    /// who plan know nothing.
    pub fn take_alone(&self, paths: &Paths) -> Result<Taken<'_>, String> {
        self.wait(paths, Company::Nobody)
    }

    fn try_take(&self, path: &Path, company: Company) -> Result<Option<Taken<'_>>, String> {
        let mut shared = match self.0.try_lock() {
            Ok(shared) => shared,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        if shared.kept && company == Company::Nobody {
            return Ok(None);
        }
        let lock = match &shared.lock {
            Some(kept) => Some(Arc::clone(kept)),
            None => AccountLock::try_take(path)?.map(Arc::new),
        };
        Ok(lock.map(|lock| {
            shared.lock = Some(Arc::clone(&lock));
            Taken { lock, shared }
        }))
    }

    fn wait(&self, paths: &Paths, company: Company) -> Result<Taken<'_>, String> {
        let path = paths.etc.join(".pwd.lock");
        let started = Instant::now();
        loop {
            if let Some(taken) = self.try_take(&path, company)? {
                return Ok(taken);
            }
            if started.elapsed() >= PATIENCE {
                return Err(format!(
                    "another program has held {} for more than {} s; end it and try again",
                    path.display(),
                    PATIENCE.as_secs()
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets other programs change accounts again.
    pub fn let_go(&self) {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.kept = false;
        shared.lock = None;
    }
}

/// The account files are this thread's to change until it is dropped.
#[derive(Debug)]
pub struct Taken<'a> {
    lock: Arc<AccountLock>,
    shared: MutexGuard<'a, Shared>,
}

impl Taken<'_> {
    /// Other programs wait on after it is dropped, until [`AccountFiles::let_go`].
    pub fn keep(mut self) {
        self.shared.kept = true;
    }
}

impl Deref for Taken<'_> {
    type Target = AccountLock;

    fn deref(&self) -> &AccountLock {
        &self.lock
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.shared.kept {
            self.shared.lock = None;
        }
    }
}

/// The host's lock, held until it is dropped, by whom it is shared as well. Should the agent die, it
/// stays as long as a program that shares it.
#[derive(Debug)]
pub struct AccountLock {
    file: File,
}

impl AccountLock {
    /// Takes it unless another program has it.
    fn try_take(path: &Path) -> Result<Option<Self>, String> {
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = open.map_err(|error| format!("{} could not be opened: {error}", path.display()))?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&all_of_it(libc::F_WRLCK))) {
            Ok(_) => Ok(Some(Self { file })),
            Err(Errno::EACCES | Errno::EAGAIN) => Ok(None),
            Err(error) => Err(format!("{} could not be locked: {error}", path.display())),
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
        let path = scratch.paths().etc.join(".pwd.lock");
        let lock = AccountLock::try_take(&path).unwrap().unwrap();
        let tool = lock.share().unwrap();
        // As the kernel closes it for a process that is killed.
        nix::unistd::close(lock.file.as_raw_fd()).unwrap();
        std::mem::forget(lock);
        let taken = AccountFiles::default().take(scratch.paths()).unwrap_err();
        assert!(taken.contains("another program has held"), "{taken}");
        drop(tool);
        let accounts = AccountFiles::default();
        let lock = accounts.take(scratch.paths()).unwrap();
        let _what_a_hook_started = lock.share().unwrap();
        drop(lock);
        AccountFiles::default().take(scratch.paths()).unwrap();
    }

    #[test]
    fn kept_from_a_plan_to_its_apply_it_keeps_other_programs_out_and_not_the_other_thread() {
        let scratch = Scratch::new();
        let path = scratch.paths().etc.join(".pwd.lock");
        let (accounts, others) = (AccountFiles::default(), || AccountLock::try_take(&path).unwrap());
        let beside = accounts.clone();
        accounts.take(scratch.paths()).unwrap().keep();
        assert!(others().is_none());
        std::thread::scope(|scope| {
            let change = || drop(beside.take(scratch.paths()).unwrap());
            scope.spawn(change).join().unwrap();
        });
        assert!(others().is_none(), "the other thread let it go");
        assert!(accounts.try_take(&path, Company::Nobody).unwrap().is_none(), "it came in between");
        drop(accounts.take(scratch.paths()).unwrap());
        accounts.let_go();
        assert!(others().is_some());
        assert!(accounts.try_take(&path, Company::Nobody).unwrap().is_some());
        // One that nobody keeps goes with its change.
        let changing = accounts.take(scratch.paths()).unwrap();
        assert!(others().is_none());
        drop(changing);
        assert!(others().is_some());
    }
}
