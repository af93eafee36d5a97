//! An account that exists for one session: a line in each account file, a home, and at
//! the end nothing of it, its processes and its files included.
//!
//! What is removed is only what the agent made: the journal has the name, the user id
//! and the mark in the comment field (GECOS) before the account exists, and all three
//! must still be there. useradd(8) and userdel(8) make and remove its lines; its home
//! and its files are the agent's own work, because nothing else looks for all of them.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_common::grant::Shell;
use tidegate_common::id::SessionId;
use tidegate_common::name::AccountName;

use super::lock::{AccountFiles, AccountLock};
use super::tools::{self, Tool};
use super::{belongings, people};
use crate::account_files::{FILES, any, fields, read, with_field, with_line, without_line};
use crate::clock::today;
use crate::core::{Delta, Reaped};
use crate::files::replace;
use crate::paths::Paths;
use crate::text::read_words;

/// User ids are taken from the upper end of those for people, this many.
const IDS: u32 = 10_000;

/// The field of shadow(5) that says when an account expires.
const EXPIRES: usize = 7;

const SECONDS_OF_DAY: i64 = 86_400;

/// A day that has passed, for an account that is to expire at once.
const PAST: &str = "1";

/// What an order says of the account.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub account: &'a AccountName,
    pub session: SessionId,
    pub shell: Option<&'a Shell>,
    pub expires: Option<jiff::Timestamp>,
}

/// Chooses its ids, its home and its shell. Under the host's lock.
pub fn plan(paths: &Paths, wanted: &Wanted<'_>) -> Result<Delta, String> {
    let name = wanted.account.as_str();
    for file in FILES {
        if fields(&read(paths, file)?.unwrap_or_default(), name).is_some() {
            return Err(format!("{} has `{name}` already", paths.etc.join(file).display()));
        }
    }
    let home = format!("/home/{name}");
    if inside(paths, &home).symlink_metadata().is_ok() {
        return Err(format!("{home} is there already; move it away"));
    }
    let shell = match wanted.shell {
        Some(shell) => shell.to_string(),
        None => default_shell(paths),
    };
    if !std::path::Path::new(&shell).is_file() {
        return Err(format!("the shell {shell} does not exist on this host; name another"));
    }
    let id = free_id(paths)?;
    let expires = wanted.expires.map(day_after);
    Ok(Delta::Created {
        uid: id,
        gid: id,
        gecos: format!("Tidegate session {}", wanted.session),
        home,
        shell,
        expires: expires.map(|day| day.to_string()).unwrap_or_default(),
        day: today(),
    })
}

/// Makes the account.
pub fn apply(paths: &Paths, lock: &AccountLock, account: &AccountName, delta: &Delta) -> Result<(), String> {
    let Delta::Created { uid, gid, gecos, home, shell, expires, day } = delta else { return Err(foreign()) };
    let path = paths.last_uid();
    replace(&path, uid.to_string().as_bytes(), 0o600)
        .map_err(|error| format!("{} could not be written: {error}", path.display()))?;
    let lines = [
        ("passwd", format!("{account}:x:{uid}:{gid}:{gecos}:{home}:{shell}")),
        // No password matches `*`, and sshd does not take it for a lock.
        ("shadow", format!("{account}:*:{day}:0:99999:7::{expires}:")),
        ("group", format!("{account}:x:{gid}:")),
        ("gshadow", format!("{account}:!::")),
    ];
    let mut files = Vec::new();
    for (file, line) in &lines {
        match read(paths, file)? {
            Some(content) => files.push((*file, with_line(&content, line))),
            None if *file == "gshadow" => {}
            None => return Err(format!("{} is missing", paths.etc.join(file).display())),
        }
    }
    let tools: Vec<Tool> = Tool::create(account, delta).into_iter().collect();
    tools::make(paths, lock, &tools, files)?;
    belongings::make_home(paths, &inside(paths, home), *uid, *gid)
}

/// Whether the host knows the account and its home is there.
pub fn verify(paths: &Paths, account: &AccountName, delta: &Delta) -> Result<(), String> {
    let Delta::Created { uid, home, .. } = delta else { return Err(foreign()) };
    let passwd = read(paths, "passwd")?.unwrap_or_default();
    let known = match paths.is_host() {
        true => nix::unistd::User::from_name(account.as_str())
            .is_ok_and(|user| user.is_some_and(|user| user.uid.as_raw() == *uid)),
        false => fields(&passwd, account.as_str()).is_some(),
    };
    match known && inside(paths, home).is_dir() {
        true => Ok(()),
        false => {
            Err(format!("the host does not know `{account}` although it was created; look at nsswitch.conf"))
        }
    }
}

/// Ends its processes, removes its files and then the account. Holds the host's lock only
/// while it changes the account files: the rest may take long. `searched` is how long files of
/// the account are looked for in others' places.
pub fn undo(
    paths: &Paths,
    accounts: &AccountFiles,
    account: &AccountName,
    delta: &Delta,
    applied: bool,
    ended: &mut Reaped,
    searched: Duration,
) -> Result<Option<String>, String> {
    let Delta::Created { uid, home, .. } = delta else { return Err(foreign()) };
    let name = account.as_str();
    let was_there = locked(paths, accounts, |lock| {
        let there = is_ours(paths, account, delta)?;
        shut(paths, lock, account)?;
        Ok(there)
    })?;
    people::end(paths, *uid, ended)?;
    let unseen = belongings::remove(paths, name, &inside(paths, home), *uid, searched)?;
    // Somebody may have changed it meanwhile.
    locked(paths, accounts, |lock| {
        is_ours(paths, account, delta)?;
        remove_lines(paths, lock, account)
    })?;
    // What a login that was under way has started since.
    people::end(paths, *uid, ended)?;
    let gone = (!was_there && applied)
        .then(|| format!("the account `{name}` was gone already, though the agent had made it"));
    let unseen = (!unseen.is_empty()).then(|| {
        format!(
            "files of `{name}` (user id {uid}) may be left where nobody could search: {}",
            unseen.join("; ")
        )
    });
    let found: Vec<String> = gone.into_iter().chain(unseen).collect();
    Ok((!found.is_empty()).then(|| found.join("; ")))
}

fn locked<T>(
    paths: &Paths,
    accounts: &AccountFiles,
    change: impl FnOnce(&AccountLock) -> Result<T, String>,
) -> Result<T, String> {
    let lock = accounts.take(paths)?;
    tools::clear(paths);
    change(&lock)
}

/// Whether the account is there as it was made, or not at all.
///
/// # Errors
/// When it is somebody else's by now.
fn is_ours(paths: &Paths, account: &AccountName, delta: &Delta) -> Result<bool, String> {
    let Delta::Created { uid, gecos, .. } = delta else { return Err(foreign()) };
    let name = account.as_str();
    let passwd = read(paths, "passwd")?.unwrap_or_default();
    let line = fields(&passwd, name);
    let ours = |line: &[&[u8]]| {
        let comment = line.get(4).and_then(|comment| comment.split(|byte| *byte == b',').next());
        line.get(2) == Some(&uid.to_string().as_bytes()) && comment == Some(gecos.as_bytes())
    };
    let is_there = line.is_some();
    if line.is_some_and(|line| !ours(&line)) {
        return Err(format!(
            "`{name}` is no longer the account that was created (user id {uid}, `{gecos}`), so it is not \
             removed; look at it and remove it by hand"
        ));
    }
    let others = without_line(&passwd, name).unwrap_or(passwd);
    if any(&others, 2, &uid.to_string()) {
        return Err(format!(
            "the user id {uid} of `{name}` is another account's by now, so neither its processes nor its files \
             are touched; look for them by hand"
        ));
    }
    Ok(is_there)
}

/// The day after the session's end: a belt, in case nobody is left to remove it.
fn day_after(end: jiff::Timestamp) -> i64 {
    end.as_second().div_euclid(SECONDS_OF_DAY).saturating_add(1)
}

/// The day on which the account expires, where it has to be moved along with its session's end, which was
/// `from` before. It may still be the one that it was made with: a move may have failed, or its agent died
/// before it.
///
/// # Errors
/// When somebody else has brought it forward.
fn too_early(
    paths: &Paths,
    account: &AccountName,
    delta: &Delta,
    from: jiff::Timestamp,
    end: jiff::Timestamp,
) -> Result<Option<String>, String> {
    let there = is_ours(paths, account, delta)?;
    let Some(before) = expiry(paths, account)?.filter(|_| there) else {
        return Err(format!("the account `{account}` is gone, though the agent had made it"));
    };
    let as_made = matches!(delta, Delta::Created { expires, .. } if *expires == before);
    let day = day_after(end);
    let late_enough = match before.parse::<i64>() {
        // It does not expire.
        _ if before.is_empty() => true,
        Ok(now) if as_made || now >= day_after(from) => now >= day,
        _ => return Err(format!("somebody else has `{account}` expire before its session ends; left so")),
    };
    Ok((!late_enough).then_some(before))
}

/// Looks whether [`expire_later`] would find it as it has to be. Changes nothing.
///
/// # Errors
/// Why not.
pub fn may_expire_later(
    paths: &Paths,
    account: &AccountName,
    delta: &Delta,
    from: jiff::Timestamp,
    end: jiff::Timestamp,
) -> Result<(), String> {
    too_early(paths, account, delta, from, end).map(drop)
}

/// Moves the day on which the account expires along with its session's end, which was `from` before. One
/// that is late enough stays, and so does one that somebody else has brought forward.
///
/// # Errors
/// When it was brought forward, or could not be moved: then it is what it was.
pub fn expire_later(
    paths: &Paths,
    lock: &AccountLock,
    account: &AccountName,
    delta: &Delta,
    from: jiff::Timestamp,
    end: jiff::Timestamp,
) -> Result<(), String> {
    let Some(before) = too_early(paths, account, delta, from, end)? else { return Ok(()) };
    let day = day_after(end).to_string();
    let moved = expire(paths, lock, account, &day, tools::make).and_then(|()| {
        let moved = expiry(paths, account)?.is_some_and(|now| now == day);
        let why = || format!("`{account}` does not expire later although it was told to");
        moved.then_some(()).ok_or_else(why)
    });
    if moved.is_err() {
        expire(paths, lock, account, &before, tools::take_back)?;
    }
    moved
}

/// When the account expires, as its field of shadow(5) has it; `None` where it has no line.
fn expiry(paths: &Paths, account: &AccountName) -> Result<Option<String>, String> {
    let shadow = read(paths, "shadow")?.unwrap_or_default();
    let line = fields(&shadow, account.as_str());
    let field = line.map(|line| line.get(EXPIRES).copied().unwrap_or_default());
    Ok(field.map(|field| String::from_utf8_lossy(field).into_owned()))
}

/// Lets nobody log in any more: the account expires at once.
fn shut(paths: &Paths, lock: &AccountLock, account: &AccountName) -> Result<(), String> {
    expire(paths, lock, account, PAST, tools::take_back)
}

/// How account files are changed: to give something, or to take it back.
type Change = fn(&Paths, &AccountLock, &[Tool], Vec<(&'static str, Vec<u8>)>) -> Result<(), String>;

fn expire(
    paths: &Paths,
    lock: &AccountLock,
    account: &AccountName,
    day: &str,
    change: Change,
) -> Result<(), String> {
    let shadow = read(paths, "shadow")?.unwrap_or_default();
    match with_field(&shadow, account.as_str(), EXPIRES, day.as_bytes()) {
        Some(changed) => {
            let tools: Vec<Tool> = Tool::expiry(account, day).into_iter().collect();
            change(paths, lock, &tools, vec![("shadow", changed)])
        }
        None => Ok(()),
    }
}

fn remove_lines(paths: &Paths, lock: &AccountLock, account: &AccountName) -> Result<(), String> {
    let mut files = Vec::new();
    for file in FILES {
        let Some(content) = read(paths, file)? else { continue };
        files.extend(without_line(&content, account.as_str()).map(|changed| (file, changed)));
    }
    tools::take_back(paths, lock, &[Tool::remove(account)], files)
}

/// The file without the account's line, where that is as it was made; `None` where it is not.
pub fn without(file: &str, content: &[u8], account: &AccountName, delta: &Delta) -> Option<Vec<u8>> {
    let Delta::Created { uid, gid, gecos, home, shell, .. } = delta else { return None };
    let name = account.as_str();
    let line = fields(content, name)?;
    let ids = [uid, gid].map(u32::to_string);
    let made = match (file, line.as_slice()) {
        ("passwd", [_, b"x", ours @ ..]) => {
            let [uid, gid] = &ids;
            *ours == [uid, gid, gecos, home, shell].map(String::as_bytes)
        }
        // Whether and when it expires is for the undo.
        ("shadow", [_, b"*", ..]) => true,
        ("group", [_, b"x", of, b""]) => *of == ids[1].as_bytes(),
        ("gshadow", [_, b"!", b"", b""]) => true,
        _ => false,
    };
    if made { without_line(content, name) } else { None }
}

fn foreign() -> String {
    "the journal's delta is of another kind than its unit".to_owned()
}

/// Where a path of the host lies.
fn inside(paths: &Paths, path: &str) -> PathBuf {
    paths.root.join(path.trim_start_matches('/'))
}

/// What useradd(8) would give, or sh.
fn default_shell(paths: &Paths) -> String {
    let text = read_words(&paths.etc.join("default/useradd")).unwrap_or_default();
    let told = text.lines().find_map(|line| line.trim().strip_prefix("SHELL="));
    let told = told.map(str::trim).and_then(|path| Shell::try_from(path.to_owned()).ok());
    told.map_or_else(|| "/bin/sh".to_owned(), |shell| shell.to_string())
}

/// An id that is no account's and no group's, and of those the one that was given longest ago.
fn free_id(paths: &Paths) -> Result<u32, String> {
    let highest = highest_id(paths);
    let lowest = highest.saturating_sub(IDS).max(1000);
    let passwd = read(paths, "passwd")?.unwrap_or_default();
    let group = read(paths, "group")?.unwrap_or_default();
    let last = match std::fs::read_to_string(paths.last_uid()) {
        Ok(text) => text.trim().parse().unwrap_or(lowest),
        Err(error) if error.kind() == io::ErrorKind::NotFound => lowest,
        Err(error) => return Err(format!("{} could not be read: {error}", paths.last_uid().display())),
    };
    let free = |id: &u32| {
        let text = id.to_string();
        let here = any(&passwd, 2, &text) || any(&passwd, 3, &text) || any(&group, 2, &text);
        let elsewhere = paths.is_host()
            && (nix::unistd::User::from_uid((*id).into()).ok().flatten().is_some()
                || nix::unistd::Group::from_gid((*id).into()).ok().flatten().is_some());
        !here && !elsewhere
    };
    let after = last.clamp(lowest, highest);
    (after.saturating_add(1)..=highest)
        .chain(lowest..=after)
        .find(free)
        .ok_or_else(|| format!("no user id from {lowest} to {highest} is free on this host"))
}

/// `UID_MAX` of login.defs(5).
fn highest_id(paths: &Paths) -> u32 {
    let text = read_words(&paths.etc.join("login.defs")).unwrap_or_default();
    let told = text.lines().find_map(|line| line.trim().strip_prefix("UID_MAX"));
    // Above are those that systemd gives away by itself.
    told.and_then(|rest| rest.trim().parse().ok()).unwrap_or(60_000).clamp(2_000, 60_577)
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
