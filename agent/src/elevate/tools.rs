//! The host's own tools for accounts: useradd(8), usermod(8) and userdel(8). What they
//! change stands in the host's logs under their names, and its hooks hear of it.
//!
//! Each would take the host's lock for itself, so that others could come between a plan
//! and what is made of it. With `--prefix` they leave that lock alone and work inside the
//! agent's. What they do beyond what they are asked (other fields, other spellings, a line
//! end, backups) is put right to the byte afterwards.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::Span;
use jiff::civil::date;
use tidegate_common::name::{AccountName, UnixGroupName};

use super::lines::{put_back, unwritten, write};
use super::lock::AccountLock;
use super::{lock_files, reserve};
use crate::account_files::{FILES, fields, read};
use crate::core::Delta;
use crate::files;
use crate::paths::Paths;
use crate::program::run_with;

/// What has to be there for groups and accounts to be granted.
pub const PROGRAMS: [&str; 3] = [USERADD, USERMOD, USERDEL];

const USERADD: &str = "useradd";
const USERMOD: &str = "usermod";
const USERDEL: &str = "userdel";

/// How long one may take: to change something, and to take it back, where there is
/// another way.
const PATIENCE: Duration = Duration::from_secs(3);
const HURRY: Duration = Duration::from_secs(1);

/// What useradd would else take from login.defs(5): no subordinate ids, no ageing of a
/// password that there is not.
const DEFAULTS: [&str; 5] =
    ["SUB_UID_COUNT=0", "SUB_GID_COUNT=0", "PASS_MIN_DAYS=0", "PASS_MAX_DAYS=99999", "PASS_WARN_AGE=7"];

/// One run of one of them.
#[derive(Debug)]
pub struct Tool {
    program: &'static str,
    arguments: Vec<String>,
    account: String,
}

impl Tool {
    fn new(program: &'static str, account: &AccountName, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        Self { program, arguments, account: account.to_string() }
    }

    /// Makes an account; its home is not made.
    pub fn create(account: &AccountName, delta: &Delta) -> Option<Self> {
        let Delta::Created { uid, gecos, home, shell, expires, .. } = delta else { return None };
        let (uid, expires) = (uid.to_string(), day(expires)?);
        // No password matches `*`, and sshd does not take it for a lock.
        let mut words = vec!["--no-create-home", "--user-group", "--no-log-init", "--password", "*"];
        words.extend(["--uid", &uid, "--comment", gecos, "--home-dir", home, "--shell", shell]);
        words.extend(["--expiredate", &expires]);
        words.extend(DEFAULTS.iter().flat_map(|default| ["--key", default]));
        Some(Self::new(USERADD, account, &words))
    }

    /// Removes an account; its files stay.
    pub fn remove(account: &AccountName) -> Self {
        Self::new(USERDEL, account, &[])
    }

    /// Gives an account a shell.
    pub fn shell(account: &AccountName, shell: &str) -> Option<Self> {
        Some(Self::new(USERMOD, account, &["--shell", shell]))
    }

    /// Lets an account expire on a day of shadow(5), or never, where it is empty.
    pub fn expiry(account: &AccountName, expires: &str) -> Option<Self> {
        Some(Self::new(USERMOD, account, &["--expiredate", &day(expires)?]))
    }

    /// Puts an account into groups.
    pub fn join(account: &AccountName, groups: &[&UnixGroupName]) -> Option<Self> {
        Some(Self::new(USERMOD, account, &["--append", "--groups", &listed(groups)?]))
    }

    /// Takes an account out of groups. shadow before 4.12 cannot.
    pub fn leave(account: &AccountName, groups: &[&UnixGroupName]) -> Option<Self> {
        Some(Self::new(USERMOD, account, &["--remove", "--groups", &listed(groups)?]))
    }

    /// Whether it can be of use: they know only accounts that are in the host's own file.
    fn fits(&self, paths: &Paths) -> Result<bool, String> {
        let passwd = read(paths, "passwd")?.unwrap_or_default();
        let known = self.program == USERADD || fields(&passwd, &self.account).is_some();
        Ok(known && prefix(paths).is_some())
    }

    fn run(&self, paths: &Paths, lock: &AccountLock, deadline: Duration) -> Result<(), String> {
        let prefix = prefix(paths).ok_or("the account files are not in a directory `etc`")?;
        let mut words = vec!["--prefix", &prefix];
        words.extend(self.arguments.iter().map(String::as_str));
        words.push(&self.account);
        // With a hold on the lock as its input: should the agent die, the lock stays until
        // its tool has ended too.
        let held =
            Stdio::from(lock.share().map_err(|error| format!("the lock could not be shared: {error}"))?);
        let answer = run_with(self.program, self.program, &words, &[], held, deadline);
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status.success() {
            true => Ok(()),
            false => Err(answer.line().trim_end_matches('.').to_owned()),
        }
    }
}

/// Where their `etc` lies. For `/` this is `//`: a prefix to them, and to the file system the
/// same place.
fn prefix(paths: &Paths) -> Option<String> {
    let place = paths.etc.parent().filter(|_| paths.etc.ends_with("etc"))?;
    Some(format!("/{}", place.display()))
}

/// The groups as the tools want them; `None` where they would take a name for a number.
fn listed(groups: &[&UnixGroupName]) -> Option<String> {
    let names: Vec<&str> = groups.iter().map(|group| group.as_str()).collect();
    let number = |name: &&str| name.bytes().all(|byte| byte.is_ascii_digit());
    (!names.iter().any(number)).then(|| names.join(","))
}

/// A day of shadow(5) as the tools want it; `None` where the field holds something else.
fn day(field: &str) -> Option<String> {
    if field.is_empty() {
        return Some(String::new());
    }
    let days = Span::new().try_days(field.parse::<i64>().ok()?).ok()?;
    date(1970, 1, 1).checked_add(days).ok().map(|day| day.to_string())
}

/// Has the tools change the account files to exactly this content.
///
/// # Errors
/// When one of them refuses, or a file cannot be written; something may have changed then.
pub fn make(
    paths: &Paths,
    lock: &AccountLock,
    tools: &[Tool],
    files: Vec<(&'static str, Vec<u8>)>,
) -> Result<(), String> {
    let wanted = Wanted::of(paths, files)?;
    run_all(paths, lock, tools, PATIENCE)?;
    wanted.settle(paths, write)
}

/// The same to take something back, by whatever way is left.
///
/// # Errors
/// When a file cannot be written.
pub fn take_back(
    paths: &Paths,
    lock: &AccountLock,
    tools: &[Tool],
    files: Vec<(&'static str, Vec<u8>)>,
) -> Result<(), String> {
    if files.is_empty() {
        return Ok(());
    }
    let wanted = Wanted::of(paths, files)?;
    if let Err(why) = run_all(paths, lock, tools, HURRY) {
        tracing::info!(%why, "a tool of the host could not take it back; the agent writes the file itself");
    }
    wanted.settle(paths, put_back)
}

/// How files are written: for what is granted, or for what is taken back.
type Write = fn(&Paths, &[(&str, Vec<u8>)]) -> Result<(), String>;

/// What every account file shall be, also those that shall stay as they are.
struct Wanted {
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Wanted {
    fn of(paths: &Paths, mut files: Vec<(&'static str, Vec<u8>)>) -> Result<Self, String> {
        for file in FILES {
            if !files.iter().any(|(changed, _)| *changed == file) {
                files.extend(read(paths, file)?.map(|content| (file, content)));
            }
        }
        Ok(Self { files })
    }

    /// Writes what is not so, and looks that all is, and on disk.
    fn settle(self, paths: &Paths, write: Write) -> Result<(), String> {
        let mut wrong = Vec::new();
        for (file, content) in self.files {
            if read(paths, file)?.as_deref() != Some(content.as_slice()) {
                wrong.push((file, content));
            }
        }
        if wrong.is_empty() {
            // The tools leave the directory to the kernel.
            let synced = File::open(&paths.etc).and_then(|etc| etc.sync_all());
            return synced.map_err(|error| format!("{} could not be synced: {error}", paths.etc.display()));
        }
        write(paths, &wrong)?;
        for (file, content) in &wrong {
            if read(paths, file)?.as_deref() != Some(content.as_slice()) {
                return Err(format!("{} is not as it was written", paths.etc.join(file).display()));
            }
        }
        Ok(())
    }
}

/// One after the other, with the administrator's backups out of their way.
fn run_all(paths: &Paths, lock: &AccountLock, tools: &[Tool], deadline: Duration) -> Result<(), String> {
    let mut fitting = Vec::new();
    for tool in tools {
        if tool.fits(paths)? {
            fitting.push(tool);
        }
    }
    if fitting.is_empty() {
        return Ok(());
    }
    // Else the tool would wait, and die of it.
    lock_files::wait(paths, deadline)?;
    reserve::is_there(paths).map_err(|error| unwritten(paths, &error))?;
    let backups: Vec<Backup> = FILES.iter().map(|file| Backup::of(paths, file)).collect();
    let ran = backups
        .iter()
        .try_for_each(Backup::put_aside)
        .map_err(|error| format!("the backups in {} could not be kept: {error}", paths.etc.display()))
        .and_then(|()| fitting.iter().try_for_each(|tool| tool.run(paths, lock, deadline)));
    backups.iter().for_each(Backup::put_back);
    if ran.is_err() {
        clear(paths);
    }
    ran
}

/// A tool's backup (`passwd-`) is what the administrator's last change replaced, and stays so.
struct Backup {
    path: PathBuf,
    aside: PathBuf,
    was_there: bool,
}

impl Backup {
    fn of(paths: &Paths, file: &str) -> Self {
        let path = paths.etc.join(format!("{file}-"));
        let was_there = path.symlink_metadata().is_ok();
        Self { aside: files::fresh(&paths.etc, &format!("{file}-")), path, was_there }
    }

    fn put_aside(&self) -> io::Result<()> {
        if self.was_there { fs::rename(&self.path, &self.aside) } else { Ok(()) }
    }

    fn put_back(&self) {
        let done =
            if self.was_there { fs::rename(&self.aside, &self.path) } else { fs::remove_file(&self.path) };
        told(done, &self.path);
    }
}

/// Removes what a crash left, of the agent's own work and of a tool's. Under the host's
/// lock, so that no tool is at work; what a lock file of somebody else's guards is theirs.
pub fn clear(paths: &Paths) {
    files::clear(&paths.etc, &FILES);
    files::clear(&paths.etc, &[reserve::PROBE, reserve::FORMER_PROBE]);
    for file in FILES {
        let backup = Backup::of(paths, file);
        told(fs::rename(&backup.aside, &backup.path), &backup.path);
    }
    let entries = fs::read_dir(&paths.etc).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| is_left(paths, name))) {
        told(fs::remove_file(entry.path()), &entry.path());
    }
}

/// Whether it is what a tool makes for its work: `shadow+` is a new one, `shadow.lock` its
/// lock, `shadow.123` a lock that process 123 is making; and whether nobody is at it.
fn is_left(paths: &Paths, name: &str) -> bool {
    let rest = |file: &'static str| name.strip_prefix(file).map(|rest| (file, rest));
    lock_files::files().filter_map(rest).any(|(file, rest)| match rest {
        "+" | ".lock" => lock_files::foreign(paths, file).is_none(),
        _ => {
            let pid = rest.strip_prefix('.').and_then(|pid| pid.parse().ok());
            pid.is_some_and(|pid| lock_files::name_of(paths, pid).is_none())
        }
    })
}

fn told(done: io::Result<()>, path: &Path) {
    if let Err(error) = done
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "what a tool for accounts left could not be put right");
    }
}

#[cfg(test)]
#[path = "tools_tests.rs"]
mod tests;
