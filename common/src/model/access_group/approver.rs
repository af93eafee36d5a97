//! Who approves, and in which level.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::is_default;
use crate::name::UserName;

/// Somebody who approves, and in which level.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "WrittenApprover", into = "WrittenApprover")]
pub struct Approver {
    /// Who.
    pub who: ApproverKind,
    /// In which level.
    pub level: Level,
}

/// Who approves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ApproverKind {
    /// This user.
    User(UserName),
    /// Whoever is the requester's manager.
    Manager,
}

impl ApproverKind {
    /// The person, for a requester with this manager.
    #[must_use]
    pub fn person<'a>(&'a self, manager: Option<&'a UserName>) -> Option<&'a UserName> {
        match self {
            Self::User(user) => Some(user),
            Self::Manager => manager,
        }
    }
}

impl fmt::Display for ApproverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => user.fmt(f),
            Self::Manager => f.pad("the requester's manager"),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenApprover {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserName>,
    #[serde(default, skip_serializing_if = "is_default")]
    manager: bool,
    #[serde(default)]
    level: Level,
}

impl TryFrom<WrittenApprover> for Approver {
    type Error = &'static str;
    fn try_from(written: WrittenApprover) -> Result<Self, Self::Error> {
        let who = match written {
            WrittenApprover { user: Some(user), manager: false, .. } => ApproverKind::User(user),
            WrittenApprover { user: None, manager: true, .. } => ApproverKind::Manager,
            _ => return Err("an approver is either a `user` or the requester's manager: `manager = true`"),
        };
        Ok(Self { who, level: written.level })
    }
}

impl From<Approver> for WrittenApprover {
    fn from(Approver { who, level }: Approver) -> Self {
        match who {
            ApproverKind::User(user) => Self { user: Some(user), manager: false, level },
            ApproverKind::Manager => Self { user: None, manager: true, level },
        }
    }
}

/// 1, 2 or 3; 1 approves first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Level(u8);

impl Default for Level {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u8> for Level {
    type Error = String;
    fn try_from(level: u8) -> Result<Self, String> {
        match level {
            1..=3 => Ok(Self(level)),
            _ => Err(format!("{level} is no level; use 1, 2 or 3")),
        }
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> u8 {
        level.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
