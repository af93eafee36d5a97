//! An account on a device, and the privileges that its sessions are given.

use serde::{Deserialize, Serialize};

use super::Label;
use crate::grant::Privilege;
use crate::name::CredentialName;

/// One `[[credential]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// `account@device`.
    pub name: CredentialName,
    /// What kind of account: `local`, `database`, …
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Label>,
    /// Free attributes for criteria.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Label>,
    /// Granted just in time for a session, and taken away after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<Privilege>,
}
