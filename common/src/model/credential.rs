//! An account on a device, and the privileges that its sessions are given.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::check::Checker;
use super::read::Fields;
use super::resources::{ResourceType, cell, joined};
use super::{Kind, Label};
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

impl ResourceType for Credential {
    type Name = CredentialName;

    const HEADING: &'static [&'static str] = &["NAME", "TYPE", "TAGS", "PRIVILEGES"];

    fn name(&self) -> &Self::Name {
        &self.name
    }

    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.required("name");
        let (kind, tags) = (fields.optional("type"), fields.list("tags"));
        let privileges = fields.serde_list("privileges");
        Some(Self { name: name?, kind, tags, privileges })
    }

    fn check(checker: &mut Checker<'_>) {
        let resources = checker.resources;
        let devices: HashSet<_> = resources.devices.iter().map(|device| &device.name).collect();
        for credential in &resources.credentials {
            let name = credential.name.to_string();
            let device = &credential.name.device;
            if !devices.contains(device) && !checker.is_unreadable(Kind::Device, device.as_str()) {
                let why =
                    format!("there is no device `{device}`; add it as a [[device]] or correct the name");
                checker.wrong(Kind::Credential, &name, "name", why);
            }
            for (index, privilege) in credential.privileges.iter().enumerate() {
                let empty = match privilege {
                    Privilege::Groups(groups) => groups.groups.is_empty().then_some("groups"),
                    Privilege::Sudo(rule) => rule.commands.is_empty().then_some("commands"),
                    _ => None,
                };
                if let Some(what) = empty {
                    let why = format!("`{what}` must name at least one");
                    checker.wrong(Kind::Credential, &name, format!("privileges.{index}"), why);
                }
            }
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![self.name.to_string(), cell(self.kind.as_ref()), joined(&self.tags), joined(&self.privileges)]
    }
}
