//! One directory of a removal: what is in it goes, or waits for its turn.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::dir::{Dir, Entry, OwningIter, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::Goes;
use crate::sys;

/// Directories of one that goes that wait for their turn; it is read again for more.
pub const MOST_WAITING: usize = 4096;

/// Entries between two looks at the clock.
const A_FEW: usize = 32;

/// A directory on the way.
#[derive(Debug)]
pub struct Level {
    pub name: CString,
    /// Whether everything in it goes, and it too.
    pub all: bool,
    /// Device and inode, by which it is known again.
    id: (u64, u64),
    pub open: Option<Opened>,
    /// Directories in it whose turn is to come, and whether all of each goes.
    pub waiting: Vec<(CString, bool)>,
    /// Whether all of its entries have been read.
    pub read: bool,
    /// Whether anything in it went since it was read from its beginning.
    pub went: bool,
}

/// What came of a few entries.
#[derive(Debug, Default)]
pub struct Looked {
    /// The first that could not be removed.
    pub failed: Option<(CString, Errno)>,
    /// Whether there was no room for some to wait.
    pub more: bool,
}

/// A directory that is open.
#[derive(Debug)]
pub struct Opened {
    fd: OwnedFd,
    /// The same directory, being read; `None` before its beginning.
    entries: Option<OwningIter>,
}

impl Level {
    /// One that was just opened.
    pub fn new(name: CString, all: bool, fd: OwnedFd) -> nix::Result<Self> {
        let found = fstat(&fd)?;
        Ok(Self {
            name,
            all,
            id: (found.st_dev, found.st_ino),
            open: Some(Opened { fd, entries: None }),
            waiting: Vec::new(),
            read: false,
            went: false,
        })
    }

    /// Its descriptor, where it is open.
    pub fn fd(&self) -> nix::Result<&OwnedFd> {
        self.open.as_ref().map(|opened| &opened.fd).ok_or(Errno::EBADF)
    }

    /// Gives its descriptors up; it is read again from its beginning later.
    pub fn close(&mut self) {
        self.open = None;
        self.waiting = Vec::new();
        self.read = false;
    }

    /// To be read again from its beginning.
    pub fn anew(self) -> Self {
        let open = self.open.map(|opened| Opened { entries: None, ..opened });
        Self { open, read: false, went: false, ..self }
    }

    /// Opened again from below; it must be the same.
    pub fn found_again(&mut self, fd: OwnedFd) -> nix::Result<()> {
        let found = fstat(&fd)?;
        if (found.st_dev, found.st_ino) != self.id {
            return Err(Errno::ESTALE);
        }
        self.open = Some(Opened { fd, entries: None });
        Ok(())
    }

    /// Reads a few entries. Somebody else's directories wait as long as there is `room`.
    pub fn look(&mut self, goes: Goes, mut room: usize) -> nix::Result<Looked> {
        let mut looked = Looked::default();
        let opened = self.open.as_mut().ok_or(Errno::EBADF)?;
        if opened.entries.is_none() {
            let again = openat(&opened.fd, c".", directory(), Mode::empty())?;
            opened.entries = Some(Dir::from_fd(again)?.into_iter());
        }
        let Some(entries) = &mut opened.entries else { return Err(Errno::EBADF) };
        for _ in 0..A_FEW {
            let Some(entry) = entries.next() else {
                self.read = true;
                opened.entries = None;
                break;
            };
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match kind(&opened.fd, &entry, self.all, goes) {
                Ok(Some((true, all))) if all || room > 0 => {
                    room = room.saturating_sub(1);
                    self.waiting.push((name.to_owned(), all));
                }
                Ok(Some((true, _))) => looked.more = true,
                Ok(Some((false, true))) => match remove(&opened.fd, name, UnlinkatFlags::NoRemoveDir) {
                    Ok(()) | Err(Errno::ENOENT | Errno::EISDIR) => self.went = true,
                    Err(errno) => drop(looked.failed.get_or_insert((name.to_owned(), errno))),
                },
                Ok(_) => {}
                Err(errno) => drop(looked.failed.get_or_insert((name.to_owned(), errno))),
            }
        }
        // Of what goes these first; then it is read again.
        self.read |= self.all && self.waiting.len() >= MOST_WAITING;
        Ok(looked)
    }
}

/// Whether it is a directory, and whether it goes; `None` when it is not there any more, or
/// somebody else's that tells nothing.
fn kind(fd: &OwnedFd, entry: &Entry, all: bool, goes: Goes) -> nix::Result<Option<(bool, bool)>> {
    if all && let Some(kind) = entry.file_type() {
        return Ok(Some((kind == Type::Directory, true)));
    }
    let found = match fstatat(fd, entry.file_name(), AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(None),
        // A file system in user space that shows itself to nobody else, or has died.
        Err(_) if !all => return Ok(None),
        found => found?,
    };
    let mine = all || matches!(goes, Goes::OwnedBy(uid) if uid == found.st_uid);
    let is_dir = found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
    Ok(Some((is_dir, mine)))
}

/// Also what was made immutable, which root may.
pub fn remove(fd: &OwnedFd, name: &CStr, flag: UnlinkatFlags) -> nix::Result<()> {
    match unlinkat(fd, name, flag) {
        Err(Errno::EPERM) => {
            // Either of the two may be it; one that has no such mark is no mistake.
            let _ = sys::make_mutable(fd);
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            if let Ok(entry) = openat(fd, name, flags, Mode::empty()) {
                let _ = sys::make_mutable(&entry);
            }
            unlinkat(fd, name, flag)
        }
        done => done,
    }
}

/// How a directory is opened.
pub fn directory() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

/// A directory in another, on the same mount.
pub fn open_inside(fd: &OwnedFd, name: &CStr) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS;
    match openat2(fd, name, OpenHow::new().flags(directory()).resolve(resolve)) {
        // A kernel before 5.6.
        Err(Errno::ENOSYS) => {
            let opened = openat(fd, name, directory(), Mode::empty())?;
            if mount(fd)? == mount(&opened)? { Ok(opened) } else { Err(Errno::EXDEV) }
        }
        opened => opened,
    }
}

/// The number of the mount that a descriptor is on (proc(5), fdinfo).
fn mount(fd: &OwnedFd) -> nix::Result<u64> {
    let told = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()));
    let number = told
        .ok()
        .and_then(|told| told.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok()));
    number.ok_or(Errno::ENOSYS)
}
