//! `tidegate-agent report`: who has which privilege on this host all the time, so that
//! a team sees what it could take away and grant for a session instead.
//!
//! Seen: accounts with uid 0 or without a password, members of groups that amount to
//! root or read what others may not, sudoers with its includes, authorized keys of
//! accounts that are root or may become it. Not seen: polkit's rules, file
//! capabilities, setuid programs, accounts of a directory service, keys that sshd reads
//! from elsewhere, services that run as root and take orders.

mod accounts;
mod show;
mod sudo;

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serialize;

use crate::core::{Delta, Ledger, Unit};
use crate::paths::Paths;
use crate::program::run;
use crate::shell::journal::Journal;
use crate::text::{self, lines, shown};
use accounts::Accounts;

/// How long cvtsudoers may take.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

/// What kind of privilege.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Uid0,
    NoPassword,
    Sudo,
    Group,
    Keys,
}

/// Whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// An account that can log in: it could be taken away.
    Person,
    /// root itself, or an account of a service.
    System,
    /// A live grant of Tidegate: it ends by itself.
    Tidegate,
}

/// One privilege of one account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Privilege {
    pub account: String,
    pub kind: Kind,
    pub holder: Holder,
    /// What it allows.
    pub what: String,
    /// Where it is written.
    pub place: String,
}

/// All of a host's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub privileges: Vec<Privilege>,
    /// What could not be looked at, one sentence each.
    pub unseen: Vec<String>,
}

/// Reads the host.
#[must_use]
pub fn of_host(paths: &Paths) -> Report {
    let mut unseen = Vec::new();
    let [passwd, shadow, group] = ["passwd", "shadow", "group"].map(|name| {
        let path = paths.etc.join(name);
        text::read(&path).unwrap_or_else(|error| {
            unseen.push(format!("{}: {error}", path.display()));
            Vec::new()
        })
    });
    let accounts = Accounts::parse(&passwd, &shadow, &group);
    unseen.extend(accounts.unseen().cloned());
    let ledger = Journal::read(&paths.journal()).unwrap_or_else(|error| {
        unseen.push(format!("which privileges are Tidegate's: {error}"));
        Ledger::default()
    });
    let policy = paths.etc.join("sudoers");
    let mut rules = |path: &Path| {
        read_rules(path).unwrap_or_else(|why| {
            // A live grant's may have gone with it meanwhile.
            if path.symlink_metadata().is_ok() {
                unseen.push(format!("{}: {why}", path.display()));
            }
            Vec::new()
        })
    };
    let all = if policy.symlink_metadata().is_ok() { rules(&policy) } else { Vec::new() };
    let drop_ins = ledger.held.iter().filter_map(|held| match &held.delta {
        Delta::Sudo { file, .. } => Some(paths.sudoers_d().join(file)),
        Delta::Group { .. }
        | Delta::Enabled { .. }
        | Delta::Shell { .. }
        | Delta::Created { .. }
        | Delta::Custom { .. } => None,
    });
    let granted: Vec<sudo::Rule> = drop_ins.flat_map(|path| rules(&path)).collect();
    let keys = |home: &Path| {
        let (found, missed) = keys(home);
        unseen.extend(missed);
        found
    };
    let privileges = judge(&accounts, &all, &granted, &ledger, keys);
    Report { privileges, unseen }
}

/// A policy with what it includes, as the host's own cvtsudoers reads it.
fn read_rules(path: &Path) -> Result<Vec<sudo::Rule>, String> {
    let answer = run("cvtsudoers", &["-f", "json", &path.to_string_lossy()], DEADLINE);
    let answer = answer.map_err(|error| error.to_string())?;
    if !answer.status.success() {
        return Err(answer.line());
    }
    sudo::parse(&answer.bytes).map_err(|error| error.to_string())
}

/// Every privilege, a function of what was read; `keys` counts those of one account.
fn judge(
    accounts: &Accounts,
    rules: &[sudo::Rule],
    granted: &[sudo::Rule],
    ledger: &Ledger,
    mut keys: impl FnMut(&Path) -> Vec<(String, usize)>,
) -> Vec<Privilege> {
    let mut found = accounts.privileges();
    let mut granted = granted.to_vec();
    for rule in rules {
        // A rule that is there twice, once by a grant, stands all the same.
        let grants = granted.iter().position(|one| one == rule).map(|place| granted.swap_remove(place));
        let holder = |account: &str| match grants {
            Some(_) => Holder::Tidegate,
            None => accounts.holder(account),
        };
        found.extend(rule.who(accounts).into_iter().map(|(account, through)| Privilege {
            holder: holder(&account),
            account,
            kind: Kind::Sudo,
            what: rule.to_string(),
            place: through,
        }));
    }
    for privilege in &mut found {
        if is_granted(ledger, privilege) {
            privilege.holder = Holder::Tidegate;
        }
    }
    let powerful: BTreeSet<String> = found
        .iter()
        .filter(|one| one.kind != Kind::NoPassword && one.holder != Holder::Tidegate)
        .map(|one| one.account.clone())
        .chain(["root".to_owned()])
        .collect();
    for account in &powerful {
        let Some(home) = accounts.home(account) else { continue };
        found.extend(keys(home).into_iter().map(|(place, count)| Privilege {
            account: account.clone(),
            kind: Kind::Keys,
            holder: Holder::Person,
            what: if count == 1 { "1 key logs in".to_owned() } else { format!("{count} keys log in") },
            place,
        }));
    }
    found.sort();
    found.dedup();
    found
}

/// Whether a live grant is what gives a membership.
fn is_granted(ledger: &Ledger, privilege: &Privilege) -> bool {
    ledger.held.iter().any(|held| match (&held.unit, &held.delta) {
        (Unit::Group { account, group }, Delta::Group { group: true, .. }) => {
            privilege.kind == Kind::Group
                && account.as_str() == privilege.account
                && privilege.place == format!("group {group}")
        }
        _ => false,
    })
}

/// Lines in an account's files of keys, and which of the files could not be read.
fn keys(home: &Path) -> (Vec<(String, usize)>, Vec<String>) {
    let (mut found, mut unseen) = (Vec::new(), Vec::new());
    for file in ["authorized_keys", "authorized_keys2"] {
        let path = home.join(".ssh").join(file);
        let place = shown(path.as_os_str().as_bytes());
        match text::read_if_there(&path) {
            Ok(text) => {
                let lines = lines(&text).map(<[u8]>::trim_ascii);
                let count = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")).count();
                found.extend((count > 0).then_some((place, count)));
            }
            // A home that is none, as accounts of services have, holds no keys.
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {}
            Err(error) => unseen.push(format!("{place}: {error}")),
        }
    }
    (found, unseen)
}

#[cfg(test)]
mod tests;
