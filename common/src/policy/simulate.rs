//! Who gains and who loses what by an edit, before it is made: of all users and credentials only those
//! are looked at that the edit touches. Exceptional access is one of its own beside what a group gives.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use super::given::{Given, Gives, Matches};
use crate::model::{
    AccessGroup, Action, CredentialEntry, ExceptionEntry, ExceptionalAccess, Snapshot, UserEntry,
};
use crate::name::{AccessGroupName, CredentialName, UserName};

/// Pairs of a user and a credential that are looked at.
const MOST_PAIRS: usize = 1_000_000;

/// What an edit does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Accesses that nobody had before.
    pub gained: Accesses,
    /// Accesses that are no more.
    pub lost: Accesses,
    /// Accesses on other terms than before.
    pub changed: Accesses,
    /// Whether all that the edit touches was looked at; else there are more than these.
    pub complete: bool,
}

/// Some accesses, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Accesses {
    /// In all.
    pub count: u64,
    /// Of how many users.
    pub users: u64,
    /// The first of them, by user, device and account.
    pub first: Vec<Access>,
}

/// What becomes of one access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Access {
    /// Who.
    pub user: UserName,
    /// To what.
    pub credential: CredentialName,
    /// To do what.
    pub action: Action,
    /// How it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Gives>,
    /// How it is then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Gives>,
}

type Pairs<'a> = BTreeMap<&'a UserName, BTreeSet<(&'a str, &'a CredentialName)>>;

/// Compares two states of the resources. Of each kind of difference the first `most` are told.
#[must_use]
pub fn simulate(before: &Snapshot, after: &Snapshot, now: Timestamp, most: usize) -> Effect {
    let (pairs, complete) = touched(before, after);
    let mut effect = Effect { complete, ..Effect::default() };
    for (user, credentials) in pairs {
        let mut seen = [false; 3];
        for (_, credential) in credentials {
            for action in [Action::Session, Action::ViewPassword] {
                let was = given(before, user, credential, action, now);
                let is = given(after, user, credential, action, now);
                for (was, is) in was.into_iter().zip(is) {
                    let (place, accesses) = match (&was, &is) {
                        (None, None) => continue,
                        (Some(was), Some(is)) if was.same(is) => continue,
                        (None, Some(_)) => (0, &mut effect.gained),
                        (Some(_), None) => (1, &mut effect.lost),
                        (Some(_), Some(_)) => (2, &mut effect.changed),
                    };
                    accesses.count += 1;
                    if let Some(seen) = seen.get_mut(place)
                        && !std::mem::replace(seen, true)
                    {
                        accesses.users += 1;
                    }
                    if accesses.first.len() < most {
                        let (user, credential) = (user.clone(), credential.clone());
                        let (before, after) = (was.map(|given| given.told()), is.map(|given| given.told()));
                        accesses.first.push(Access { user, credential, action, before, after });
                    }
                }
            }
        }
    }
    effect
}

fn given<'a>(
    snapshot: &'a Snapshot,
    user: &UserName,
    credential: &CredentialName,
    action: Action,
    now: Timestamp,
) -> [Option<Given<'a>>; 2] {
    match (snapshot.user_entry(user), snapshot.credential_entry(credential)) {
        (Some(user), Some(credential)) => Given::all_to(snapshot, user, credential, action, now),
        _ => [None; 2],
    }
}

/// Whether a credential is another to who reaches it.
fn differs(one: &CredentialEntry, other: Option<&CredentialEntry>) -> bool {
    other.is_none_or(|other| {
        one.traits != other.traits || one.credential.privileges != other.credential.privileges
    })
}

/// One state, and what it is compared with.
struct Side<'a> {
    own: &'a Snapshot,
    other: &'a Snapshot,
    matches: Matches<'a>,
    groups: HashMap<&'a AccessGroupName, &'a AccessGroup>,
    exceptions: HashMap<&'a AccessGroupName, &'a ExceptionalAccess>,
}

impl<'a> Side<'a> {
    fn new(own: &'a Snapshot, other: &'a Snapshot) -> Self {
        let groups = other.groups().map(|group| (&group.name, &**group)).collect();
        let exceptions = other.exceptions().map(|one| (&one.access.name, &one.access)).collect();
        Self { own, other, matches: Matches::new(own), groups, exceptions }
    }

    /// Adds what differs from the other state; `false` where it is too much.
    fn touch(&mut self, changed: &BTreeSet<&'a CredentialName>, pairs: &mut Pairs<'a>) -> bool {
        let mut count: usize = pairs.values().map(BTreeSet::len).sum();
        let own = self.own;
        for group in own.groups() {
            let group: &AccessGroup = group;
            let other = self.groups.get(&group.name).copied();
            let all = other != Some(group);
            // Who leaves or joins is in one of both lists.
            for name in &group.users {
                let Some(user) = own.user_entry(name) else { continue };
                let another = self.is_another(user);
                if !all && !another && changed.is_empty() {
                    continue;
                }
                let mut reached = pairs.remove(name).unwrap_or_default();
                let before = reached.len();
                for &credential in self.matches.of(group, user).iter() {
                    let credential = &credential.credential.name;
                    if all || another || changed.contains(credential) {
                        reached.insert((credential.device.as_str(), credential));
                    }
                }
                count += reached.len() - before;
                if !reached.is_empty() {
                    pairs.insert(&user.user.name, reached);
                }
                if count >= MOST_PAIRS {
                    return false;
                }
            }
        }
        for ExceptionEntry { access, .. } in own.exceptions() {
            let Some(entry) = own.credential_entry(&access.credential) else { continue };
            let credential = &entry.credential.name;
            let all = self.exceptions.get(&access.name) != Some(&access) || changed.contains(credential);
            let users = access.users.iter().filter_map(|name| own.user_entry(name));
            for user in users.filter(|user| all || self.is_another(user)) {
                let reached = pairs.entry(&user.user.name).or_default();
                count += usize::from(reached.insert((credential.device.as_str(), credential)));
            }
        }
        count < MOST_PAIRS
    }

    /// Whether the user is there in one state only.
    fn is_another(&self, user: &UserEntry) -> bool {
        self.other.user_entry(&user.user.name).is_none_or(|was| was.user.enabled != user.user.enabled)
    }
}

/// Every pair of which the decision may differ, and whether these are all.
fn touched<'a>(before: &'a Snapshot, after: &'a Snapshot) -> (Pairs<'a>, bool) {
    let of = |own: &'a Snapshot, other: &'a Snapshot| {
        let names = own.credential_entries().filter_map(move |entry| {
            let name = &entry.credential.name;
            differs(entry, other.credential_entry(name)).then_some(name)
        });
        names.collect::<BTreeSet<_>>()
    };
    let changed = &of(before, after) | &of(after, before);
    let mut pairs = Pairs::new();
    let complete = [(before, after), (after, before)]
        .into_iter()
        .all(|(own, other)| Side::new(own, other).touch(&changed, &mut pairs));
    (pairs, complete)
}
