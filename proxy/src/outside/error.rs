//! Why something could not be done with a remote access.

use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{NoTime, RemoteAccessWord};
use tidegate_common::name::{CredentialName, DeviceName, ReasonName, UserGroupName, UserName};

use tidegate_common::notice::Channel;

use crate::audit_log::AuditError;
use crate::store::StoreError;
use crate::turn::Retryable;
use crate::vault::VaultError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum RemoteAccessError {
    /// There is none of that number, or none that concerns the one who asks.
    #[error("there is no remote access {0} that concerns you; `remote-access list` shows those that do")]
    Unknown(RemoteAccessId),
    /// Nothing of that batch is left to decide on, or nothing that concerns the one who asks.
    #[error("nothing of batch {0} waits for that; `remote-access list --batch {0}` shows it")]
    Batch(RemoteAccessId),
    /// No such group.
    #[error("there is no user group `{0}`; `get user-groups` shows which there are")]
    NoGroup(UserGroupName),
    /// The group lets nobody in.
    #[error("user group `{0}` is disabled; enable it first")]
    Disabled(UserGroupName),
    /// The user is not in it.
    #[error("user `{user}` is not in user group `{group}`; add them to it first")]
    NotIn {
        /// Who.
        user: UserName,
        /// In what.
        group: UserGroupName,
    },
    /// The user is limited, and the access would be full.
    #[error(
        "`{user}` is a limited user of user group `{group}`, who is given a limited access only; name devices or credentials (--device, --credential)"
    )]
    LimitedUser {
        /// Who.
        user: UserName,
        /// In what.
        group: UserGroupName,
    },
    /// Nobody is in it.
    #[error("user group `{0}` has no users")]
    Nobody(UserGroupName),
    /// The request says too little.
    #[error("a remote access wants {0}")]
    Missing(String),
    /// No such reason.
    #[error("`{0}` is no registered reason; `get reasons` shows which there are")]
    Reason(ReasonName),
    /// The governance code is none, or cannot be checked.
    #[error("{0}")]
    Code(String),
    /// A limited one that opens nothing.
    #[error("a limited access names devices or credentials (--device, --credential)")]
    Nothing,
    /// No such credential.
    #[error("there is no credential `{0}`; `get credentials` shows which there are")]
    Credential(CredentialName),
    /// No such device.
    #[error("there is no device `{0}`; `get devices` shows which there are")]
    Device(DeviceName),
    /// The start is over or more than a year away.
    #[error("the start must lie in the future, at most a year ahead")]
    Start,
    /// Nobody asks for such a time.
    #[error(transparent)]
    Time(#[from] NoTime),
    /// It is over, rejected or cancelled.
    #[error("remote access {id} is {word} already")]
    State {
        /// Which.
        id: RemoteAccessId,
        /// What it is.
        word: RemoteAccessWord,
    },
    /// Not one of those who approve.
    #[error("you do not approve remote accesses; the gate's settings name who does")]
    NotApprover,
    /// Nobody approves their own.
    #[error("remote access {0} is yours or was requested by you; somebody else approves it")]
    Own(RemoteAccessId),
    /// One person, one approval.
    #[error("you have approved remote access {0} already; somebody else has to")]
    Twice(RemoteAccessId),
    /// The user has no such address.
    #[error(
        "user `{user}` cannot be reached by {channel}; add an e-mail address or a phone to them, or send it the other way"
    )]
    Unreached {
        /// Who.
        user: UserName,
        /// How.
        channel: Channel,
    },
    /// The gate sends nothing that way.
    #[error(
        "this gate sends nothing by {0}: its settings have no [notify.{0}]; set it, or send it the other way"
    )]
    Unset(Channel),
    /// Not by a code.
    #[error("only who entered with the code of a link enrols a key; `get user` shows the keys of others")]
    NoCode,
    /// The key logs somebody in already.
    #[error("that key logs somebody in already; use one that is yours alone")]
    KeyTaken,
    /// Too many keys.
    #[error("the remote access has its most keys already")]
    Keys,
    /// What another gate wrote does not hold together.
    #[error("{0}")]
    Unread(String),
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A code could not be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The audit log failed; nothing was changed.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The proxy is stopping.
    #[error("the gate is stopping; try again later")]
    Stopping,
}

impl Retryable for RemoteAccessError {
    fn is_changed(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Changed),
            Self::Audit(error) => error.is_changed(),
            _ => false,
        }
    }
}

impl RemoteAccessError {
    /// Whether somebody tried what they may not.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::NotApprover | Self::Own(_))
    }
}
