//! The tree of cgroup2 (cgroups(7)), by which processes end together, however fast they
//! come and go: the kernel kills all of a group in one step, and nothing forks out of it.
//!
//! Where there is no such tree, or it may not be written, processes end one by one.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::paths::Paths;

/// Where it is mounted: alone, or beside the trees of version 1.
const PLACES: [&str; 2] = ["sys/fs/cgroup", "sys/fs/cgroup/unified"];

/// How long to wait until all of a group stand still, and how often to look.
const FREEZE: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_millis(1);

/// How many groups below one are gone through.
const MOST_BELOW: usize = 1024;

/// The tree, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    root: Option<PathBuf>,
}

impl Groups {
    /// Finds it.
    #[must_use]
    pub fn find(paths: &Paths) -> Self {
        let mut places = PLACES.iter().map(|place| paths.root.join(place));
        Self { root: places.find(|place| place.join("cgroup.controllers").is_file()) }
    }

    /// Whether somebody is in it or below it.
    #[must_use]
    pub fn is_populated(&self, path: &[u8]) -> bool {
        self.place(path).is_some_and(|place| says(&place, "populated 1"))
    }

    /// Kills all that is in it and below it.
    ///
    /// # Errors
    /// When it is not there, or may not be written.
    pub fn kill(&self, path: &[u8]) -> io::Result<()> {
        let place = self.place(path).ok_or(ErrorKind::NotFound)?;
        match fs::write(place.join("cgroup.kill"), "1") {
            // Linux before 5.14.
            Err(error) if error.kind() == ErrorKind::NotFound && place.exists() => kill_frozen(&place),
            other => other,
        }
    }

    /// Has all that is in it and below it stand still, so that they can be looked at; they still
    /// can be killed.
    ///
    /// # Errors
    /// When it is not there, or may not be written.
    pub fn freeze(&self, path: &[u8]) -> io::Result<()> {
        freeze(&self.place(path).ok_or(ErrorKind::NotFound)?)
    }

    /// Has them go on.
    pub fn thaw(&self, path: &[u8]) {
        let _ = self.place(path).map(|place| fs::write(place.join("cgroup.freeze"), "0"));
    }

    /// Neither the root, where everybody may be, nor what lies outside of it.
    fn place(&self, path: &[u8]) -> Option<PathBuf> {
        let below = path.strip_prefix(b"/").filter(|below| !below.is_empty())?;
        let leads_out = below.split(|byte| *byte == b'/').any(|part| matches!(part, b"" | b"." | b".."));
        let root = self.root.as_ref().filter(|_| !leads_out)?;
        Some(root.join(Path::new(std::ffi::OsStr::from_bytes(below))))
    }
}

fn says(place: &Path, what: &str) -> bool {
    fs::read_to_string(place.join("cgroup.events"))
        .is_ok_and(|events| events.lines().any(|line| line == what))
}

fn freeze(place: &Path) -> io::Result<()> {
    fs::write(place.join("cgroup.freeze"), "1")?;
    let since = Instant::now();
    while !says(place, "frozen 1") && since.elapsed() < FREEZE {
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Nobody forks while all stand still; SIGKILL ends them all the same.
fn kill_frozen(place: &Path) -> io::Result<()> {
    freeze(place)?;
    let mut places = vec![place.to_owned()];
    let mut at = 0;
    while let Some(place) = places.get(at).cloned() {
        let processes = fs::read_to_string(place.join("cgroup.procs")).unwrap_or_default();
        for pid in processes.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let below = fs::read_dir(&place).into_iter().flatten().flatten();
        let groups = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        places.extend(groups.map(|entry| entry.path()).take(MOST_BELOW.saturating_sub(places.len())));
        at += 1;
    }
    fs::write(place.join("cgroup.freeze"), "0")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;
    use crate::test::Scratch;

    #[test]
    fn the_root_and_what_is_outside_of_it_are_never_killed() {
        let scratch = Scratch::new();
        let root = scratch.path().join("sys/fs/cgroup");
        fs::create_dir_all(root.join("mine")).unwrap();
        fs::write(root.join("cgroup.controllers"), "").unwrap();
        let groups = Groups::find(scratch.paths());
        for path in ["/", "", "/../other", "/mine/..", "mine", "//"] {
            assert!(groups.kill(path.as_bytes()).is_err(), "{path}");
        }
        groups.kill(b"/mine").unwrap();
        assert_eq!(fs::read(root.join("mine/cgroup.kill")).unwrap(), b"1");
        assert!(Groups::find(&Paths { root: "/nonexistent".into(), ..Paths::default() }).root.is_none());
    }

    #[test]
    fn all_of_a_group_end_also_where_the_kernel_has_no_word_for_it() {
        let Some(root) = Groups::find(&Paths::default()).root else {
            eprintln!("SKIPPED: no tree of cgroup2 is mounted here");
            return;
        };
        let name = format!("tidegate-test-{}", std::process::id());
        let place = root.join(&name);
        if let Err(error) = fs::create_dir_all(place.join("below")) {
            eprintln!("SKIPPED: no control group can be made here: {error}");
            return;
        }
        let path = format!("/{name}");
        for all_at_once in [true, false] {
            let join = format!("echo $$ >{}/below/cgroup.procs; exec sleep 1000", place.display());
            let mut child = Command::new("sh").args(["-c", &join]).spawn().unwrap();
            let groups = Groups::find(&Paths::default());
            while !groups.is_populated(path.as_bytes()) {
                std::thread::yield_now();
            }
            match all_at_once {
                true => groups.kill(path.as_bytes()).unwrap(),
                false => kill_frozen(&place).unwrap(),
            }
            assert_eq!(child.wait().unwrap().signal(), Some(9));
            while groups.is_populated(path.as_bytes()) {
                std::thread::yield_now();
            }
        }
        fs::remove_dir(place.join("below")).unwrap();
        fs::remove_dir(place).unwrap();
    }
}
