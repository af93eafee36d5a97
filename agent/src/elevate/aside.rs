//! Homes that hold more than can be removed at one go. Nobody's undo waits for them: each is
//! put aside, beside the homes and so on the same file system, and removed in the background.
//! The directory is the list of what is still to do, so the next agent, or the sweep, goes on
//! after a crash.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::removal::{Goes, Removal};
use crate::paths::Paths;

/// Root's alone.
const NAME: &str = ".tidegate-removed";

/// One of them at a time, and how long it is worked on before others are looked at.
static AT_WORK: Mutex<()> = Mutex::new(());
const TURN: Duration = Duration::from_secs(5);

/// Takes the home away from where it is.
///
/// # Errors
/// When it cannot be moved, as where a file system is mounted.
pub fn put(home: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (home.parent(), home.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let aside = parent.join(NAME);
    match std::fs::DirBuilder::new().mode(0o700).create(&aside) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = aside.symlink_metadata()?;
    if !found.is_dir() || found.uid() != nix::unistd::geteuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("{} is not the agent's own", aside.display())));
    }
    std::fs::rename(home, aside.join(name))
}

/// Removes what is aside on a thread of its own, which yields to all others.
pub fn remove_in_background(paths: &Paths) {
    let place = place(paths);
    if !place.exists() {
        return;
    }
    let started = std::thread::Builder::new().name("removal".to_owned()).spawn(move || {
        crate::sys::yield_to_others();
        while !remove(&place, Instant::now() + TURN) {}
    });
    if let Err(error) = started {
        tracing::warn!(%error, "homes that were put aside stay until the next start");
    }
}

/// Removes what is aside, as far as it comes until then.
pub fn remove_until(paths: &Paths, until: Instant) {
    remove(&place(paths), until);
}

fn place(paths: &Paths) -> PathBuf {
    paths.root.join("home").join(NAME)
}

/// Whether there is nothing more to do here; what cannot be removed is told.
fn remove(place: &Path, until: Instant) -> bool {
    // Whoever comes second has what was put aside since.
    let _one = AT_WORK.lock().unwrap_or_else(PoisonError::into_inner);
    let real = place.symlink_metadata().is_ok_and(|found| found.is_dir());
    let Ok(entries) = std::fs::read_dir(place) else { return true };
    for entry in entries.flatten().filter(|_| real) {
        match Removal::of(&entry.path(), Goes::All).and_then(|removal| match removal {
            Some(mut removal) => removal.go_on(until),
            None => Ok(true),
        }) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => tracing::warn!(%error, "a home that was put aside is still there"),
        }
    }
    let _ = std::fs::remove_dir(place);
    true
}

/// While it is held nothing that is aside goes.
#[cfg(test)]
pub fn hold() -> std::sync::MutexGuard<'static, ()> {
    AT_WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    #[test]
    fn a_home_that_was_put_aside_is_gone_from_its_place_at_once_and_from_the_disk_later() {
        let scratch = Scratch::new();
        let home = scratch.path().join("home/tg-1");
        std::fs::create_dir_all(home.join("a/b")).unwrap();
        std::fs::write(home.join("a/b/c"), "x").unwrap();
        put(&home).unwrap();
        assert!(!home.exists() && place(scratch.paths()).join("tg-1/a/b/c").exists());
        // Nothing of it is done in no time; the next agent or sweep goes on.
        remove_until(scratch.paths(), Instant::now() + Duration::from_secs(60));
        assert!(!place(scratch.paths()).exists());
        // A place that somebody else made is not used.
        std::fs::create_dir_all(&home).unwrap();
        std::os::unix::fs::symlink("/tmp", place(scratch.paths())).unwrap();
        assert!(put(&home).is_err() && home.exists());
    }
}
