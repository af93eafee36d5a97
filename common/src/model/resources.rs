//! Everything configured, as one value: lists in the order they were created.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{AccessGroup, Credential, Device, Reason, User};

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    User,
    Device,
    Credential,
    AccessGroup,
    Reason,
}

impl Kind {
    /// In the order in which they build on each other.
    pub const ALL: [Self; 5] = [Self::User, Self::Device, Self::Credential, Self::AccessGroup, Self::Reason];

    /// As the TOML writes it: `[[access_group]]`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Device => "device",
            Self::Credential => "credential",
            Self::AccessGroup => "access_group",
            Self::Reason => "reason",
        }
    }

    /// As a command line writes it: `get access-group`.
    #[must_use]
    pub fn argument(self) -> &'static str {
        match self {
            Self::AccessGroup => "access-group",
            other => other.key(),
        }
    }

    /// As a sentence says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AccessGroup => "access group",
            other => other.key(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Reads `user`, `users`, `access_group`, `access-groups`, `groups` …
impl FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase().replace('-', "_");
        let single = lower.strip_suffix('s').unwrap_or(&lower);
        match single {
            "group" => Ok(Self::AccessGroup),
            single => Self::ALL.into_iter().find(|kind| kind.key() == single).ok_or_else(|| {
                let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
                format!(
                    "`{shown}` is no kind of resource; use user, device, credential, access-group or reason"
                )
            }),
        }
    }
}

/// One resource of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    User(User),
    Device(Device),
    Credential(Credential),
    AccessGroup(Box<AccessGroup>),
    Reason(Reason),
}

/// A resource's kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceName {
    /// Its kind.
    pub kind: Kind,
    /// Its name within the kind.
    pub name: String,
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)
    }
}

impl Resource {
    /// Its kind and name.
    #[must_use]
    pub fn name(&self) -> ResourceName {
        let (kind, name) = match self {
            Self::User(user) => (Kind::User, user.name.to_string()),
            Self::Device(device) => (Kind::Device, device.name.to_string()),
            Self::Credential(credential) => (Kind::Credential, credential.name.to_string()),
            Self::AccessGroup(group) => (Kind::AccessGroup, group.name.to_string()),
            Self::Reason(reason) => (Kind::Reason, reason.name.to_string()),
        };
        ResourceName { kind, name }
    }

    /// As a JSON document, for the store and for machines.
    ///
    /// # Errors
    /// Never for a resource that was parsed; serde's signature has it.
    pub fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        match self {
            Self::User(user) => serde_json::to_value(user),
            Self::Device(device) => serde_json::to_value(device),
            Self::Credential(credential) => serde_json::to_value(credential),
            Self::AccessGroup(group) => serde_json::to_value(group),
            Self::Reason(reason) => serde_json::to_value(reason),
        }
    }

    /// Back from a JSON document; each field is parsed as strictly as in a file.
    ///
    /// # Errors
    /// When the document is not one of that kind.
    pub fn from_json(kind: Kind, document: serde_json::Value) -> serde_json::Result<Self> {
        Ok(match kind {
            Kind::User => Self::User(serde_json::from_value(document)?),
            Kind::Device => Self::Device(serde_json::from_value(document)?),
            Kind::Credential => Self::Credential(serde_json::from_value(document)?),
            Kind::AccessGroup => Self::AccessGroup(Box::new(serde_json::from_value(document)?)),
            Kind::Reason => Self::Reason(serde_json::from_value(document)?),
        })
    }
}

/// All resources; within a list the oldest is first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    #[serde(default, rename = "user", skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    #[serde(default, rename = "device", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    #[serde(default, rename = "credential", skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Credential>,
    #[serde(default, rename = "access_group", skip_serializing_if = "Vec::is_empty")]
    pub access_groups: Vec<AccessGroup>,
    #[serde(default, rename = "reason", skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// What writing a resource over another did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Written {
    Created,
    Changed,
    Unchanged,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        })
    }
}

fn write<T: PartialEq>(list: &mut Vec<T>, new: T, same: impl Fn(&T) -> bool) -> Written {
    match list.iter_mut().find(|old| same(old)) {
        Some(old) if *old == new => Written::Unchanged,
        Some(old) => {
            *old = new;
            Written::Changed
        }
        None => {
            list.push(new);
            Written::Created
        }
    }
}

fn take<T>(list: &mut Vec<T>, same: impl Fn(&T) -> bool) -> bool {
    let before = list.len();
    list.retain(|old| !same(old));
    list.len() < before
}

impl Resources {
    /// Creates the resource, or replaces the one of that name in its place.
    pub fn put(&mut self, resource: Resource) -> Written {
        match resource {
            Resource::User(new) => {
                let name = new.name.clone();
                write(&mut self.users, new, |old| old.name == name)
            }
            Resource::Device(new) => {
                let name = new.name.clone();
                write(&mut self.devices, new, |old| old.name == name)
            }
            Resource::Credential(new) => {
                let name = new.name.clone();
                write(&mut self.credentials, new, |old| old.name == name)
            }
            Resource::AccessGroup(new) => {
                let name = new.name.clone();
                write(&mut self.access_groups, *new, |old| old.name == name)
            }
            Resource::Reason(new) => {
                let name = new.name.clone();
                write(&mut self.reasons, new, |old| old.name == name)
            }
        }
    }

    /// Adds a resource whose name is known to be new, without a search.
    pub fn push(&mut self, resource: Resource) {
        match resource {
            Resource::User(new) => self.users.push(new),
            Resource::Device(new) => self.devices.push(new),
            Resource::Credential(new) => self.credentials.push(new),
            Resource::AccessGroup(new) => self.access_groups.push(*new),
            Resource::Reason(new) => self.reasons.push(new),
        }
    }

    /// Removes the resource; says whether it was there.
    pub fn remove(&mut self, which: &ResourceName) -> bool {
        let name = which.name.as_str();
        match which.kind {
            Kind::User => take(&mut self.users, |old| old.name.as_str() == name),
            Kind::Device => take(&mut self.devices, |old| old.name.as_str() == name),
            Kind::Credential => take(&mut self.credentials, |old| old.name.to_string() == name),
            Kind::AccessGroup => take(&mut self.access_groups, |old| old.name.as_str() == name),
            Kind::Reason => take(&mut self.reasons, |old| old.name.as_str() == name),
        }
    }

    /// Every resource of a kind, the oldest first.
    pub fn of_kind(&self, kind: Kind) -> Vec<Resource> {
        match kind {
            Kind::User => self.users.iter().cloned().map(Resource::User).collect(),
            Kind::Device => self.devices.iter().cloned().map(Resource::Device).collect(),
            Kind::Credential => self.credentials.iter().cloned().map(Resource::Credential).collect(),
            Kind::AccessGroup => {
                self.access_groups.iter().cloned().map(Box::new).map(Resource::AccessGroup).collect()
            }
            Kind::Reason => self.reasons.iter().cloned().map(Resource::Reason).collect(),
        }
    }
}
