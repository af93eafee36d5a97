//! The workflow of requests: made, voted on, taken back, expired. Each step is in
//! the store together with the audit log's record of it, and before it has effect.
//!
//! Whether a vote counts and what it leads to is [`tidegate_common::policy`]'s;
//! here is who asks, when, and what is written down.

mod end;
mod error;
mod review;
mod story;
mod turn;
mod votes;
mod wish;

pub use error::RequestError;

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_common::audit::Event;
use tidegate_common::id::RequestId;
use tidegate_common::model::{Action, Claims, Request, RequestState, Wish};
use tidegate_common::name::{AccessGroupName, CredentialName, UserName};
use tidegate_common::policy::{self, Decision, Facts};
use tidegate_common::time::{Length, Window};
use tokio::sync::{Mutex, watch};

use crate::access::{Access, By};
use crate::audit_log::AuditLog;
use crate::store::{RequestFilter, Revision, Step, Store};
use story::created;

/// Requests of one user that may wait at once, and emergencies that nobody has reviewed.
const MOST_PENDING: usize = 100;

/// How long things take unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a request waits for a decision.
    pub pending: Length,
    /// How long an approval opens.
    pub window: Length,
}

impl Default for Settings {
    fn default() -> Self {
        Self { pending: Length::hours(24), window: Length::minutes(60) }
    }
}

/// A request to be made.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// Who wants access.
    pub user: UserName,
    /// To what.
    pub target: CredentialName,
    /// To do what.
    pub action: Action,
    /// What is claimed for it.
    pub claims: Claims,
    /// When it is wanted.
    pub wish: Wish,
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

    /// Whether the request's group names the user as an approver.
    #[must_use]
    pub fn is_approver(&self, request: &Request, user: &UserName) -> bool {
        let snapshot = self.0.access.snapshot();
        let group = snapshot.group(&request.group);
        group.is_some_and(|group| group.approvers.iter().any(|approver| approver.user == *user))
    }

    /// Makes a request. An emergency, where the group allows it, is approved at once, and so is
    /// one that nobody has to approve: it says ahead what the group asks, for a client that
    /// cannot be asked.
    ///
    /// # Errors
    /// When access is refused, needs no request, lacks a claim, or waits already.
    pub async fn create(&self, new: NewRequest) -> Result<Request, RequestError> {
        let mut turn = self.turn().await;
        loop {
            let done = self.create_at(new.clone(), moment()).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn create_at(&self, new: NewRequest, now: Timestamp) -> Result<Request, RequestError> {
        let was = self.0.store.requester(&new.user).await?;
        let start = wish::start(new.wish.start, now)?;
        let snapshot = self.0.access.snapshot();
        let facts = Facts {
            now: start,
            user: &new.user,
            login: None,
            target: &new.target,
            action: new.action,
            origin: new.origin,
            claims: &new.claims,
            requests: &[],
        };
        // None where the rules alone approve.
        let (governing, needs) = match policy::decide(&snapshot, &facts) {
            Decision::Refused(refusal) => return Err(RequestError::Refused(refusal)),
            Decision::Permitted(permit) => (permit.group().clone(), None),
            Decision::Needs(needs) if needs.claims_missing() => return Err(RequestError::Missing(needs)),
            Decision::Needs(needs) => (needs.group.clone(), Some(needs)),
        };
        let group = snapshot.group(&governing).ok_or_else(|| RequestError::NotNeeded(new.target.clone()))?;
        if needs.is_none() && !wish::says(group, new.action) {
            return Err(RequestError::NotNeeded(new.target));
        }
        self.refuse_another(&new, &governing, now).await?;
        let state = match needs {
            Some(needs) if new.claims.emergency.is_some() && needs.emergency_allowed => {
                let window = wish::emergency(group, new.action, &new.wish, now)?;
                RequestState::Approved { window }
            }
            _ if new.claims.emergency.is_some() => return Err(RequestError::NoEmergency(governing)),
            needs => {
                wish::is_within(group, new.wish.duration, start)?;
                match needs {
                    Some(_) => RequestState::Pending,
                    None => {
                        let length = self.length(group, &new.wish, start);
                        RequestState::Approved { window: Window::starting(start, length) }
                    }
                }
            }
        };
        let NewRequest { user, target, action, claims, wish, origin } = new;
        let request = Request {
            id: self.0.store.next_request_id().await?,
            user,
            target,
            action,
            claims,
            group: governing,
            wish,
            created: now,
            expires: self.0.settings.pending.after(now.max(start)),
            origin,
            state,
            votes: Vec::new(),
            review: None,
        };
        let by = By { actor: tidegate_common::audit::Actor::User(request.user.clone()), origin, login: None };
        let event = created(&request);
        self.write(Store::request_made(request.clone(), was), &by, event).await?;
        Ok(request)
    }

    /// One that waits is enough, and so is one emergency that is open.
    async fn refuse_another(
        &self,
        new: &NewRequest,
        group: &AccessGroupName,
        now: Timestamp,
    ) -> Result<(), RequestError> {
        let user = Some(new.user.clone());
        let filter = RequestFilter { user, states: &["pending", "approved"], ..RequestFilter::default() };
        let mut waiting = 0;
        for request in self.0.store.requests(&filter).await? {
            let twin =
                request.target == new.target && request.action == new.action && request.group == *group;
            let (id, target) = (request.id, request.target.clone());
            match self.standing(request.clone(), now).state {
                RequestState::Pending if twin && new.claims.emergency.is_none() => {
                    return Err(RequestError::Waiting { id, target });
                }
                RequestState::Pending => waiting += 1,
                RequestState::Approved { window }
                    if twin
                        && request.is_emergency()
                        && new.claims.emergency.is_some()
                        && window.end > now =>
                {
                    return Err(RequestError::Open { id, target });
                }
                _ => {}
            }
        }
        if new.claims.emergency.is_none() {
            return if waiting < MOST_PENDING { Ok(()) } else { Err(RequestError::TooMany) };
        }
        // An emergency waits behind no request; but who claims them without end is looked at first.
        let due = RequestFilter { user: Some(new.user.clone()), to_review: true, ..RequestFilter::default() };
        let due = self.0.store.requests(&due).await?.len();
        if due < MOST_PENDING { Ok(()) } else { Err(RequestError::Unreviewed) }
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

    /// Carries a change out as a task of its own: whoever asked may leave in the middle,
    /// and those who wait must hear of it.
    async fn write(&self, step: Step, by: &By, event: Event) -> Result<(), RequestError> {
        let (requests, entry) = (self.clone(), by.did(event));
        let done = tokio::spawn(async move {
            requests.0.audit.step(vec![entry], step).await?;
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
