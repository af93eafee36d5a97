//! A plan being carried out, which can be taken back as long as it is not finished.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::change::{Change, DEADLINE};
use super::{SetupError, says};
use crate::files::replace;
use crate::program::run;

/// What was carried out so far, and what the host was before.
#[derive(Debug, Default)]
pub struct Work {
    dry_run: bool,
    before: Vec<Before>,
}

/// What a change found.
#[derive(Debug)]
enum Before {
    /// The file, or that there was none.
    File { path: PathBuf, was: Option<Original> },
    /// The directory's mode, or that there was none.
    Directory { path: PathBuf, mode: Option<u32> },
    /// Words of systemctl: what undoes it while the files are new, and once they are the old.
    Service { first: Vec<Vec<String>>, last: Vec<Vec<String>> },
}

#[derive(Debug)]
enum Original {
    Link(PathBuf),
    File { content: Vec<u8>, mode: u32, owner: (u32, u32) },
}

impl Work {
    /// With `dry_run` it only tells.
    #[must_use]
    pub fn new(dry_run: bool) -> Self {
        Self { dry_run, before: Vec::new() }
    }

    /// Whether it only tells.
    #[must_use]
    pub fn is_dry(&self) -> bool {
        self.dry_run
    }

    /// Carries changes out, telling each; returns how many there were to make.
    ///
    /// # Errors
    /// At the first change that fails; [`Self::undo`] takes back what was made before.
    pub fn carry_out(&mut self, changes: &[Change]) -> Result<usize, SetupError> {
        let mut done = 0;
        for change in changes {
            if change.is_done() {
                continue;
            }
            crate::say::line(format_args!("{}{change}", if self.dry_run { "would " } else { "" }));
            if !self.dry_run {
                let before = Before::of(change)?;
                // One that was refused has changed nothing: what runs goes on as it was.
                let (at_once, after) = if is_reload(change) { (None, before) } else { (before, None) };
                self.before.extend(at_once);
                change.make()?;
                self.before.extend(after);
            }
            done += 1;
        }
        Ok(done)
    }

    /// Makes the host what it was; each step is tried, and what fails is returned.
    pub fn undo(self) -> Vec<SetupError> {
        let mut failed = Vec::new();
        let (mut first, mut last) = (Vec::new(), Vec::new());
        let mut files = Vec::new();
        for before in self.before.into_iter().rev() {
            match before {
                Before::Service { first: one, last: other } => {
                    first.extend(one);
                    last.push(other);
                }
                other => files.push(other),
            }
        }
        failed.extend(first.iter().filter_map(|words| systemctl(words).err()));
        failed.extend(files.into_iter().filter_map(|before| before.restore().err()));
        // In the order in which they were done: units are read again before one is started.
        failed.extend(last.iter().rev().flatten().filter_map(|words| systemctl(words).err()));
        failed
    }
}

impl Before {
    fn of(change: &Change) -> Result<Option<Self>, SetupError> {
        Ok(match change {
            Change::File { path, .. } | Change::RemoveFile(path) => {
                Some(Self::File { path: path.clone(), was: Original::of(path)? })
            }
            Change::Directory { path, .. } => {
                let mode = std::fs::metadata(path).ok().map(|found| found.mode() & 0o7777);
                Some(Self::Directory { path: path.clone(), mode })
            }
            Change::Run { program: "systemctl", arguments, .. } => Some(Self::service(arguments)),
            Change::Run { .. } | Change::RemoveTree(_) | Change::RemoveDirectory(_) => None,
        })
    }

    fn service(arguments: &[String]) -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (mut first, mut last) = (Vec::new(), Vec::new());
        match arguments.split_first().map(|(verb, units)| (verb.as_str(), units)) {
            Some(("enable", units)) => {
                let new = units.iter().filter(|unit| !says("is-enabled", unit));
                first.extend(new.map(|unit| words(&["disable", unit])));
            }
            // An agent that makes way for another makes way for the one before in the same way, so
            // that no grant ends by it.
            Some((verb @ ("start" | "restart" | "reload"), [unit])) => match says("is-active", unit) {
                true => last.push(words(&[verb, unit])),
                false => first.push(words(&["stop", unit])),
            },
            _ => last.push(arguments.to_vec()),
        }
        Self::Service { first, last }
    }

    fn restore(self) -> Result<(), SetupError> {
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |source| SetupError::File { path, source }
        };
        match self {
            Self::File { path, was: None } => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(wrong(&path)(error)),
                Ok(()) | Err(_) => Ok(()),
            },
            Self::File { path, was: Some(was) } => was.put(&path).map_err(wrong(&path)),
            // Whatever is in it came after it was made.
            Self::Directory { path, mode: None } => match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(wrong(&path)(error)),
                Ok(()) | Err(_) => Ok(()),
            },
            Self::Directory { path, mode: Some(mode) } => {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).map_err(wrong(&path))
            }
            Self::Service { .. } => Ok(()),
        }
    }
}

impl Original {
    fn of(path: &Path) -> Result<Option<Self>, SetupError> {
        let unread = |source| SetupError::Unread { path: path.to_owned(), source };
        let found = match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(unread)?,
        };
        if found.is_symlink() {
            return Ok(Some(Self::Link(std::fs::read_link(path).map_err(unread)?)));
        }
        let content = std::fs::read(path).map_err(unread)?;
        Ok(Some(Self::File { content, mode: found.mode() & 0o7777, owner: (found.uid(), found.gid()) }))
    }

    fn put(&self, path: &Path) -> std::io::Result<()> {
        match self {
            Self::Link(to) => {
                if path.symlink_metadata().is_ok() {
                    std::fs::remove_file(path)?;
                }
                symlink(to, path)
            }
            Self::File { content, mode, owner: (user, group) } => {
                replace(path, content, *mode)?;
                std::os::unix::fs::chown(path, Some(*user), Some(*group))?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))
            }
        }
    }
}

fn is_reload(change: &Change) -> bool {
    matches!(change, Change::Run { program: "systemctl", arguments, .. } if arguments.first().is_some_and(|verb| verb == "reload"))
}

fn systemctl(words: &[String]) -> Result<(), SetupError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = run("systemctl", &words, DEADLINE)?;
    match answer.status.success() {
        true => Ok(()),
        false => Err(SetupError::Host(format!("systemctl {} failed: {}", words.join(" "), answer.line()))),
    }
}
