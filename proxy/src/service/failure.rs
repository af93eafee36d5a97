//! Why an operation was not carried out.

use tidegate_common::model::Mistakes;
use tidegate_common::policy::NoConfirmation;
use tidegate_common::unseen::printable;

use crate::access::AccessError;
use crate::audit_log::AuditError;
use crate::changes::ChangeError;
use crate::outside::RemoteAccessError;
use crate::recordings::RecordError;
use crate::requests::RequestError;
use crate::store::StoreError;
use crate::vault::{NoSecret, VaultError};
use crate::witness::WitnessError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The user lacks a role.
    #[error("this needs {0}")]
    Role(&'static str),
    /// The user is gone or disabled.
    #[error("your account in Tidegate is disabled; ask an administrator")]
    Disabled,
    /// It is for people with an access of their own.
    #[error(
        "the local administrator is no user, so has no access to ask for and no vote; log in with ssh for that"
    )]
    Local,
    /// What was sent is no text.
    #[error("the text is not UTF-8")]
    NotText,
    /// Nothing of that name.
    #[error("{0}")]
    Missing(String),
    /// It does not stand so that this could be done.
    #[error("{0}")]
    NotNow(String),
    /// A named text is wrong; every mistake is listed.
    #[error("nothing was applied:\n{}", placed(.file, .mistakes))]
    Mistakes {
        /// What it is called.
        file: String,
        /// What is wrong in it.
        mistakes: Mistakes,
    },
    /// Resources.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Requests.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Remote accesses.
    #[error(transparent)]
    RemoteAccess(#[from] RemoteAccessError),
    /// Changes.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Recordings.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What a kernel saw.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// Secrets.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What was typed or sent is no secret.
    #[error(transparent)]
    NoSecret(#[from] NoSecret),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What is sent or taken stopped in the middle.
    #[error("the connection to you broke: {0}")]
    Stream(#[from] std::io::Error),
}

fn placed(file: &str, mistakes: &Mistakes) -> String {
    let file: String = file.chars().map(printable).collect();
    mistakes.0.iter().map(|mistake| format!("{file}, {mistake}")).collect::<Vec<_>>().join("\n")
}

impl Failure {
    /// Whether somebody tried what they may not.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        if let Self::RemoteAccess(error) = self {
            return error.is_refusal();
        }
        matches!(
            self,
            Self::Role(_)
                | Self::Disabled
                | Self::Access(AccessError::NoConfirmation(NoConfirmation::NotOwner(_)))
                | Self::Change(ChangeError::NoApproval { .. } | ChangeError::NotYours(_))
                | Self::Request(
                    RequestError::NoVote { .. }
                        | RequestError::NotYours(_)
                        | RequestError::NotYourTime(_)
                        | RequestError::Refused(_)
                )
        )
    }
}
