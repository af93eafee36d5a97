//! What groups and exceptional accesses give, whenever they are open: for who looks at all users and
//! credentials at once. A decision looks at one moment, and at what is stopped then; this looks at what
//! is configured. An exceptional access is told beside what a group gives, which is there again after it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::criteria;
use super::decide::{Demand, most_demanded};
use crate::model::{
    AccessGroup, Action, Credential, CredentialEntry, Criteria, ExceptionEntry, ExceptionalAccess, Snapshot,
    Terms, UserEntry,
};
use crate::name::AccessGroupName;

/// The group or the exceptional access that governs an access, and its terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    group: &'a Arc<AccessGroup>,
    terms: &'a Terms,
    credential: &'a Credential,
    exceptional: Option<&'a ExceptionalAccess>,
}

impl<'a> Given<'a> {
    /// What the exceptional access gives that lasts longest, and what governs besides it.
    pub fn all_to(
        snapshot: &'a Snapshot,
        user: &UserEntry,
        credential: &'a CredentialEntry,
        action: Action,
        now: Timestamp,
    ) -> [Option<Self>; 2] {
        if !user.user.enabled {
            return [None; 2];
        }
        [
            Self::by_exception(snapshot, user, credential, action, now),
            Self::by_group(snapshot, user, credential, action, now),
        ]
    }

    /// One that begins later counts as one that has begun.
    fn by_exception(
        snapshot: &'a Snapshot,
        user: &UserEntry,
        credential: &'a CredentialEntry,
        action: Action,
        now: Timestamp,
    ) -> Option<Self> {
        let credential = &*credential.credential;
        let given = snapshot.exceptions_of(user).filter(|one| {
            one.access.credential == credential.name && one.access.allows(action) && now < one.access.until
        });
        let ExceptionEntry { access, group } = given.max_by_key(|one| one.access.until)?;
        let terms = group.terms(action)?;
        Some(Self { group, terms, credential, exceptional: Some(access) })
    }

    /// The group that governs once every limitation is open that ever will be.
    fn by_group(
        snapshot: &'a Snapshot,
        user: &UserEntry,
        credential: &'a CredentialEntry,
        action: Action,
        now: Timestamp,
    ) -> Option<Self> {
        let mut best: Option<(Demand, Self)> = None;
        for entry in snapshot.groups_of(user) {
            let group = &entry.group;
            let Some(terms) = group.terms(action).filter(|_| !group.limitation.is_over(now)) else {
                continue;
            };
            let demand = most_demanded(terms);
            // The oldest comes first, so only a stricter one replaces it.
            if best.as_ref().is_some_and(|(most, _)| demand <= *most)
                || criteria::mismatch(&group.criteria, &credential.traits, &user.lower).is_some()
            {
                continue;
            }
            let (credential, exceptional) = (&*credential.credential, None);
            best = Some((demand, Self { group, terms, credential, exceptional }));
        }
        best.map(|(_, given)| given)
    }

    /// Whether both come to the same for whoever uses them.
    pub fn same(&self, other: &Self) -> bool {
        let same_group = Arc::ptr_eq(self.group, other.group) || {
            let (a, b) = (self.group, other.group);
            self.terms == other.terms
                && a.request == b.request
                && a.limitation == b.limitation
                && a.conditions.forwards == b.conditions.forwards
                && self.times() == other.times()
        };
        same_group && self.credential.privileges == other.credential.privileges
    }

    /// From when and until when it is, of exceptional access.
    fn times(&self) -> Option<(Option<Timestamp>, Timestamp)> {
        self.exceptional.map(|access| (access.from, access.until))
    }

    /// The same in words.
    pub fn told(&self) -> Gives {
        let group = self.group;
        let words = |words: Vec<String>| words.join(", ");
        Gives {
            group: group.name.clone(),
            asks: group.asks(Some(self.terms)),
            open: match self.times() {
                None => group.limitation.to_string(),
                Some((None, until)) => format!("until {until}"),
                Some((Some(from), until)) => format!("from {from} until {until}"),
            },
            forwards: words(group.conditions.forwards.iter().map(ToString::to_string).collect()),
            privileges: words(self.credential.privileges.iter().map(ToString::to_string).collect()),
        }
    }
}

/// What an access group or an exceptional access gives, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gives {
    /// Which.
    pub group: AccessGroupName,
    /// What it asks for.
    pub asks: String,
    /// When it grants.
    pub open: String,
    /// Which forwards it allows; none where it is empty.
    pub forwards: String,
    /// What a session is granted on the device; nothing where it is empty.
    pub privileges: String,
}

impl fmt::Display for Gives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by `{}`, asks for {}, open {}", self.group, self.asks, self.open)?;
        for (what, words) in [("forwards", &self.forwards), ("grants", &self.privileges)] {
            if !words.is_empty() {
                write!(f, ", {what} {words}")?;
            }
        }
        Ok(())
    }
}

/// Which credentials a group's criteria match: looked for once where they are the same for all users.
pub(super) struct Matches<'a> {
    snapshot: &'a Snapshot,
    of: HashMap<&'a AccessGroupName, Arc<[&'a CredentialEntry]>>,
}

impl<'a> Matches<'a> {
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, of: HashMap::new() }
    }

    pub fn of(&mut self, group: &'a AccessGroup, user: &UserEntry) -> Arc<[&'a CredentialEntry]> {
        let snapshot = self.snapshot;
        let look = || matching(snapshot, &group.criteria, user);
        if group.criteria.names_user() {
            return look();
        }
        Arc::clone(self.of.entry(&group.name).or_insert_with(look))
    }
}

fn matching<'a>(snapshot: &'a Snapshot, criteria: &Criteria, user: &UserEntry) -> Arc<[&'a CredentialEntry]> {
    let all = snapshot.credential_entries();
    all.filter(|entry| criteria::mismatch(criteria, &entry.traits, &user.lower).is_none()).collect()
}
