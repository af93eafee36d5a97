//! What can go wrong with secrets, and how it is told. Nothing of a secret is in it.

use std::path::PathBuf;

use tidegate_common::name::CredentialName;

use crate::audit_log::AuditError;
use crate::store::StoreError;
use crate::turn::Retryable;

/// Why there is no master key to use.
#[derive(Debug, thiserror::Error)]
pub enum Keyless {
    /// None is configured.
    #[error(
        "the vault has no master key; write 32 random bytes to a file with mode 0400 and name it as `key` of \
         [vault] in the gate's settings"
    )]
    None,
    /// It is not there.
    #[error("the vault's master key {0} is not there; put it there, or correct `key` of [vault]")]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("the vault's master key {path} cannot be read: {error}; the gate's user must be able to")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It is somebody else's.
    #[error("the vault's master key {0} belongs to another user; it must be the gate's own or root's")]
    Owner(PathBuf),
    /// Others may read it, or somebody may write it.
    #[error(
        "the vault's master key {path} has mode {mode:04o}; nobody may do more than read it: chmod 0400 {path}"
    )]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It has another length.
    #[error("the vault's master key {path} has {bytes} bytes and must have 32 random ones")]
    Length {
        /// Which file.
        path: PathBuf,
        /// How many it has.
        bytes: u64,
    },
    /// It is nothing but zeroes.
    #[error("the vault's master key {0} is all zeroes and must be 32 random bytes")]
    Empty(PathBuf),
}

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no master key to use.
    #[error(transparent)]
    Key(Keyless),
    /// The credential has none.
    #[error("there is no secret of {0} in the vault; `credential secret list` shows those there are")]
    None(CredentialName),
    /// Its master key is not there.
    #[error(
        "the secret of {credential} is under the master key {key}, which this gate does not have; put that back, \
         or set the secret anew (`credential secret set`)"
    )]
    Locked {
        /// Whose.
        credential: CredentialName,
        /// The key's id.
        key: String,
    },
    /// It is not what was sealed.
    #[error(
        "the secret of {0} does not open, because its row in the store was altered; set it anew (`credential secret set`)"
    )]
    Altered(CredentialName),
    /// A text that waits to be sent is lost.
    #[error(
        "what was to be sent of {0} does not open any more, because the vault's master key changed or it was altered; make it again"
    )]
    Waiting(String),
    /// It could not be sealed.
    #[error("the secret could not be sealed, because the system gives no random bytes; nothing was set")]
    Sealing,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log failed; nothing was changed.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The proxy is stopping.
    #[error("the gate is stopping; try again later")]
    Stopping,
}

impl Retryable for VaultError {
    fn is_changed(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Changed),
            Self::Audit(error) => error.is_changed(),
            _ => false,
        }
    }
}
