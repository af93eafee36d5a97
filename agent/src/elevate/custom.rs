//! A privilege that the host's administrator wrote: a directory with the programs
//! `grant`, `verify` and `revoke`, and perhaps `privilege.toml`, which says what
//! values it takes. The wire carries a name and values, never a program.
//!
//! Every directory on the way and every program must be root's and not writable by
//! others. They are opened one in the other, without following links, and what was
//! looked at is what runs. Exit status 0 of `verify` means that the privilege is in
//! force for the account; 255 or a signal is an error; any other status, that it is not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use serde::Deserialize;
use tidegate_common::grant::Custom;
use tidegate_common::id::SessionId;
use tidegate_common::name::AccountName;

use crate::core::Delta;
use crate::paths::Paths;
use crate::process::Own;
use crate::program::{self, Answer, run_with};

/// How long a program may take unless it says otherwise, and at most. Slow changes are
/// made one at a time, so one holds up others: it must fit a lease.
const DEADLINE: u64 = 5;
const LONGEST: u64 = 10;

/// What systemd may take beside the program.
const START: Duration = Duration::from_secs(2);

/// The largest program and description read, in bytes.
const MOST: u64 = 16 * 1024 * 1024;

/// One privilege for one account.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub account: &'a AccountName,
    pub custom: &'a Custom,
}

/// `privilege.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    /// For the approver.
    #[serde(default)]
    description: Option<String>,
    /// For each program, 1 to 10.
    #[serde(default)]
    deadline_seconds: Option<u64>,
    #[serde(default)]
    values: BTreeMap<String, Field>,
}

/// One value that it takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    /// Nothing else; empty means anything that `letters` allows.
    #[serde(default)]
    one_of: Vec<String>,
    /// The characters it may have; `a-z` is a range. Letters, digits and `_.-` if left out.
    #[serde(default)]
    letters: Option<String>,
    #[serde(default)]
    optional: bool,
}

/// The opened directory.
struct Directory {
    path: PathBuf,
    directory: OwnedFd,
    declaration: Declaration,
}

/// Whether the programs may run, and whether they have to.
pub fn plan(paths: &Paths, wanted: &Wanted<'_>, session: SessionId) -> Result<Delta, String> {
    let directory = Directory::open(paths, wanted.custom)?;
    let revoke = digest(&directory.program("revoke")?)?;
    directory.program("grant")?;
    let run = !directory.in_force(wanted, session)?;
    Ok(Delta::Custom { session, run, revoke })
}

/// What an approver is told. Runs nothing.
pub fn preview(paths: &Paths, wanted: &Wanted<'_>) -> Result<String, String> {
    let directory = Directory::open(paths, wanted.custom)?;
    for program in ["grant", "verify", "revoke"] {
        directory.program(program)?;
    }
    let Wanted { account, custom } = wanted;
    let about =
        directory.declaration.description.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
    let values: Vec<String> = custom.values.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    let path = directory.path.join("grant");
    Ok(format!("runs {} for `{account}`{}{about}", path.display(), values.concat()))
}

/// Runs `grant`.
pub fn apply(paths: &Paths, wanted: &Wanted<'_>, delta: &Delta) -> Result<(), String> {
    let Delta::Custom { session, run: true, .. } = delta else { return Ok(()) };
    let directory = Directory::open(paths, wanted.custom)?;
    let answer = directory.run("grant", wanted, *session)?;
    if answer.status.success() { Ok(()) } else { Err(directory.failed("grant", &answer)) }
}

/// Runs `verify`, which has to succeed.
pub fn verify(paths: &Paths, wanted: &Wanted<'_>, delta: &Delta) -> Result<(), String> {
    let Delta::Custom { session, .. } = delta else { return Ok(()) };
    let directory = Directory::open(paths, wanted.custom)?;
    let answer = directory.run("verify", wanted, *session)?;
    if answer.status.success() { Ok(()) } else { Err(directory.failed("verify", &answer)) }
}

/// Runs `revoke`, whatever state `grant` left; `verify` has to fail then.
pub fn undo(
    paths: &Paths,
    wanted: &Wanted<'_>,
    delta: &Delta,
    applied: bool,
) -> Result<Option<String>, String> {
    let Delta::Custom { session, run: true, revoke } = delta else { return Ok(None) };
    let directory = Directory::open(paths, wanted.custom)?;
    let mut found = Vec::new();
    if applied && digest(&directory.program("revoke")?)? != *revoke {
        found.push("`revoke` was changed since the grant");
    }
    if applied && !directory.in_force(wanted, *session)? {
        found.push("`verify` found it no longer in force before it was revoked");
    }
    let answer = directory.run("revoke", wanted, *session)?;
    if !answer.status.success() {
        return Err(directory.failed("revoke", &answer));
    }
    if directory.in_force(wanted, *session)? {
        return Err(format!(
            "{} still finds the privilege in force after `revoke`",
            directory.path.join("verify").display()
        ));
    }
    Ok((!found.is_empty()).then(|| format!("{}: {}", directory.path.display(), found.join(", and "))))
}

impl Directory {
    /// Opens it and reads what values it takes.
    fn open(paths: &Paths, custom: &Custom) -> Result<Self, String> {
        let path = paths.custom().join(custom.name.as_str());
        // Of the host, every directory counts; of a test's, those below its own /etc.
        let (start, rest) = match paths.is_host() {
            true => (Path::new("/"), path.as_path()),
            false => (paths.etc.as_path(), path.strip_prefix(&paths.etc).unwrap_or(&path)),
        };
        let opened = nix::fcntl::open(start, directory_flags(), Mode::empty());
        let mut directory =
            opened.map_err(|error| format!("{} could not be opened: {error}", start.display()))?;
        let mut so_far = start.to_owned();
        trusted(&directory, &so_far)?;
        for part in rest.components().filter_map(|part| match part {
            std::path::Component::Normal(part) => Some(part),
            _ => None,
        }) {
            so_far.push(part);
            directory = openat(directory.as_fd(), part, directory_flags(), Mode::empty()).map_err(|error| {
                format!(
                    "the host has no privilege `{}`: {} could not be opened ({error}); its administrator writes it",
                    custom.name,
                    so_far.display()
                )
            })?;
            trusted(&directory, &so_far)?;
        }
        let mut directory = Self { path, directory, declaration: Declaration::default() };
        directory.read_declaration()?;
        directory.check_values(custom)?;
        Ok(directory)
    }

    fn read_declaration(&mut self) -> Result<(), String> {
        let path = self.path.join("privilege.toml");
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = match openat(self.directory.as_fd(), "privilege.toml", flags, Mode::empty()) {
            Err(nix::errno::Errno::ENOENT) => return Ok(()),
            opened => opened.map_err(|error| format!("{} could not be read: {error}", path.display()))?,
        };
        trusted(&file, &path)?;
        let mut text = String::new();
        let read = File::from(file).take(MOST).read_to_string(&mut text);
        read.map_err(|error| format!("{} could not be read: {error}", path.display()))?;
        let declaration = toml::from_str(&text);
        self.declaration =
            declaration.map_err(|error| format!("{} is wrong: {}", path.display(), error.message()))?;
        Ok(())
    }

    fn check_values(&self, custom: &Custom) -> Result<(), String> {
        let declared = &self.declaration.values;
        for (name, value) in &custom.values {
            let Some(field) = declared.get(name.as_str()) else {
                let path = self.path.join("privilege.toml");
                return Err(format!(
                    "{} declares no value `{name}`; add it there or take it away",
                    path.display()
                ));
            };
            if !field.allows(value.as_str()) {
                return Err(format!(
                    "the host does not allow `{value}` for the value `{name}` of `{}`",
                    custom.name
                ));
            }
        }
        let given = |name: &String| custom.values.keys().any(|given| given.as_str() == name);
        match declared.iter().find(|(name, field)| !field.optional && !given(name)) {
            Some((name, _)) => Err(format!("the privilege `{}` needs the value `{name}`", custom.name)),
            None => Ok(()),
        }
    }

    /// Opens one of the three, which must be root's alone and executable.
    fn program(&self, name: &str) -> Result<File, String> {
        let path = self.path.join(name);
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = openat(self.directory.as_fd(), name, flags, Mode::empty())
            .map_err(|error| format!("{} could not be opened: {error}", path.display()))?;
        let mode = trusted(&file, &path)?;
        let regular = mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
        if !regular || mode & 0o100 == 0 {
            return Err(format!("{} is no program; chmod 755 makes it one", path.display()));
        }
        Ok(File::from(file))
    }

    fn in_force(&self, wanted: &Wanted<'_>, session: SessionId) -> Result<bool, String> {
        let answer = self.run("verify", wanted, session)?;
        match answer.status.code() {
            Some(0) => Ok(true),
            // systemd-run's way to tell of a signal, or of a deadline that has passed.
            Some(255) | None => Err(self.failed("verify", &answer)),
            Some(_) => Ok(false),
        }
    }

    /// Runs one of them: where systemd runs, in a unit of its own, outside of what the
    /// agent itself is confined to, and with everything it started ended after it.
    fn run(&self, name: &str, wanted: &Wanted<'_>, session: SessionId) -> Result<Answer, String> {
        let file = self.program(name)?;
        let path = self.path.join(name);
        // Through the open file, so that nothing can be put in its place.
        let opened = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let values =
            wanted.custom.values.iter().map(|(name, value)| (name.variable(), value.as_str().to_owned()));
        let mut environment = vec![
            ("TIDEGATE_ACCOUNT".to_owned(), wanted.account.to_string()),
            ("TIDEGATE_SESSION".to_owned(), session.to_string()),
        ];
        environment.extend(values);
        let deadline = self.declaration.deadline_seconds.unwrap_or(DEADLINE).clamp(1, LONGEST);
        let shown = path.to_string_lossy();
        let within = Duration::from_secs(deadline);
        let answer = if paths_are_systemds(&self.path) {
            static COUNT: AtomicU64 = AtomicU64::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let unit = format!("tidegate-custom-{}-{count}.service", std::process::id());
            // It carries the session's name, and is none of its processes.
            let _own = Own::unit(unit.clone());
            let mut words = vec![
                format!("--unit={unit}"),
                "--quiet".to_owned(),
                "--pipe".to_owned(),
                "--wait".to_owned(),
                "--collect".to_owned(),
                "--service-type=exec".to_owned(),
                format!("--property=RuntimeMaxSec={deadline}"),
                "--property=TimeoutStopSec=1".to_owned(),
                format!("--setenv=PATH={}", program::PATH),
                "--setenv=LC_ALL=C".to_owned(),
                "--setenv=TZ=UTC".to_owned(),
            ];
            words.extend(environment.iter().map(|(name, value)| format!("--setenv={name}={value}")));
            words.extend(["--".to_owned(), opened]);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            run_with(&shown, "systemd-run", &words, &[], Stdio::null(), within + START)
        } else {
            run_with(&shown, &opened, &[], &environment, Stdio::null(), within)
        };
        let answer = answer.map_err(|error| error.to_string())?;
        // What systemd-run says when it could not start the program at all.
        let unstarted =
            ["Failed to ", "Job for tidegate-custom-"].iter().any(|start| answer.text.starts_with(start));
        match unstarted && !answer.status.success() {
            true => Err(format!("{} could not be started: {}", path.display(), answer.line())),
            false => Ok(answer),
        }
    }

    fn failed(&self, name: &str, answer: &Answer) -> String {
        let path = self.path.join(name);
        let said = if answer.line().is_empty() { "nothing".to_owned() } else { answer.line() };
        match answer.status.code() {
            Some(code) => format!("{} ended with status {code} and said: {said}", path.display()),
            None => format!("{} was ended by a signal and said: {said}", path.display()),
        }
    }
}

fn directory_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

/// Root's, and nobody else may write it; returns its mode.
fn trusted(file: &OwnedFd, path: &Path) -> Result<u32, String> {
    let found =
        fstat(file.as_fd()).map_err(|error| format!("{} could not be looked at: {error}", path.display()))?;
    if found.st_uid != 0 || found.st_mode & 0o022 != 0 {
        return Err(format!(
            "{} must belong to root and be writable by nobody else; chown root and chmod go-w it",
            path.display()
        ));
    }
    Ok(found.st_mode)
}

fn digest(file: &File) -> Result<String, String> {
    let mut bytes = Vec::new();
    file.take(MOST)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("a program could not be read: {error}"))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

/// Whether systemd runs this host, and the directory is the host's own.
fn paths_are_systemds(path: &Path) -> bool {
    path.starts_with("/etc/") && Path::new("/run/systemd/system").exists()
}

impl Field {
    fn allows(&self, value: &str) -> bool {
        if !self.one_of.is_empty() {
            return self.one_of.iter().any(|one| one == value);
        }
        let set: Vec<char> = self.letters.as_deref().unwrap_or("a-zA-Z0-9_.-").chars().collect();
        !value.is_empty() && value.chars().all(|letter| in_set(&set, letter))
    }
}

/// `a-z` is a range; a `-` at either end is itself.
fn in_set(mut set: &[char], letter: char) -> bool {
    loop {
        match set {
            [] => return false,
            [from, '-', to, rest @ ..] => {
                if (*from..=*to).contains(&letter) {
                    return true;
                }
                set = rest;
            }
            [one, rest @ ..] => {
                if *one == letter {
                    return true;
                }
                set = rest;
            }
        }
    }
}

#[cfg(test)]
#[path = "custom_tests.rs"]
mod tests;
