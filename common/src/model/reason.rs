//! A registered reason, to be chosen beside a free justification.

use serde::{Deserialize, Serialize};

use super::Text;
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
