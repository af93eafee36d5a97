//! What a log-in rests on, and whether it still does. A permit carries it, so that a session
//! ends with the key, the certificate or the user that it began with; a connection without a
//! session asks the same.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::outside::stands;
use crate::id::RemoteAccessId;
use crate::model::{PublicKey, RemoteAccess, Snapshot, Token, UserEntry};
use crate::name::UserName;

/// What a user proved with who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// A key, which must be among the user's.
    Key(PublicKey),
    /// A certificate of a CA that the gate trusts; whoever makes this value has checked that,
    /// its kind, its options and its time.
    Certificate {
        /// Whom it names; one must be the user's.
        principals: Vec<String>,
        /// Its end, where it has one.
        until: Option<Timestamp>,
    },
    /// The code of a link, used for this; it holds as long as its remote access.
    Code {
        /// Which remote access.
        access: RemoteAccessId,
        /// Its end.
        until: Timestamp,
    },
    /// A key that was enrolled for a remote access.
    Enrolled {
        /// The key.
        key: PublicKey,
        /// Which remote access.
        access: RemoteAccessId,
        /// Its end.
        until: Timestamp,
    },
}

/// A user, and what they proved it with.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The user.
    pub user: UserName,
    /// The proof.
    pub login: Arc<Login>,
    /// From where they come.
    pub origin: IpAddr,
}

/// Why a log-in does not hold, or no longer; each is a sentence for the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginGone {
    /// The key is not the user's.
    #[error("the key that you logged in with is no longer yours")]
    Key,
    /// It is somebody else's too.
    #[error("the key that you logged in with is another user's too; an administrator must say whose it is")]
    SharedKey,
    /// No principal is the user's.
    #[error("the certificate that you logged in with no longer names you")]
    Principal,
    /// The one that is the user's is somebody else's too.
    #[error(
        "the certificate that you logged in with names another user too; an administrator must say whose the \
         principal is"
    )]
    SharedPrincipal,
    /// The certificate's time is over.
    #[error("the certificate that you logged in with has expired")]
    Expired,
    /// The remote access is over, or its key was taken away.
    #[error("the remote access that you logged in with is over")]
    Access,
}

impl Login {
    /// When it ends by itself.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Key(_) => None,
            Self::Certificate { until, .. } => *until,
            Self::Code { until, .. } | Self::Enrolled { until, .. } => Some(*until),
        }
    }

    /// Whether it proves this user now, whoever they are otherwise.
    pub(super) fn holds(
        &self,
        snapshot: &Snapshot,
        entry: &UserEntry,
        accesses: &[Arc<RemoteAccess>],
        now: Timestamp,
    ) -> Result<(), LoginGone> {
        let good = |id: RemoteAccessId| {
            let mut own = accesses.iter().filter(|access| access.user == entry.user.name);
            own.find(|access| access.id == id && stands(snapshot, access, now).is_ok())
        };
        match self {
            Self::Code { access, .. } => good(*access).map(drop).ok_or(LoginGone::Access),
            Self::Enrolled { key, access, .. } => {
                let key = key.identity();
                let held = good(*access).filter(|access| access.keys.iter().any(|own| own.identity() == key));
                if snapshot.is_shared(&Token::Key(key)) {
                    return Err(LoginGone::SharedKey);
                }
                held.map(drop).ok_or(LoginGone::Access)
            }
            Self::Key(key) => {
                let key = key.identity();
                if !entry.user.keys.iter().any(|own| own.identity() == key) {
                    return Err(LoginGone::Key);
                }
                if snapshot.is_shared(&Token::Key(key)) { Err(LoginGone::SharedKey) } else { Ok(()) }
            }
            Self::Certificate { principals, until } => {
                if until.is_some_and(|until| until <= now) {
                    return Err(LoginGone::Expired);
                }
                let own: Vec<_> = principals.iter().filter(|name| entry.user.has_principal(name)).collect();
                let alone = |name: &&String| !snapshot.is_shared(&Token::Principal((**name).clone()));
                match (own.is_empty(), own.iter().any(alone)) {
                    (true, _) => Err(LoginGone::Principal),
                    (false, false) => Err(LoginGone::SharedPrincipal),
                    (false, true) => Ok(()),
                }
            }
        }
    }
}
