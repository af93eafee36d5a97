//! Removes a tree, or what one user owns in it.
//!
//! Goes by open directories: it follows no link, enters nothing that is mounted below,
//! whatever file system that is, and is bounded in open files and memory but not in depth.
//! [`Removal::go_on`] works until a moment and goes on from there the next time;
//! what is gone stays gone, so whoever begins anew has less to do.
//!
//! Somebody else's directories are searched to a depth of [`DEEPEST`]; what was not
//! searched there is told ([`Removal::unseen`]) and keeps nothing from going.

mod level;

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::UnlinkatFlags;

use level::{Level, Looked, directory, open_inside, remove};

/// How deep somebody else's directories are searched. Each is open meanwhile, twice.
const DEEPEST: usize = 128;

/// So many of the directories that go are open at once; the others are found again by `..`.
const MOST_OPEN: usize = 32;

/// Somebody else's directories that wait for their turn; more are not searched.
const MOST_SEARCHED: usize = 100_000;

/// Sentences on what was not searched.
const MOST_UNSEEN: usize = 8;

/// How many directories of a path a message names.
const MOST_NAMED: usize = 16;

/// What goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// The directory with everything in it.
    All,
    /// What this user owns in the directory, which stays itself. Of a directory that is the
    /// user's, everything, whoever owns it.
    OwnedBy(u32),
}

/// Why it cannot go on. What it came to is as far gone as it could be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} could not be removed: {}", .at.display(), Why(*.errno))]
pub struct RemovalError {
    pub at: PathBuf,
    pub errno: Errno,
}

struct Why(Errno);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Errno::EXDEV | Errno::EBUSY => f.write_str("something is mounted there; unmount it"),
            Errno::ESTALE => f.write_str("it was moved meanwhile; the next try goes on"),
            Errno::ENOTEMPTY | Errno::EEXIST => {
                f.write_str("somebody keeps writing there; the next try goes on")
            }
            errno => f.write_str(errno.desc()),
        }
    }
}

/// A removal under way.
#[derive(Debug)]
pub struct Removal {
    top: PathBuf,
    goes: Goes,
    /// What holds the top, where that goes as well.
    parent: Option<OwnedFd>,
    /// From the top to where it is.
    levels: Vec<Level>,
    unseen: BTreeSet<String>,
    failed: Option<RemovalError>,
}

impl Removal {
    /// Begins; `None` when there is no such directory.
    ///
    /// # Errors
    /// When it cannot be opened, a link among others.
    pub fn of(top: &Path, goes: Goes) -> Result<Option<Self>, RemovalError> {
        let wrong = |errno| RemovalError { at: top.to_owned(), errno };
        let opened = match open(top, directory(), Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            opened => opened.map_err(wrong)?,
        };
        let (parent, name) = match goes {
            Goes::All => {
                let holder = top.parent().ok_or_else(|| wrong(Errno::EINVAL))?;
                let name = top.file_name().ok_or_else(|| wrong(Errno::EINVAL))?;
                let holder = open(holder, directory() - OFlag::O_NOFOLLOW, Mode::empty()).map_err(wrong)?;
                (Some(holder), CString::new(name.as_bytes()).map_err(|_| wrong(Errno::EINVAL))?)
            }
            Goes::OwnedBy(_) => (None, CString::default()),
        };
        let levels = vec![Level::new(name, goes == Goes::All, opened).map_err(wrong)?];
        let top = top.to_owned();
        Ok(Some(Self { top, goes, parent, levels, unseen: BTreeSet::new(), failed: None }))
    }

    /// Works until all is gone, which is `true`, or until then.
    ///
    /// # Errors
    /// When all is gone but what cannot be removed: the first of that.
    pub fn go_on(&mut self, until: Instant) -> Result<bool, RemovalError> {
        while let Some(level) = self.levels.last() {
            if Instant::now() >= until {
                return Ok(false);
            }
            match (level.read, level.waiting.is_empty()) {
                (false, _) => self.look(),
                (true, false) => self.enter(),
                (true, true) => self.leave(),
            }
        }
        self.failed.clone().map_or(Ok(true), Err)
    }

    /// What of somebody else's could not be searched, one sentence each.
    pub fn unseen(&self) -> impl Iterator<Item = &str> {
        self.unseen.iter().map(String::as_str)
    }

    /// Reads a few entries: files go, directories wait.
    fn look(&mut self) {
        let waiting: usize =
            self.levels.iter().filter(|level| !level.all).map(|level| level.waiting.len()).sum();
        let here = self.here();
        let Some(level) = self.levels.last_mut() else { return };
        let (all, room) = (level.all, MOST_SEARCHED.saturating_sub(waiting));
        match level.look(self.goes, room) {
            Ok(Looked { failed, more }) => {
                if let Some((name, errno)) = failed {
                    self.fail(here.join(OsStr::from_bytes(name.to_bytes())), errno);
                }
                if more {
                    self.miss(&here, "more directories than can be remembered");
                }
            }
            Err(errno) => {
                level.read = true;
                if all { self.fail(here, errno) } else { self.miss(&here, errno.desc()) }
            }
        }
    }

    /// Goes into the next of the directories that wait.
    fn enter(&mut self) {
        let (here, depth) = (self.here(), self.levels.len());
        let Some(level) = self.levels.last_mut() else { return };
        let Some((name, all)) = level.waiting.pop() else { return };
        let at = here.join(OsStr::from_bytes(name.to_bytes()));
        if !all && depth >= DEEPEST {
            return self.miss(&at, "too deep");
        }
        let opened = level.fd().and_then(|fd| open_inside(fd, &name));
        match opened.and_then(|fd| Level::new(name, all, fd)) {
            Ok(level) => self.levels.push(level),
            Err(Errno::ENOENT) => {}
            // What has become of it shows when it is read again.
            Err(Errno::ENOTDIR | Errno::ELOOP) => level.went = true,
            Err(Errno::EXDEV) if !all => {}
            Err(errno) if !all => self.miss(&at, errno.desc()),
            Err(errno) => self.fail(at, errno),
        }
        let far = self.levels.len().checked_sub(MOST_OPEN + 1).and_then(|far| self.levels.get_mut(far));
        if let Some(level) = far.filter(|level| level.all) {
            level.close();
        }
    }

    /// Its entries are all read, and went as far as they had to.
    fn leave(&mut self) {
        let here = self.here();
        let Some(level) = self.levels.pop() else { return };
        if let Some(above) = self.levels.last_mut().filter(|above| above.open.is_none()) {
            let fd = level.fd().and_then(|fd| openat(fd, c"..", directory(), Mode::empty()));
            if let Err(errno) = fd.and_then(|fd| above.found_again(fd)) {
                self.levels.clear();
                return self.fail(here, errno);
            }
        }
        if !level.all {
            return;
        }
        let above = match self.levels.last() {
            Some(above) => above.fd().ok(),
            None => self.parent.as_ref(),
        };
        let gone = above.ok_or(Errno::EBADF).and_then(|fd| remove(fd, &level.name, UnlinkatFlags::RemoveDir));
        match gone {
            Ok(()) | Err(Errno::ENOENT) => {
                if let Some(above) = self.levels.last_mut() {
                    above.went = true;
                }
            }
            // Reading while removing may pass over some, and somebody may have written.
            Err(Errno::ENOTEMPTY | Errno::EEXIST) if level.went => self.levels.push(level.anew()),
            Err(errno) => self.fail(here, errno),
        }
    }

    fn here(&self) -> PathBuf {
        let names = self.levels.iter().skip(1).map(|level| OsStr::from_bytes(level.name.to_bytes()));
        std::iter::once(self.top.as_os_str()).chain(names.take(MOST_NAMED)).collect()
    }

    /// The first failure tells; that its directories are not empty follows from it.
    fn fail(&mut self, at: PathBuf, errno: Errno) {
        self.failed.get_or_insert(RemovalError { at, errno });
    }

    fn miss(&mut self, at: &Path, why: &str) {
        if self.unseen.len() < MOST_UNSEEN {
            self.unseen.insert(format!("{}: {why}", at.display()));
        }
    }
}

#[cfg(test)]
#[path = "removal_tests.rs"]
mod tests;
