//! Who may enter from outside, and from where ("internal user group"). It gives no permission on
//! credentials: those stay with access groups.

mod limited;

pub use limited::LimitedUser;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::check::Checker;
use super::location::{AllowedLocation, Location};
use super::read::Fields;
use super::resources::{ResourceType, joined};
use super::user::{is_yes, yes};
use super::{Kind, User};
use crate::name::{UserGroupName, UserName};

/// Whether who joins a group has a remote access at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AutomaticAccess {
    /// As the gate's settings say.
    #[default]
    Default,
    /// They have.
    Yes,
    /// Somebody has to request it.
    No,
}

impl FromStr for AutomaticAccess {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "default" => Ok(Self::Default),
            "yes" => Ok(Self::Yes),
            "no" => Ok(Self::No),
            other => Err(format!("`{}` is not default, yes or no", crate::unseen::quoted(other, 40))),
        }
    }
}

impl fmt::Display for AutomaticAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Default => "default",
            Self::Yes => "yes",
            Self::No => "no",
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_default(automatic: &AutomaticAccess) -> bool {
    *automatic == AutomaticAccess::Default
}

/// One `[[user_group]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserGroup {
    /// Its name.
    pub name: UserGroupName,
    /// Off means: nobody enters by it, and who has ends.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
    /// Whether who joins has a remote access at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub automatic_access: AutomaticAccess,
    /// Who; each has an e-mail address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserName>,
    /// Users who are made with the group, and leave it with the last of their remote accesses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limited_users: Vec<LimitedUser>,
    /// From where.
    #[serde(default, skip_serializing_if = "is_unlimited")]
    pub location: Locations,
}

/// Where a group's users may come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locations {
    /// From these only; off keeps the list and asks nobody.
    pub restrict: bool,
    /// Which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<AllowedLocation>,
}

fn is_unlimited(locations: &Locations) -> bool {
    *locations == Locations::default()
}

impl Locations {
    /// Whether a place is one of them.
    #[must_use]
    pub fn hold(&self, location: &Location) -> bool {
        self.allowed.iter().any(|allowed| allowed.holds(location))
    }
}

impl UserGroup {
    /// Whether who joins has a remote access at once, where the gate's setting is `default`.
    #[must_use]
    pub fn gives_access(&self, default: bool) -> bool {
        match self.automatic_access {
            AutomaticAccess::Default => default,
            AutomaticAccess::Yes => true,
            AutomaticAccess::No => false,
        }
    }

    /// Whether the user is in it, limited or not.
    #[must_use]
    pub fn lists(&self, user: &UserName) -> bool {
        self.users.contains(user) || self.has_limited(user)
    }

    /// Whether the user is a limited one of it.
    #[must_use]
    pub fn has_limited(&self, user: &UserName) -> bool {
        self.limited_users.iter().any(|limited| limited.name == *user)
    }
}

impl ResourceType for UserGroup {
    type Name = UserGroupName;

    const HEADING: &'static [&'static str] = &["NAME", "USERS", "LOCATIONS", "AUTOMATIC ACCESS", "ENABLED"];

    fn name(&self) -> &Self::Name {
        &self.name
    }

    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.required("name");
        let enabled = fields.flag("enabled", true);
        let automatic_access = fields.optional("automatic_access").unwrap_or_default();
        let users = fields.list("users");
        let limited_users = fields.list_of("limited_users", |fields, value| {
            fields.within("limited_users", "a limited user", value, LimitedUser::read).flatten()
        });
        let location = fields.table("location", "[user_group.location]", |fields| {
            let allowed = fields.list_of("allowed", |fields, value| {
                let text = |text: &str| text.parse().map_err(|error| format!("{error}"));
                fields.text_or_table("allowed", "a location", value, text, |fields| {
                    let country = fields.required("country");
                    let region = fields.optional::<String>("region");
                    fields.made("region", AllowedLocation::new(country?, region.as_deref()))
                })
            });
            // A list is written to be kept to.
            Locations { restrict: fields.flag("restrict", true), allowed }
        });
        let location = location.unwrap_or_default();
        Some(Self { name: name?, enabled, automatic_access, users, limited_users, location })
    }

    fn check(checker: &mut Checker<'_>) {
        let resources = checker.resources;
        let users: HashMap<&UserName, &User> =
            resources.users.iter().map(|user| (&user.name, user)).collect();
        for group in &resources.user_groups {
            let name = group.name.as_str();
            let mut seen = HashSet::new();
            for (index, user) in group.users.iter().enumerate() {
                let known = users.get(user);
                let why = match known {
                    _ if !seen.insert(user) => format!("user `{user}` is listed twice"),
                    None if checker.is_unreadable(Kind::User, user.as_str()) => continue,
                    None => checker.no_user(user),
                    Some(known) if known.email.is_none() => format!(
                        "user `{user}` has no e-mail address, and a user group's users must have one; add `email` \
                         to the user"
                    ),
                    Some(_) => continue,
                };
                checker.wrong(Kind::UserGroup, name, format!("users.{index}"), why);
            }
            if group.location.restrict && group.location.allowed.is_empty() {
                let why = "the group is restricted to locations and names none; list them in `allowed`, or write \
                           restrict = false";
                checker.wrong(Kind::UserGroup, name, "location", why);
            }
        }
        limited::check(checker);
    }

    fn cells(&self) -> Vec<String> {
        let locations = match self.location.restrict {
            true => joined(&self.location.allowed),
            false => "anywhere".to_owned(),
        };
        let limited = self.limited_users.iter().map(|limited| format!("{} (limited)", limited.name));
        let users: Vec<_> = self.users.iter().map(ToString::to_string).chain(limited).collect();
        vec![
            self.name.to_string(),
            users.join(", "),
            locations,
            self.automatic_access.to_string(),
            if self.enabled { "yes" } else { "no" }.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests;
