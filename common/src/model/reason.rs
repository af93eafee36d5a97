//! A registered reason, to be chosen beside a free justification.

use serde::{Deserialize, Serialize};

use super::Text;
use super::read::Fields;
use super::resources::{ResourceType, cell};
use crate::name::ReasonName;

/// One `[[reason]]`. Where any is registered, whoever justifies chooses one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// What the user types.
    pub name: ReasonName,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
}

impl ResourceType for Reason {
    type Name = ReasonName;

    const HEADING: &'static [&'static str] = &["NAME", "DESCRIPTION"];

    fn name(&self) -> &Self::Name {
        &self.name
    }

    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.required("name");
        let description = fields.optional("description");
        Some(Self { name: name?, description })
    }

    fn cells(&self) -> Vec<String> {
        vec![self.name.to_string(), cell(self.description.as_ref())]
    }
}
