//! Remote accesses: requested for a user of a group or for all of it, approved where a setting asks
//! for it, cancelled. Each step is in the store together with the audit log's record of it, and
//! before it has effect. Whether one lets somebody in is [`tidegate_common::policy`]'s.

mod asking;
mod create;
mod decide;
mod ending;
mod error;
mod link;
#[cfg(test)]
mod tests;

pub use create::NewRemoteAccess;
pub use error::RemoteAccessError;
#[cfg(test)]
pub use link::CodeError;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::audit::{Actor, Entry, Event, Note, RemoteAccessStep};
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::RemoteAccess;
use tidegate_common::name::UserName;
use tidegate_common::notice::Channel;
use tidegate_common::time::Length;
use tokio::sync::Mutex;

use crate::access::{Access, By};
use crate::audit_log::{AuditLog, Telling};
use crate::store::{RemoteAccessFilter, Revision, Step, Store};
use crate::turn::Turn;
use crate::vault::Vault;

/// What is configured of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who approves; where nobody does, a request is granted at once.
    pub approvers: Vec<UserName>,
    /// How many of them.
    pub needed: u8,
    /// How long a request waits for them.
    pub pending: Length,
    /// How long the code of a link is good.
    pub code: Length,
    /// How long before the end of a remote access its user is told.
    pub tell_before: Length,
    /// Who else is told.
    pub tell: Vec<UserName>,
    /// By what the gate sends codes.
    pub sends: Vec<Channel>,
    /// How long the first wrong code waits for its answer that is one too many.
    pub slowed: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            approvers: Vec::new(),
            needed: 1,
            pending: Length::hours(24),
            code: Length::minutes(60),
            tell_before: Length::hours(24),
            tell: Vec::new(),
            sends: vec![Channel::Mail, Channel::Sms],
            slowed: Duration::from_millis(500),
        }
    }
}

/// The workflow; clones share it.
#[derive(Clone)]
pub struct RemoteAccesses(Arc<Inner>);

struct Inner {
    store: Store,
    access: Access,
    audit: AuditLog,
    /// Seals codes that wait to be sent.
    vault: Vault,
    settings: Settings,
    /// Held while this gate changes a remote access.
    changing: Mutex<()>,
}

impl RemoteAccesses {
    /// The workflow over the store.
    #[must_use]
    pub fn new(store: Store, access: Access, audit: AuditLog, vault: Vault, settings: Settings) -> Self {
        Self(Arc::new(Inner { store, access, audit, vault, settings, changing: Mutex::default() }))
    }

    /// One remote access.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn get(&self, id: RemoteAccessId) -> Result<RemoteAccess, RemoteAccessError> {
        self.0.store.remote_access(id).await?.ok_or(RemoteAccessError::Unknown(id))
    }

    /// Remote accesses, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, filter: &RemoteAccessFilter) -> Result<Vec<RemoteAccess>, RemoteAccessError> {
        Ok(self.0.store.remote_accesses(filter).await?)
    }

    /// Whether the user may see it: their own, or one that they approve.
    #[must_use]
    pub fn concerns(&self, access: &RemoteAccess, user: &UserName) -> bool {
        access.user == *user || self.is_approver(user)
    }

    /// Whether the user is named as an approver.
    #[must_use]
    pub fn is_approver(&self, user: &UserName) -> bool {
        self.0.settings.approvers.contains(user) && !self.0.access.snapshot().is_limited(user)
    }

    async fn turn(&self) -> Turn<'_> {
        Turn::take(&self.0.changing).await
    }

    /// Carries a change out as a task of its own: whoever asked may leave in the middle, and
    /// those who rest on it must hear of it.
    async fn write(&self, step: Step, entries: Vec<Telling>) -> Result<(), RemoteAccessError> {
        let own = self.clone();
        let done = tokio::spawn(async move {
            own.0.audit.step(entries, step).await?;
            // It is done: whoever comes next reads it, if this gate cannot now.
            if let Err(error) = own.0.access.refresh_remote_accesses().await {
                tracing::error!(%error, "a change of remote accesses is not seen yet");
            }
            Ok(())
        });
        done.await.unwrap_or(Err(RemoteAccessError::Stopping))
    }
}

/// What the audit log is told of one.
fn told(access: &RemoteAccess, step: RemoteAccessStep, said: impl AsRef<str>, by: &By) -> Entry {
    by.did(Event::RemoteAccess {
        access: access.id,
        user: access.user.clone(),
        group: access.group.clone(),
        step,
        said: Note::new(said),
    })
}

/// Who it was, for people.
fn who(by: &By) -> String {
    match &by.actor {
        Actor::User(user) => user.to_string(),
        Actor::LocalAdmin => "an administrator".to_owned(),
        Actor::Agent(_) | Actor::Proxy => "the gate".to_owned(),
    }
}

/// Now, to the millisecond: nobody reads more of it.
fn moment() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

type Read = (RemoteAccess, Revision);
