//! A registered reason, to be chosen beside a free justification.

use serde::{Deserialize, Serialize};

use super::Text;
use super::read::Fields;
use super::resources::{ResourceType, cell};
use super::user::{is_yes, yes};
use crate::name::ReasonName;

/// One `[[reason]]`. Where any is enabled, whoever justifies chooses one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// What the user types.
    pub name: ReasonName,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Off means: nobody chooses it any more; what it was chosen for keeps it.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
}

impl ResourceType for Reason {
    type Name = ReasonName;

    const HEADING: &'static [&'static str] = &["NAME", "ENABLED", "DESCRIPTION"];

    fn name(&self) -> &Self::Name {
        &self.name
    }

    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.required("name");
        let description = fields.optional("description");
        let enabled = fields.flag("enabled", true);
        Some(Self { name: name?, description, enabled })
    }

    fn cells(&self) -> Vec<String> {
        let enabled = if self.enabled { "yes" } else { "no" }.to_owned();
        vec![self.name.to_string(), enabled, cell(self.description.as_ref())]
    }
}
