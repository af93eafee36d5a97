//! How a request ends before its window does: its requester takes it back, an approver does,
//! or nobody decides in time.

use jiff::Timestamp;
use tidegate_common::audit::Event;
use tidegate_common::id::RequestId;
use tidegate_common::model::{Request, RequestState, Text};
use tidegate_common::name::UserName;

use super::story::note;
use super::{RequestError, Requests, moment};
use crate::access::By;
use crate::store::{RequestFilter, Store};
use crate::turn::Retryable as _;

impl Requests {
    /// The requester takes a request back, also an approved one.
    ///
    /// # Errors
    /// When it is not theirs or is over.
    pub async fn cancel(&self, id: RequestId, user: &UserName, by: &By) -> Result<Request, RequestError> {
        let mut turn = self.turn().await;
        loop {
            let done = self.cancel_at(id, user, by, moment()).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn cancel_at(
        &self,
        id: RequestId,
        user: &UserName,
        by: &By,
        now: Timestamp,
    ) -> Result<Request, RequestError> {
        let (mut request, was) = self.to_change(id, now).await?;
        if request.user != *user {
            let seen = self.concerns(&request, user);
            return Err(if seen { RequestError::NotYours(id) } else { RequestError::Unknown(id) });
        }
        still_good(&request, now)?;
        let before = request.clone();
        request.state = RequestState::Cancelled { at: now };
        let event = Event::RequestCancelled { request: id, comment: None };
        let told = self.told(Some(&before), &request, now);
        self.write(Store::request_changed(request.clone(), was), by, vec![event], told).await?;
        Ok(request)
    }

    /// An approver of it or an administrator takes it back; sessions that rest on it
    /// end. `user` is none for the local administrator; whether a user is one is for whoever asks to know.
    ///
    /// # Errors
    /// When they may not, or it is over.
    pub async fn revoke(
        &self,
        id: RequestId,
        user: Option<&UserName>,
        administrator: bool,
        by: &By,
        comment: Option<Text>,
    ) -> Result<Request, RequestError> {
        let mut turn = self.turn().await;
        loop {
            let done = self.revoke_at(id, user, administrator, by, comment.clone(), moment()).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn revoke_at(
        &self,
        id: RequestId,
        user: Option<&UserName>,
        administrator: bool,
        by: &By,
        comment: Option<Text>,
        now: Timestamp,
    ) -> Result<Request, RequestError> {
        let (mut request, was) = self.to_change(id, now).await?;
        if let Some(user) = user.filter(|user| !administrator && !self.is_approver(&request, user)) {
            let own = request.user == *user;
            return Err(if own { RequestError::Cancel(id) } else { RequestError::Unknown(id) });
        }
        still_good(&request, now)?;
        let who = user.map_or_else(|| "an administrator".to_owned(), ToString::to_string);
        let before = request.clone();
        // From where is in the audit record alone: a gate that is not upgraded yet reads the state too,
        // and what it cannot read ends no session.
        request.state = RequestState::Revoked { at: now, by: who, comment: comment.clone() };
        let event = Event::RequestRevoked { request: id, comment: note(comment.as_ref()) };
        let told = self.told(Some(&before), &request, now);
        self.write(Store::request_changed(request.clone(), was), by, vec![event], told).await?;
        Ok(request)
    }

    /// Writes down which waiting requests have expired, and says how many; whoever looks sees
    /// it before, too.
    ///
    /// # Errors
    /// When the store or the audit log fails.
    pub async fn expire(&self, now: Timestamp) -> Result<usize, RequestError> {
        let filter = RequestFilter { states: &["pending"], ..RequestFilter::default() };
        let waiting = self.0.store.requests(&filter).await?.into_iter();
        let over: Vec<_> = waiting.filter(|request| request.state_at(now) != request.state).collect();
        let mut written = 0;
        for Request { id, .. } in over {
            let _turn = self.turn().await;
            let read = self.0.store.request_to_change(id).await?;
            let (request, was) = read.ok_or(RequestError::Unknown(id))?;
            let state = request.state_at(now);
            // It may have been decided on since.
            if state == request.state {
                continue;
            }
            let expired = Request { state, ..request.clone() };
            let told = self.told(Some(&request), &expired, now);
            let step = Store::request_changed(expired, was);
            match self.write(step, &By::proxy(), vec![Event::RequestExpired { request: id }], told).await {
                Ok(()) => written += 1,
                // Another gate has.
                Err(error) if error.is_changed() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Writes expired requests down, once a minute, for as long as it is polled.
    pub async fn keep_expiring(self) {
        loop {
            if let Err(error) = self.expire(moment()).await {
                tracing::error!(%error, "expired requests could not be written down");
            }
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        }
    }
}

fn still_good(request: &Request, now: Timestamp) -> Result<(), RequestError> {
    match (&request.state, request.extends) {
        (RequestState::Approved { .. }, Some(of)) => Err(RequestError::Extended { id: request.id, of }),
        _ => good(request, now),
    }
}

fn good(request: &Request, now: Timestamp) -> Result<(), RequestError> {
    match &request.state {
        RequestState::Pending => Ok(()),
        RequestState::Approved { window } if window.end > now => Ok(()),
        RequestState::Approved { .. } => Err(RequestError::State { id: request.id, state: "over" }),
        state => Err(RequestError::State { id: request.id, state: state.word() }),
    }
}
