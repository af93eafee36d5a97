//! The look at an emergency afterwards: nobody approved it, so an approver of its group says
//! that they have seen it.

use jiff::Timestamp;
use tidegate_common::audit::Event;
use tidegate_common::id::{RequestId, SessionId};
use tidegate_common::model::{Request, RequestState, Review, Text};
use tidegate_common::name::UserName;

use super::story::note;
use super::{RequestError, Requests, moment};
use crate::access::By;
use crate::store::{SessionFilter, Store};

/// Why somebody may not review a request now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoReview {
    /// It was approved by people, or waits for them.
    #[error("it is no emergency")]
    Ordinary,
    /// It is their own.
    #[error("nobody reviews their own emergency; an approver of the access group does")]
    Own,
    /// They may only look at it.
    #[error("only an approver of the access group does that")]
    Stranger,
    /// Somebody has.
    #[error("{0} has reviewed it already")]
    Done(UserName),
    /// It is not over.
    #[error("its session {0} lives; review it once that is over, or end it with `request revoke`")]
    Live(SessionId),
}

impl Requests {
    /// Says that somebody has looked at an emergency. What is left of its window is over then:
    /// no session may follow that the review has not seen.
    ///
    /// # Errors
    /// When it is no emergency, lives, was reviewed, or the user may not.
    pub async fn review(
        &self,
        id: RequestId,
        reviewer: &UserName,
        administrator: bool,
        by: &By,
        comment: Option<Text>,
    ) -> Result<Request, RequestError> {
        let mut turn = self.turn().await;
        loop {
            let done = self.review_at(id, reviewer, administrator, by, comment.clone(), moment()).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn review_at(
        &self,
        id: RequestId,
        reviewer: &UserName,
        administrator: bool,
        by: &By,
        comment: Option<Text>,
        now: Timestamp,
    ) -> Result<Request, RequestError> {
        let (mut request, was) = self.to_change(id, now).await?;
        self.may_review(&request, reviewer, administrator)?;
        if let Some(session) = self.live_session(&request).await? {
            return Err(RequestError::NoReview { id, why: NoReview::Live(session) });
        }
        if let RequestState::Approved { window } = &mut request.state {
            window.end = window.end.min(now);
        }
        let event = Event::RequestReviewed { request: id, comment: note(comment.as_ref()) };
        request.review = Some(Review { by: reviewer.clone(), at: now, origin: by.origin, comment });
        self.write(Store::request_changed(request.clone(), was), by, vec![event], Vec::new()).await?;
        Ok(request)
    }

    fn may_review(
        &self,
        request: &Request,
        reviewer: &UserName,
        administrator: bool,
    ) -> Result<(), RequestError> {
        let id = request.id;
        let no = |why| Err(RequestError::NoReview { id, why });
        let reviews = self.reviews(request, reviewer, administrator);
        if !reviews && !self.concerns(request, reviewer) {
            return Err(RequestError::Unknown(id));
        }
        match &request.review {
            _ if !request.is_emergency() => no(NoReview::Ordinary),
            _ if request.user == *reviewer => no(NoReview::Own),
            _ if !reviews => no(NoReview::Stranger),
            Some(review) => no(NoReview::Done(review.by.clone())),
            None => Ok(()),
        }
    }

    /// Whether the request's review is this user's to give: an approver's of its group, or an
    /// administrator's where the group is gone; never the requester's.
    #[must_use]
    pub fn reviews(&self, request: &Request, user: &UserName, administrator: bool) -> bool {
        let snapshot = self.0.access.snapshot();
        let named = match snapshot.group(&request.group) {
            Some(_) => self.is_approver(request, user),
            None => administrator,
        };
        named && request.user != *user
    }

    /// A session that rests on the request and lives.
    async fn live_session(&self, request: &Request) -> Result<Option<SessionId>, RequestError> {
        let filter = SessionFilter { live: true, request: Some(request.id), limit: 1, ..Default::default() };
        let live = self.0.store.sessions(&filter).await?;
        Ok(live.first().map(|session| session.id))
    }

    /// The request as it stands at a moment: none is open for longer than its group gives now,
    /// whatever was written down before.
    pub(super) fn standing(&self, request: Request, now: Timestamp) -> Request {
        let snapshot = self.0.access.snapshot();
        let group = snapshot.group(&request.group);
        let state = group.map_or_else(|| request.state_at(now), |group| request.state_under(group, now));
        Request { state, ..request }
    }
}
