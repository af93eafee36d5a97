//! The files of an account that is created: its home, and what it left in the places
//! where everybody may write.
//!
//! Removing goes by open directories and follows no link, stays on one file system,
//! and is bounded in depth and time: what is left then is taken the next time.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::paths::Paths;

/// Where everybody may write, or programs keep something for each user.
const SHARED: [&str; 6] = ["tmp", "var/tmp", "dev/shm", "var/mail", "var/spool/mail", "var/spool/cron"];

/// Files named after the account that are not its own.
const NAMED: [&str; 4] =
    ["var/lib/systemd/linger", "var/spool/cron/crontabs", "run/sudo/ts", "var/lib/sudo/lectured"];

/// How deep a tree may be, how long all of it may take, and how much is copied.
const DEEPEST: usize = 256;
const LONGEST: Duration = Duration::from_secs(8);
const MOST_COPIED: usize = 1000;

/// Makes the home with what /etc/skel has.
pub fn make_home(paths: &Paths, home: &Path, uid: u32, gid: u32) -> Result<(), String> {
    let wrong = |error: io::Error| format!("the home {} could not be made: {error}", home.display());
    std::fs::DirBuilder::new().mode(0o700).create(home).map_err(wrong)?;
    let mut left = MOST_COPIED;
    copy(&paths.etc.join("skel"), home, (uid, gid), &mut left).map_err(wrong)?;
    chown(home, Some(uid), Some(gid)).map_err(wrong)
}

/// The directory is root's until all is in it, so nobody can put a link in the way.
fn copy(from: &Path, to: &Path, owner: (u32, u32), left: &mut usize) -> io::Result<()> {
    let entries = match std::fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        *left = left.checked_sub(1).ok_or_else(|| io::Error::other("/etc/skel holds too much"))?;
        let (kind, there) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            std::fs::create_dir(&there)?;
            copy(&entry.path(), &there, owner, left)?;
            let mode = entry.metadata()?.mode() & 0o777;
            std::fs::set_permissions(&there, std::fs::Permissions::from_mode(mode))?;
        } else if kind.is_symlink() {
            symlink(std::fs::read_link(entry.path())?, &there)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &there)?;
        } else {
            continue;
        }
        lchown(&there, Some(owner.0), Some(owner.1))?;
    }
    Ok(())
}

/// Removes its home and all that it owns in shared places, and looks that it is gone.
pub fn remove(paths: &Paths, name: &str, home: &Path, uid: u32) -> Result<(), String> {
    let until = Instant::now() + LONGEST;
    let wrong = |place: &Path, error: Errno| match error {
        Errno::ETIMEDOUT => {
            format!("{} holds more than can be removed at once; the next try goes on", place.display())
        }
        Errno::EXDEV => format!("something is mounted in {}; unmount it", place.display()),
        error => format!("what the account left in {} could not be removed: {error}", place.display()),
    };
    if let Ok(found) = home.symlink_metadata()
        && let Some(parent) = home.parent()
    {
        if !found.is_dir() || (found.uid() != uid && found.uid() != 0) {
            return Err(format!(
                "{} is not the home that was made for it; look at it and remove it by hand",
                home.display()
            ));
        }
        let mut walk = Walk { until, only: None };
        walk.tree(home)
            .and_then(|()| {
                let parent = open(parent)?;
                let name = home.file_name().ok_or(Errno::EINVAL)?;
                unlinkat(parent.as_fd(), name, UnlinkatFlags::RemoveDir)
            })
            .map_err(|error| wrong(home, error))?;
    }
    for place in SHARED.map(|place| paths.root.join(place)) {
        let real = place.symlink_metadata().is_ok_and(|found| found.is_dir());
        if real {
            let mut walk = Walk { until, only: Some(uid) };
            walk.tree(&place).map_err(|error| wrong(&place, error))?;
        }
    }
    for place in NAMED.map(|place| paths.root.join(place).join(name)) {
        match std::fs::remove_file(&place) {
            Err(error)
                if error.kind() != io::ErrorKind::NotFound
                    && error.kind() != io::ErrorKind::NotADirectory =>
            {
                return Err(format!("{} could not be removed: {error}", place.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn open(path: &Path) -> nix::Result<Dir> {
    Dir::open(path, OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

/// One way through trees.
struct Walk {
    until: Instant,
    /// Remove only what this user owns; without it, everything.
    only: Option<u32>,
}

impl Walk {
    /// Empties the directory at this path, as far as it has to.
    fn tree(&mut self, path: &Path) -> nix::Result<()> {
        let mut dir = open(path)?;
        let device = fstat(dir.as_fd())?.st_dev;
        self.empty(&mut dir, device, 0)
    }

    fn empty(&mut self, dir: &mut Dir, device: u64, depth: usize) -> nix::Result<()> {
        let names: Vec<_> = dir.iter().flatten().map(|entry| entry.file_name().to_owned()).collect();
        for name in names.iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
            if Instant::now() > self.until {
                return Err(Errno::ETIMEDOUT);
            }
            match self.entry(dir, name, device, depth) {
                // Gone meanwhile.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn entry(&mut self, dir: &Dir, name: &CStr, device: u64, depth: usize) -> nix::Result<()> {
        let found: FileStat = fstatat(dir.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let goes = self.only.is_none_or(|uid| found.st_uid == uid);
        let is_dir = found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
        if !is_dir {
            return if goes { unlinkat(dir.as_fd(), name, UnlinkatFlags::NoRemoveDir) } else { Ok(()) };
        }
        if found.st_dev != device {
            return if goes { Err(Errno::EXDEV) } else { Ok(()) };
        }
        if depth >= DEEPEST {
            // Somebody else's depths are not searched; its own have to go.
            return if goes { Err(Errno::ELOOP) } else { Ok(()) };
        }
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut inner = Dir::openat(dir.as_fd(), name, flags, Mode::empty())?;
        if goes {
            // In a directory of its own, whatever else lies there goes with it.
            Walk { until: self.until, only: None }.empty(&mut inner, device, depth + 1)?;
            unlinkat(dir.as_fd(), name, UnlinkatFlags::RemoveDir)
        } else {
            self.empty(&mut inner, device, depth + 1)
        }
    }
}
