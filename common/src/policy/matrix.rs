//! Who may reach what, and what it asks for: every pair that some group or exceptional access gives, for
//! auditors.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::given::{Given, Gives, Matches};
use crate::model::{Action, CredentialEntry, Snapshot, UserEntry};
use crate::name::{AccessGroupName, CredentialName, DeviceName, UserName};

/// What to list; none stands for all.
#[derive(Debug, Clone, Default)]
pub struct MatrixFilter {
    /// Of this user only.
    pub user: Option<UserName>,
    /// On this device only.
    pub device: Option<DeviceName>,
    /// Only what this access group governs, or this exceptional access gives.
    pub group: Option<AccessGroupName>,
}

/// One access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MatrixRow {
    /// Who.
    pub user: UserName,
    /// To what.
    pub credential: CredentialName,
    /// To do what.
    pub action: Action,
    /// By which group or exceptional access, and how.
    #[serde(flatten)]
    pub gives: Gives,
}

/// Every access that is configured, by user, device and account. What is stopped by a panic is
/// listed all the same: it begins again.
pub fn matrix<'a>(
    snapshot: &'a Snapshot,
    filter: &'a MatrixFilter,
    now: Timestamp,
) -> impl Iterator<Item = MatrixRow> + 'a {
    let mut users: Vec<_> = snapshot.user_entries().collect();
    users.retain(|entry| filter.user.as_ref().is_none_or(|user| entry.user.name == *user));
    users.sort_by(|a, b| a.user.name.cmp(&b.user.name));
    let mut matches = Matches::new(snapshot);
    users.into_iter().flat_map(move |user| of_user(snapshot, &mut matches, user, filter, now))
}

fn of_user<'a>(
    snapshot: &'a Snapshot,
    matches: &mut Matches<'a>,
    user: &'a UserEntry,
    filter: &MatrixFilter,
    now: Timestamp,
) -> Vec<MatrixRow> {
    let mut reached: BTreeMap<_, &CredentialEntry> = BTreeMap::new();
    let mut reach = |credential: &'a CredentialEntry| {
        let name = &credential.credential.name;
        if filter.device.as_ref().is_none_or(|device| name.device == *device) {
            reached.insert((&name.device, &name.account), credential);
        }
    };
    for group in snapshot.groups_of(user) {
        for &credential in matches.of(&group.group, user).iter() {
            reach(credential);
        }
    }
    for one in snapshot.exceptions_of(user) {
        if let Some(credential) = snapshot.credential_entry(&one.access.credential) {
            reach(credential);
        }
    }
    let rows = reached.into_values().flat_map(|credential| {
        [Action::Session, Action::ViewPassword].into_iter().flat_map(move |action| {
            let all = Given::all_to(snapshot, user, credential, action, now).into_iter().flatten();
            all.map(move |given| {
                let (user, credential) = (user.user.name.clone(), credential.credential.name.clone());
                MatrixRow { user, credential, action, gives: given.told() }
            })
        })
    });
    rows.filter(|row| filter.group.as_ref().is_none_or(|group| row.gives.group == *group)).collect()
}
