//! What an account may do on a device, byte for byte: the files that decide it and
//! sudo's own answer. Two pictures taken around a session must be equal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::host::Host;

/// The files and directories that decide who may do what.
const FILES: [&str; 12] = [
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/gshadow",
    "/etc/subuid",
    "/etc/subgid",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/run/tidegate/sudoers.d",
    "/etc/ssh/sshd_config",
    "/etc/ssh/sshd_config.d",
    "/var/spool/cron/crontabs",
];

/// A picture of what decides an account's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts(BTreeMap<String, Vec<u8>>);

impl Accounts {
    /// Takes it.
    pub fn of(host: &impl Host, account: &str) -> Result<Self> {
        Self::of_all(host, &[account])
    }

    /// Takes it of several accounts.
    pub fn of_all(host: &impl Host, accounts: &[&str]) -> Result<Self> {
        let Self(mut picture) = Self::of_files(host, accounts);
        for account in accounts {
            for question in [&["sudo", "-l", "-U", account] as &[&str], &["id", account]] {
                picture.insert(question.join(" "), host.run(question)?.all().into_bytes());
            }
        }
        Ok(Self(picture))
    }

    /// Takes it of the files only, which is quick.
    #[must_use]
    pub fn of_files(host: &impl Host, accounts: &[&str]) -> Self {
        let mut picture = BTreeMap::new();
        let keys = accounts.iter().map(|account| format!("/home/{account}/.ssh/authorized_keys"));
        for file in FILES.iter().map(|file| (*file).to_owned()).chain(keys) {
            add(&mut picture, &file, &host.path(&file));
        }
        Self(picture)
    }

    /// As [`Self::of`], but only what mentions the account, so that what others do on
    /// the device at the same time does not count.
    pub fn of_only(host: &impl Host, account: &str) -> Result<Self> {
        let mut picture = Self::of(host, account)?.0;
        for (_, bytes) in picture.iter_mut().filter(|(name, _)| name.starts_with('/')) {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let kept = text.lines().filter_map(|line| about(line, account)).collect::<Vec<_>>();
            *bytes = kept.join("\n").into_bytes();
        }
        picture.retain(|_, bytes| !bytes.is_empty());
        Ok(Self(picture))
    }

    /// How many bytes of files it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of what it holds.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What differs in `later`, for people; empty when nothing does.
    #[must_use]
    pub fn difference(&self, later: &Self) -> String {
        let mut text = String::new();
        for name in self.0.keys().chain(later.0.keys().filter(|name| !self.0.contains_key(*name))) {
            let (before, after) = (self.0.get(name), later.0.get(name));
            if before != after {
                let show = |bytes: Option<&Vec<u8>>| {
                    bytes.map_or("(not there)".to_owned(), |b| String::from_utf8_lossy(b).into_owned())
                };
                let _ = writeln!(text, "{name} was:\n{}\nand is now:\n{}", show(before), show(after));
            }
        }
        text
    }
}

/// The line, if it is the account's own; of a line that only mentions it (as a group
/// with other members does), what it is about.
fn about(line: &str, account: &str) -> Option<String> {
    let mut words = line.split([':', ',', ' ', '\t', '(', ')', '=']);
    let first = words.next()?;
    if first == account || line.contains(&format!("({account})")) {
        return Some(line.to_owned());
    }
    words.any(|word| word == account).then(|| format!("{first} … {account}"))
}

/// A directory that is not there and an empty one mean the same: no rule.
fn add(picture: &mut BTreeMap<String, Vec<u8>>, name: &str, path: &Path) {
    if path.is_dir() {
        let Ok(entries) = fs::read_dir(path) else { return };
        for entry in entries.flatten() {
            add(picture, &format!("{name}/{}", entry.file_name().to_string_lossy()), &entry.path());
        }
    } else if let Ok(bytes) = fs::read(path) {
        picture.insert(name.to_owned(), bytes);
    }
}
