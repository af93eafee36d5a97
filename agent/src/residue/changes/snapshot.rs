//! A picture of what is watched, and the difference of two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_common::residue::{Change, Finding, FindingKind};

use super::json::{pairs, text, texts};
use super::rights::Rights;

/// How things of the kernel's are called, which have no time at which they changed.
pub const PROC: &str = "/proc/";
pub const MODULE: &str = "kernel module ";

/// What identifies a thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    pub kind: FindingKind,
    /// As a finding names it.
    pub what: String,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// A digest of all that matters.
    Digest([u8; 16]),
    /// A group: its members apart, to be told one by one.
    Group { members: BTreeSet<String>, rest: [u8; 16] },
    /// A file: its content, and who may do what with it.
    File { content: [u8; 16], rights: Rights },
    /// What only these count of: a directory, or a file whose content is looked at otherwise.
    /// That there is one is told elsewhere, or nothing to tell.
    Rights(Rights),
}

/// A thing as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub mark: Mark,
    /// When its inode last changed, in nanoseconds since 1970; `None` where nothing tells.
    pub changed: Option<i64>,
    /// The directory or the file that holds it.
    #[serde(with = "text")]
    pub place: Arc<str>,
    /// What a finding says of it.
    pub detail: String,
    /// By which a file that was not touched is known again without being read.
    pub stat: Option<Stat>,
}

/// What lstat(2) says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    pub inode: u64,
    pub size: u64,
    pub modified: i64,
    pub changed: i64,
}

/// Everything that is watched, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(with = "pairs")]
    pub items: BTreeMap<Key, Item>,
    /// When each place was last changed.
    #[serde(with = "texts")]
    pub places: BTreeMap<Arc<str>, i64>,
    /// What could not be looked at.
    pub unseen: BTreeSet<String>,
}

impl Snapshot {
    /// What is new, changed or gone in `after`. With `began`, only what changed since then.
    #[must_use]
    pub fn compare(&self, after: &Self, began: Option<i64>) -> Vec<Finding> {
        let since = |at: Option<i64>| match (at, began) {
            (Some(at), Some(began)) => at >= began,
            _ => true,
        };
        let mut findings = Vec::new();
        for (key, now) in after.items.iter().filter(|(_, now)| since(now.changed)) {
            let found = match self.items.get(key).or_else(|| self.items.get(&key.original()?)) {
                None if matches!(now.mark, Mark::Rights(_)) => None,
                None => Some((Change::New, now.detail.clone())),
                Some(before) => difference(before, now).map(|detail| (Change::Changed, detail)),
            };
            findings.extend(found.map(|(change, detail)| key.finding(change, detail)));
        }
        let gone = self.items.iter().filter(|(key, before)| {
            // A place that is gone itself says nothing of when.
            !after.items.contains_key(key)
                && key.kind.is_kept()
                && !matches!(before.mark, Mark::Rights(_))
                && since(after.places.get(&before.place).copied())
        });
        findings.extend(gone.map(|(key, before)| key.finding(Change::Gone, before.detail.clone())));
        findings.sort();
        findings
    }

    /// The moment after which what a finding tells of did not change any more; `None` where
    /// nothing tells, as of one line among many.
    #[must_use]
    pub fn touched(&self, finding: &Finding) -> Option<i64> {
        let key = Key { kind: finding.kind, what: finding.what.clone() };
        let found = self.items.get(&key).filter(|_| finding.change != Change::Gone && !key.is_quick());
        found.and_then(|item| item.changed)
    }

    /// The same with each place in memory once, as it was before it was read from a file.
    #[must_use]
    pub fn shared(mut self) -> Self {
        for item in self.items.values_mut() {
            if let Some((place, _)) = self.places.get_key_value(&item.place) {
                item.place = Arc::clone(place);
            }
        }
        self
    }

    /// This picture with the quickly read parts of another.
    #[must_use]
    pub fn refreshed(&self, with: &Self) -> Self {
        let mut fresh = self.clone();
        fresh.items.retain(|key, item| !key.is_quick() && !item.is_quick());
        fresh.items.extend(with.items.iter().map(|(key, item)| (key.clone(), item.clone())));
        fresh
    }
}

impl Item {
    /// Whether it is read anew when a session begins: rights that grants and others may have
    /// renewed since the picture before, so that no time tells whose they are.
    fn is_quick(&self) -> bool {
        self.changed.is_none() && matches!(self.mark, Mark::Rights(_))
    }
}

impl Key {
    /// Whether it is read anew when a session begins.
    fn is_quick(&self) -> bool {
        self.kind.is_quick() || [PROC, MODULE].iter().any(|start| self.what.starts_with(start))
    }

    /// Of the backup of an account file that was not there, the file: it would be made like that.
    fn original(&self) -> Option<Self> {
        let what = self.what.strip_suffix('-').filter(|what| what.starts_with("/etc/"))?;
        matches!(self.kind, FindingKind::Account | FindingKind::Group)
            .then(|| Self { kind: self.kind, what: what.to_owned() })
    }

    fn finding(&self, change: Change, detail: String) -> Finding {
        Finding { kind: self.kind, change, what: self.what.clone(), detail }
    }
}

/// Of each kind, how it is looked at.
pub trait Watched {
    /// Whether one that is gone is worth a line. Jobs end, sockets close.
    fn is_kept(&self) -> bool;
    /// Whether it is read anew when a session begins: what has no time of its own, or
    /// shares it with what grants change.
    fn is_quick(&self) -> bool;
}

impl Watched for FindingKind {
    fn is_kept(&self) -> bool {
        !matches!(self, Self::At | Self::Setuid | Self::Socket | Self::Process)
    }

    fn is_quick(&self) -> bool {
        matches!(self, Self::Account | Self::Group | Self::Socket)
    }
}

/// What is told of a thing that is not as it was; `None` when it is.
fn difference(before: &Item, now: &Item) -> Option<String> {
    if before.mark == now.mark {
        return None;
    }
    match (&before.mark, &now.mark) {
        (Mark::Group { members: old, .. }, Mark::Group { members: new, .. }) => {
            let joined = new.difference(old).map(|member| format!("+{member}"));
            let left = old.difference(new).map(|member| format!("-{member}"));
            let members: Vec<String> = joined.chain(left).collect();
            Some(if members.is_empty() {
                now.detail.clone()
            } else {
                format!("members {}", members.join(" "))
            })
        }
        (Mark::Rights(_), Mark::Rights(rights)) => Some(rights.to_string()),
        (Mark::File { rights: old, .. }, Mark::File { rights, .. }) if old != rights => {
            let detail = if now.detail.is_empty() { String::new() } else { format!("{}, ", now.detail) };
            Some(format!("{detail}{rights}"))
        }
        _ => Some(now.detail.clone()),
    }
}
