//! An account that is there, made usable: the lock on its password (`!` before it in
//! shadow(5)), its expiry, and its shell where it has none.
//!
//! usermod(8) changes expiry and shell. The lock the agent lifts itself, because
//! usermod would make the locked password usable: `!` becomes `*`, so that sshd no longer
//! takes the account for locked, and no password opens it.

use std::path::Path;

use tidegate_common::grant::Shell;
use tidegate_common::name::AccountName;

use super::account;
use super::lock::AccountLock;
use super::tools::{self, Tool};
use crate::account_files::{fields, read, with_field};
use crate::clock::today;
use crate::core::{Delta, Lifted, Swap};
use crate::paths::Paths;
use crate::text::shown;

/// Fields of shadow(5) and passwd(5).
const PASSWORD: usize = 1;
const EXPIRES: usize = 7;
const SHELL: usize = 6;

/// What keeps the account from being used.
pub fn plan(paths: &Paths, account: &AccountName) -> Result<Delta, String> {
    account::find(paths, account)?;
    let shadow = read(paths, "shadow")?.unwrap_or_default();
    let Some(fields) = fields(&shadow, account.as_str()) else {
        return Err(format!(
            "`{account}` has no line in {}, so its lock is kept elsewhere; enable it there",
            paths.etc.join("shadow").display()
        ));
    };
    let field = |position: usize| fields.get(position).copied().unwrap_or_default();
    let marks = field(PASSWORD).iter().take_while(|byte| **byte == b'!').count();
    let password = (marks > 0).then_some(Lifted { marks });
    // What is no number is no day that has passed.
    let expires = std::str::from_utf8(field(EXPIRES)).unwrap_or_default();
    let over = expires.parse::<i64>().is_ok_and(|day| day <= today());
    let expires = over.then(|| Swap { before: expires.to_owned(), after: String::new() });
    Ok(Delta::Enabled { password, expires })
}

/// What the account has instead of a shell.
pub fn plan_shell(paths: &Paths, account: &AccountName, shell: &Shell) -> Result<Delta, String> {
    account::find(paths, account)?;
    let passwd = read(paths, "passwd")?.unwrap_or_default();
    let before = fields(&passwd, account.as_str()).and_then(|fields| fields.get(SHELL).copied());
    let none = |path: &&[u8]| matches!(path.rsplit(|byte| *byte == b'/').next(), Some(b"nologin" | b"false"));
    let Some(before) = before.filter(none) else { return Ok(Delta::Shell { shell: None }) };
    // The journal keeps it as text, and what is put back has to be the same to the byte.
    let Ok(before) = std::str::from_utf8(before).map(str::to_owned) else {
        return Err(format!(
            "the shell of `{account}`, {}, is not UTF-8; give it another name",
            shown(before)
        ));
    };
    if !Path::new(shell.as_str()).is_file() {
        return Err(format!("the shell {shell} does not exist on this host; name another"));
    }
    Ok(Delta::Shell { shell: Some(Swap { before, after: shell.to_string() }) })
}

/// Changes the fields.
pub fn apply(paths: &Paths, lock: &AccountLock, account: &AccountName, delta: &Delta) -> Result<(), String> {
    edit(paths, lock, account, delta, Way::There).map(|_| ())
}

/// Whether the fields are as they were made.
pub fn verify(paths: &Paths, account: &AccountName, delta: &Delta) -> Result<(), String> {
    for change in changes(delta) {
        let content = read(paths, change.file)?.unwrap_or_default();
        let now = fields(&content, account.as_str()).and_then(|fields| fields.get(change.position).copied());
        if !now.is_some_and(|now| change.is_made(now)) {
            return Err(format!(
                "`{account}` has another {} than it was given; does another program manage accounts?",
                change.what
            ));
        }
    }
    Ok(())
}

/// Puts back what was changed, and says what somebody else has changed since.
pub fn undo(
    paths: &Paths,
    lock: &AccountLock,
    account: &AccountName,
    delta: &Delta,
    applied: bool,
) -> Result<Option<String>, String> {
    let theirs = edit(paths, lock, account, delta, Way::Back)?;
    if theirs.is_empty() || !applied {
        return Ok(None);
    }
    Ok(Some(format!(
        "somebody else changed the {} of `{account}` meanwhile; left so",
        theirs.join(" and the ")
    )))
}

/// The file without what was changed of the account, as far as it is as it was made; `None`
/// when it is nowhere.
pub fn without(file: &str, content: &[u8], account: &AccountName, delta: &Delta) -> Option<Vec<u8>> {
    let mut turned = None;
    for change in changes(delta).into_iter().filter(|change| change.file == file) {
        let content = turned.as_deref().unwrap_or(content);
        let now = fields(content, account.as_str()).and_then(|fields| fields.get(change.position).copied());
        let value = now.and_then(|now| change.turned(now, Way::Back));
        if let Some(value) = value {
            turned = with_field(content, account.as_str(), change.position, &value).or(turned);
        }
    }
    turned
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

/// One field that changes.
struct Change<'a> {
    file: &'static str,
    position: usize,
    what: &'static str,
    to: To<'a>,
    /// The host's tool for it.
    tool: fn(&AccountName, &str) -> Option<Tool>,
}

enum To<'a> {
    Lifted(Lifted),
    Swapped(&'a Swap),
}

impl Change<'_> {
    fn is_made(&self, now: &[u8]) -> bool {
        match &self.to {
            To::Lifted(Lifted { marks }) => now.starts_with(&b"*".repeat(*marks)),
            To::Swapped(swap) => now == swap.after.as_bytes(),
        }
    }

    /// The field's new value; `None` when it is not what it has to be before.
    fn turned(&self, now: &[u8], way: Way) -> Option<Vec<u8>> {
        match (&self.to, way) {
            (To::Lifted(lifted), Way::There) => remarked(now, *lifted, b'!', b'*'),
            (To::Lifted(lifted), Way::Back) => remarked(now, *lifted, b'*', b'!'),
            (To::Swapped(Swap { before, after }), Way::There) => swapped(now, before, after),
            (To::Swapped(Swap { before, after }), Way::Back) => swapped(now, after, before),
        }
    }
}

fn remarked(now: &[u8], lifted: Lifted, from: u8, to: u8) -> Option<Vec<u8>> {
    let rest = now.strip_prefix([from].repeat(lifted.marks).as_slice())?;
    Some([[to].repeat(lifted.marks).as_slice(), rest].concat())
}

fn swapped(now: &[u8], from: &str, to: &str) -> Option<Vec<u8>> {
    (now == from.as_bytes()).then(|| to.as_bytes().to_vec())
}

fn changes(delta: &Delta) -> Vec<Change<'_>> {
    match delta {
        Delta::Enabled { password, expires } => {
            let password = password.map(|lifted| Change {
                file: "shadow",
                position: PASSWORD,
                what: "password",
                to: To::Lifted(lifted),
                tool: |_, _| None,
            });
            let expires = expires.iter().map(|swap| Change {
                file: "shadow",
                position: EXPIRES,
                what: "expiry date",
                to: To::Swapped(swap),
                tool: Tool::expiry,
            });
            password.into_iter().chain(expires).collect()
        }
        Delta::Shell { shell } => {
            let shell = shell.iter().map(|swap| Change {
                file: "passwd",
                position: SHELL,
                what: "shell",
                to: To::Swapped(swap),
                tool: Tool::shell,
            });
            shell.collect()
        }
        _ => Vec::new(),
    }
}

/// Turns the fields one way or the other; returns those that somebody else has changed.
fn edit(
    paths: &Paths,
    lock: &AccountLock,
    account: &AccountName,
    delta: &Delta,
    way: Way,
) -> Result<Vec<&'static str>, String> {
    let (mut theirs, mut tools, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for file in ["shadow", "passwd"] {
        let mine: Vec<Change<'_>> = changes(delta).into_iter().filter(|change| change.file == file).collect();
        if mine.is_empty() {
            continue;
        }
        let before = read(paths, file)?.unwrap_or_default();
        let mut content = before.clone();
        for change in &mine {
            let now =
                fields(&content, account.as_str()).and_then(|fields| fields.get(change.position).copied());
            let changed = now.and_then(|now| change.turned(now, way)).and_then(|value| {
                Some((with_field(&content, account.as_str(), change.position, &value)?, value))
            });
            match changed {
                Some((changed, value)) => {
                    content = changed;
                    // Swapped values are the journal's, which are text.
                    tools.extend(
                        std::str::from_utf8(&value).ok().and_then(|value| (change.tool)(account, value)),
                    );
                }
                None if way == Way::There => {
                    let what = change.what;
                    return Err(format!("the {what} of `{account}` was changed by someone else; try again"));
                }
                None => theirs.push(change.what),
            }
        }
        if content != before {
            files.push((file, content));
        }
    }
    match way {
        Way::There => tools::make(paths, lock, &tools, files)?,
        Way::Back => tools::take_back(paths, lock, &tools, files)?,
    }
    Ok(theirs)
}

#[cfg(test)]
#[path = "enable_tests.rs"]
mod tests;
