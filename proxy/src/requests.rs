//! The workflow of requests: made, voted on, taken back, expired. Each step is in
//! the store together with the audit log's record of it, and before it has effect.
//!
//! Whether a vote counts and what it leads to is [`tidegate_common::policy`]'s;
//! here is who asks, when, and what is written down.

mod create;
mod end;
mod error;
mod extend;
mod review;
mod story;
mod votes;
mod wish;

pub use create::{RequestPart, Sorted};
pub use error::RequestError;
pub use votes::Narrowed;

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_common::audit::Event;
use tidegate_common::id::RequestId;
use tidegate_common::model::{Action, Claims, Limits, Request, Wish};
use tidegate_common::name::{CredentialName, UserName};
use tidegate_common::policy::{self, Notification, Permit};
use tidegate_common::time::Length;
use tokio::sync::{Mutex, watch};

use crate::access::{Access, By};
use crate::audit_log::{AuditLog, Telling};
use crate::governance::Checked;
use crate::store::{RequestFilter, Revision, Step, Store};
use crate::turn::Turn;

/// How long things take unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a request waits for a decision.
    pub pending: Length,
    /// How long an approval opens.
    pub window: Length,
    /// How long before a long window ends its requester is told.
    pub tell_before: Length,
}

impl Default for Settings {
    fn default() -> Self {
        Self { pending: Length::hours(24), window: Length::minutes(60), tell_before: Length::hours(1) }
    }
}

/// A request to be made.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// Who wants access.
    pub user: UserName,
    /// To what.
    pub targets: Vec<CredentialName>,
    /// To do what.
    pub action: Action,
    /// What is claimed for it.
    pub claims: Claims,
    /// When it is wanted.
    pub wish: Wish,
    /// What it is bounded to.
    pub limits: Limits,
    /// From where it is made.
    pub origin: Option<IpAddr>,
}

/// Requests; clones share them.
#[derive(Clone)]
pub struct Requests(Arc<Inner>);

struct Inner {
    store: Store,
    access: Access,
    audit: AuditLog,
    settings: Settings,
    changed: watch::Sender<u64>,
    /// Held while this gate changes a request.
    changing: Mutex<()>,
}

impl Requests {
    /// The workflow over the store.
    #[must_use]
    pub fn new(store: Store, access: Access, audit: AuditLog, settings: Settings) -> Self {
        let (changed, changing) = (watch::channel(0).0, Mutex::default());
        Self(Arc::new(Inner { store, access, audit, settings, changed, changing }))
    }

    /// Ticks whenever any request changes.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// One request, as it stands now.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn get(&self, id: RequestId) -> Result<Request, RequestError> {
        self.get_at(id, moment()).await
    }

    async fn get_at(&self, id: RequestId, now: Timestamp) -> Result<Request, RequestError> {
        let request = self.0.store.request(id).await?.ok_or(RequestError::Unknown(id))?;
        Ok(self.standing(request, now))
    }

    /// Requests as they stand now, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, filter: &RequestFilter) -> Result<Vec<Request>, RequestError> {
        let now = moment();
        let requests = self.0.store.requests(filter).await?.into_iter();
        Ok(requests.map(|request| self.standing(request, now)).collect())
    }

    /// Whether the user may see the request: their own, or one they approve.
    #[must_use]
    pub fn concerns(&self, request: &Request, user: &UserName) -> bool {
        request.user == *user || self.is_approver(request, user)
    }

    /// Whether the user approves the request, in their own place or another's.
    #[must_use]
    pub fn is_approver(&self, request: &Request, user: &UserName) -> bool {
        policy::approves(&self.0.access.snapshot(), request, user, moment())
    }

    /// What the audit log is told of a code that was taken unchecked for what is permitted. Of the one
    /// that its request came with, the request has told; what is typed goes before that.
    pub async fn unchecked(&self, checked: &Checked, permit: &Permit, taken_for: &str) -> Option<Event> {
        let event = checked.told(taken_for)?;
        let Some(id) = permit.request() else { return Some(event) };
        // Of one that cannot be read now, it is better told twice than not at all.
        let request = self.0.store.request(id).await.ok().flatten();
        let own = request.is_some_and(|request| request.claims.governance == permit.claims().governance);
        (!own).then_some(event)
    }

    async fn turn(&self) -> Turn<'_> {
        Turn::take(&self.0.changing).await
    }

    /// A request as it stands now, to be changed.
    async fn to_change(&self, id: RequestId, now: Timestamp) -> Result<(Request, Revision), RequestError> {
        let read = self.0.store.request_to_change(id).await?;
        let (request, was) = read.ok_or(RequestError::Unknown(id))?;
        Ok((self.standing(request, now), was))
    }

    /// Has everybody look again who waits for a request, or rests on one.
    pub fn tick(&self) {
        self.0.changed.send_modify(|generation| *generation = generation.wrapping_add(1));
        self.0.access.tick();
    }

    /// Who is told of what becomes of a request.
    fn told(&self, before: Option<&Request>, after: &Request, now: Timestamp) -> Vec<Notification> {
        let snapshot = self.0.access.snapshot();
        let start = after.wish.start.unwrap_or(now).max(now);
        let window = self.0.settings.window;
        let group = snapshot.group(&after.group);
        let length = group.map_or(window, |group| self.length(group, &after.wish, start));
        let ahead = self.0.settings.tell_before;
        policy::notify_of_request(&snapshot, &policy::RequestStep { before, after, length, ahead, now })
    }

    /// Carries a change out as a task of its own: whoever asked may leave in the middle,
    /// and those who wait must hear of it.
    async fn write(
        &self,
        step: Step,
        by: &By,
        events: Vec<Event>,
        told: Vec<Notification>,
    ) -> Result<(), RequestError> {
        let requests = self.clone();
        let mut entries: Vec<Telling> = events.into_iter().map(|event| by.did(event).into()).collect();
        if let Some(first) = entries.first_mut() {
            first.tell(told);
        }
        let done = tokio::spawn(async move {
            requests.0.audit.step(entries, step).await?;
            requests.tick();
            Ok(())
        });
        done.await.unwrap_or(Err(RequestError::Stopping))
    }
}

/// Now, to the millisecond: nobody reads more of it.
fn moment() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

#[cfg(test)]
mod tests;
