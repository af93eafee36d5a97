//! Users who come from outside only, for as long as they have a remote access: a user group makes
//! them of a name and an address, and they leave it with the last of their remote accesses.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::UserGroup;
use crate::model::check::Checker;
use crate::model::read::Fields;
use crate::model::{Email, Kind, Label, NotifyChoice, Phone, Resource, Resources, User};
use crate::name::UserName;

/// One of `limited_users`. They have no key and no role, and nobody's place: an access group may list
/// them in its `users`, and nothing else names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitedUser {
    /// As written before `@gate`; no other user has it.
    pub name: UserName,
    /// For people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<Label>,
    /// Where codes and messages go; an e-mail address or a phone is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Where codes go by SMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
}

impl LimitedUser {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (name, full_name) = (fields.required("name"), fields.optional("full_name"));
        let (email, phone) = (fields.optional("email"), fields.optional("phone"));
        Some(Self { name: name?, full_name, email, phone })
    }

    /// The user that the group makes.
    pub(in crate::model) fn as_user(&self, group: &UserGroup) -> User {
        User {
            name: self.name.clone(),
            full_name: self.full_name.clone(),
            email: self.email.clone(),
            phone: self.phone.clone(),
            enabled: group.enabled,
            roles: Vec::new(),
            keys: Vec::new(),
            principals: Vec::new(),
            notify: NotifyChoice::default(),
            manager: None,
            deputy: None,
            limited: Some(group.name.clone()),
        }
    }
}

impl Resources {
    /// Every limited user, with the group that makes them.
    pub fn limited_users(&self) -> impl Iterator<Item = (&UserGroup, &LimitedUser)> {
        self.user_groups.iter().flat_map(|group| group.limited_users.iter().map(move |user| (group, user)))
    }

    /// Every resource of a kind as it is shown: limited users stand among the users, after the others.
    #[must_use]
    pub fn shown(&self, kind: Kind) -> Vec<Resource> {
        let mut all = self.of_kind(kind);
        if kind == Kind::User {
            let limited = self.limited_users().map(|(group, limited)| limited.as_user(group));
            all.extend(limited.map(Box::new).map(Resource::User));
        }
        all
    }

    /// Takes limited users out of their groups and out of the access groups that list them, and gives
    /// what has changed by it.
    pub fn remove_limited(&mut self, gone: &HashSet<UserName>) -> Vec<Resource> {
        let mut changed = Vec::new();
        for group in &mut self.user_groups {
            let before = group.limited_users.len();
            group.limited_users.retain(|limited| !gone.contains(&limited.name));
            if group.limited_users.len() < before {
                changed.push(Resource::UserGroup(Box::new(group.clone())));
            }
        }
        for group in &mut self.access_groups {
            let before = group.users.len();
            group.users.retain(|user| !gone.contains(user));
            if group.users.len() < before {
                changed.push(Resource::AccessGroup(Box::new(group.clone())));
            }
        }
        changed
    }
}

/// Each has a name that no other user has, and an address to which a code can be sent.
pub(super) fn check(checker: &mut Checker<'_>) {
    let resources = checker.resources;
    if resources.limited_users().next().is_none() {
        return;
    }
    let lower = |name: &UserName| name.as_str().to_lowercase();
    let users: HashMap<_, _> = resources.users.iter().map(|user| (lower(&user.name), &user.name)).collect();
    let mut seen: HashMap<String, (&UserName, &UserGroup)> = HashMap::new();
    for group in &resources.user_groups {
        for (index, limited) in group.limited_users.iter().enumerate() {
            let (name, key) = (&limited.name, lower(&limited.name));
            let user = users.get(&key);
            let earlier = seen.insert(key, (name, group));
            let why = if let Some(user) = user {
                format!(
                    "there is a user `{user}` already; give the limited user another name, or list `{user}` in `users`"
                )
            } else if let Some((other, of)) = earlier {
                format!(
                    "`{other}` is a limited user of user group `{}` already; take one of them out, or give it \
                     another name",
                    of.name
                )
            } else if limited.email.is_none() && limited.phone.is_none() {
                format!("nobody could send `{name}` a code; add an `email` or a `phone` to the limited user")
            } else {
                continue;
            };
            checker.wrong(Kind::UserGroup, group.name.as_str(), format!("limited_users.{index}"), why);
        }
    }
}

#[cfg(test)]
mod tests;
