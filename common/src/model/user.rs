//! A person known to Tidegate.

mod deputy;
mod notify;

pub use deputy::Deputy;
pub use notify::NotifyChoice;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::check::Checker;
use super::read::Fields;
use super::resources::{ResourceType, cell, joined};
use super::{Email, Kind, Label, Phone, PublicKey};
use crate::name::{UserGroupName, UserName};
use crate::notice::Channel;

/// What a user may do in Tidegate itself. Approvers need no role: an access group names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Configures everything; gets no access to devices by that.
    Admin,
    /// Reads sessions, recordings and the audit log.
    Auditor,
    /// Watches, locks and ends sessions that live.
    Monitor,
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "admin" => Ok(Self::Admin),
            "auditor" => Ok(Self::Auditor),
            "monitor" => Ok(Self::Monitor),
            other => {
                let shown = crate::unseen::quoted(other, 40);
                Err(format!("`{shown}` is no role; use admin, auditor or monitor"))
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Monitor => "monitor",
        })
    }
}

/// One `[[user]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// As written before `@gate`.
    pub name: UserName,
    /// For people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<Label>,
    /// Where messages go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Where short messages go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// Off means: may not log in, and live sessions end.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
    /// Roles in Tidegate itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Public keys that log the user in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<PublicKey>,
    /// Principals of OpenSSH certificates that log the user in; empty means the user's own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<Label>,
    /// By which channels they are told of what.
    #[serde(default, skip_serializing_if = "NotifyChoice::is_empty")]
    pub notify: NotifyChoice,
    /// Who approves for this user where an access group asks for the requester's manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<UserName>,
    /// Who has this user's place as an approver while they are away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deputy: Option<Deputy>,
    /// The user group that they were made with and go with; none of whoever is written as a
    /// `[[user]]`. It is shown and never read.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub limited: Option<UserGroupName>,
}

pub(super) fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
pub(super) fn is_yes(value: &bool) -> bool {
    *value
}

impl User {
    /// Whether a certificate that names this principal speaks for the user; none does for a limited one.
    #[must_use]
    pub fn has_principal(&self, principal: &str) -> bool {
        if self.limited.is_some() {
            return false;
        }
        match self.principals.as_slice() {
            [] => self.name.as_str() == principal,
            named => named.iter().any(|name| name.as_str() == principal),
        }
    }

    /// Whether the user has the role.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

impl ResourceType for User {
    type Name = UserName;

    const HEADING: &'static [&'static str] = &["NAME", "FULL NAME", "EMAIL", "ROLES", "KEYS", "ENABLED"];

    fn name(&self) -> &Self::Name {
        &self.name
    }

    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.required("name");
        let (full_name, email) = (fields.optional("full_name"), fields.optional("email"));
        let phone = fields.optional("phone");
        let enabled = fields.flag("enabled", true);
        let (roles, keys, principals) =
            (fields.list("roles"), fields.list("keys"), fields.list("principals"));
        let notify = NotifyChoice::read(fields);
        let manager = fields.optional("manager");
        let deputy = fields.table("deputy", "`deputy`", Deputy::read).flatten();
        Some(Self {
            name: name?,
            full_name,
            email,
            phone,
            enabled,
            roles,
            keys,
            principals,
            notify,
            manager,
            deputy,
            limited: None,
        })
    }

    fn check(checker: &mut Checker<'_>) {
        let resources = checker.resources;
        let mut seen: HashMap<String, &UserName> = HashMap::new();
        for user in &resources.users {
            if let Some(other) = seen.insert(user.name.as_str().to_lowercase(), &user.name) {
                let why = format!("`{}` differs from user `{other}` only in upper and lower case", user.name);
                checker.wrong(Kind::User, user.name.as_str(), "name", why);
            }
            let addresses = [
                (Channel::Mail, user.email.is_some(), "email"),
                (Channel::Sms, user.phone.is_some(), "phone"),
            ];
            for (channel, has, key) in addresses {
                let Some(kind) = user.notify.names(channel).filter(|_| !has) else { continue };
                let why = format!(
                    "`{}` is to go by {channel}, and user `{}` has no `{key}`",
                    kind.key(),
                    user.name
                );
                checker.wrong(Kind::User, user.name.as_str(), format!("notify.{}", kind.key()), why);
            }
        }
        deputy::check(checker);
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            cell(self.full_name.as_ref()),
            cell(self.email.as_ref()),
            match &self.limited {
                Some(group) => format!("limited, with the group {group}"),
                None => joined(&self.roles),
            },
            self.keys.len().to_string(),
            if self.enabled { "yes" } else { "no" }.to_owned(),
        ]
    }
}
