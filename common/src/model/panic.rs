//! What administrators have stopped at once, until one of them lifts it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Text;
use crate::panic::PanicScope;

/// One that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    /// What it stops.
    #[serde(flatten)]
    pub scope: PanicScope,
    /// Since when.
    pub since: Timestamp,
    /// Who began it.
    pub by: String,
    /// Why.
    pub justification: Text,
}

impl Panic {
    /// So many may stand at once.
    pub const MOST: usize = 1_000;
}
