//! Why a command did not do what it was told.

use crate::service;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The words do not fit together.
    #[error("{0}")]
    Usage(String),
    /// What they ask for was refused, or did not work.
    #[error(transparent)]
    Service(#[from] service::Failure),
    /// An answer has no JSON.
    #[error("the answer cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Standard input or output.
    #[error("the connection to you broke: {0}")]
    Stream(#[from] std::io::Error),
}

impl Failure {
    /// The exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Service(service::Failure::NotText) => 2,
            _ => 1,
        }
    }
}
