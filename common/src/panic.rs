//! How far a panic goes: the model has those that stand, the audit log those that ever were.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{AccessGroupName, DeviceName, UserName};

/// How far a panic goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "of", content = "name", rename_all = "kebab-case")]
pub enum PanicScope {
    /// Every session of everybody.
    All,
    /// Sessions and log-ins of a user.
    User(UserName),
    /// Sessions on a device.
    Device(DeviceName),
    /// Sessions that an access group governs.
    AccessGroup(AccessGroupName),
}

/// What it stops, as the beginning of a sentence goes on: `access of user …`.
impl fmt::Display for PanicScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all access"),
            Self::User(user) => write!(f, "access of user `{user}`"),
            Self::Device(device) => write!(f, "access to device `{device}`"),
            Self::AccessGroup(group) => write!(f, "access by group `{group}`"),
        }
    }
}
