//! More time for a request that is approved. It is asked for by a request of its own, which is
//! approved as the first was; its approval moves the first one's end, and what rests on that
//! goes on.

use jiff::{SignedDuration, Timestamp};
use tidegate_common::audit::Event;
use tidegate_common::id::RequestId;
use tidegate_common::model::{AccessGroup, Claims, Request, RequestState, Wish};
use tidegate_common::name::UserName;
use tidegate_common::policy::{self, Coming, Decision, Facts};
use tidegate_common::time::{Length, Window};

use super::story::created;
use super::{RequestError, Requests, moment};
use crate::access::By;
use crate::governance::Checked;
use crate::store::{Revision, Step, Store};

/// Why a request gets no more time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoExtension {
    /// It is not approved, or no longer.
    #[error("it is {0}; only an approved one can be, before it ends")]
    State(&'static str),
    /// It is an emergency.
    #[error("an emergency ends when its access group says; make an ordinary request")]
    Emergency,
    /// It only gave another one more time.
    #[error("it has given request {0} more time; extend that one")]
    Extension(RequestId),
    /// The approver wants it to begin at another time.
    #[error("more time begins where the first ends; it may be shortened only")]
    Start,
    /// It would last longer than anybody may ask for.
    #[error("with so much more it would last longer than 366 days; make another request")]
    Long,
    /// The approver names some of its credentials.
    #[error("more time is for all that the first is for")]
    Part,
}

impl Requests {
    /// Asks for so much more time for an approved request of the user's.
    ///
    /// # Errors
    /// When it is not theirs, is not open any more, or its group gives no more.
    pub async fn extend(
        &self,
        id: RequestId,
        user: &UserName,
        by: &By,
        more: Length,
        claims: Claims,
    ) -> Result<Request, RequestError> {
        let checked = self.checked_anew(id, &claims).await?;
        let mut turn = self.turn().await;
        loop {
            let done = self.extend_at(id, user, by, more, claims.clone(), &checked, moment()).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    /// What comes of the code, unless it is the one that was taken with the request.
    async fn checked_anew(&self, id: RequestId, claims: &Claims) -> Result<Checked, RequestError> {
        let Some(code) = &claims.governance else { return Ok(Checked::Good) };
        let first = self.0.store.request(id).await?;
        if first.is_some_and(|first| first.claims.governance.as_ref() == Some(code)) {
            return Ok(Checked::Good);
        }
        Ok(self.0.access.checked(Some(code)).await)
    }

    #[allow(clippy::too_many_arguments, reason = "what was asked, what is known of it, and when")]
    async fn extend_at(
        &self,
        id: RequestId,
        user: &UserName,
        by: &By,
        more: Length,
        claims: Claims,
        checked: &Checked,
        now: Timestamp,
    ) -> Result<Request, RequestError> {
        self.0.access.is_current()?;
        let requester = self.0.store.requester(user).await?;
        let (first, was) = self.to_change(id, now).await?;
        if first.user != *user {
            let seen = self.concerns(&first, user);
            return Err(if seen { RequestError::NotYourTime(id) } else { RequestError::Unknown(id) });
        }
        let window = open_window(&first, now)?;
        let snapshot = self.0.access.snapshot();
        let group = snapshot.group(&first.group).ok_or(RequestError::GroupGone(id))?;
        let (targets, claims) = (first.targets.clone(), claims.or(&first.claims));
        let (target, waiting) = (targets.first().ok_or(RequestError::Targets)?, self.extending(&first, now));
        if let Some(id) = waiting.await? {
            return Err(RequestError::Waiting { id, target: target.clone() });
        }
        if let Some(longest) = group.conditions.longest
            && more.after(window.end) > longest.after(window.start)
        {
            return Err(RequestError::TooLong { group: group.name.clone(), longest });
        }
        if more.after(window.end).duration_since(window.start) > SignedDuration::from_hours(366 * 24) {
            return Err(RequestError::NoExtension { id, why: NoExtension::Long });
        }
        let facts = Facts {
            now,
            user,
            login: None,
            target,
            action: first.action,
            origin: by.origin,
            coming: Coming::ASKED,
            claims: &claims,
            refused_code: checked.refused(),
            requests: &[],
            live: &[],
            changes: &[],
        };
        let mut decision = policy::decide(&snapshot, &facts);
        if let Decision::Needs(needs) = &decision {
            let changes = self.0.access.changes_for(needs, &claims, &[], now).await?;
            decision = policy::decide(&snapshot, &Facts { changes: &changes, ..facts });
        }
        let by_people = match decision {
            Decision::Refused(refusal) => return Err(RequestError::Refused(refusal.into())),
            Decision::Needs(needs) if needs.claims_missing() => {
                return Err(RequestError::Missing(Box::new(needs)));
            }
            Decision::Needs(_) => true,
            // As the first was, also at a time at which nobody has to.
            Decision::Permitted(_) => !first.votes.is_empty(),
        };
        let request = Request {
            id: self.0.store.next_request_id().await?,
            left_out: Vec::new(),
            targets,
            claims,
            wish: Wish { start: None, duration: Some(more) },
            extends: Some(id),
            created: now,
            expires: self.0.settings.pending.after(now).min(window.end),
            origin: by.origin,
            state: RequestState::Pending,
            votes: Vec::new(),
            review: None,
            used: 0,
            ..first.clone()
        };
        let events = created(&request, checked);
        self.ask_for_more(request, events, (first, was), requester, by_people, group, window, by).await
    }

    #[expect(clippy::too_many_arguments, reason = "one step of one method")]
    async fn ask_for_more(
        &self,
        mut request: Request,
        mut events: Vec<Event>,
        (first, was): (Request, Revision),
        requester: Revision,
        by_people: bool,
        group: &AccessGroup,
        window: Window,
        by: &By,
    ) -> Result<Request, RequestError> {
        if by_people {
            let told = self.told(None, &request, request.created);
            self.write(Store::request_made(request.clone(), requester), by, events, told).await?;
            return Ok(request);
        }
        let more = request.wish.duration.unwrap_or(self.0.settings.window);
        let (step, extended) = lengthen(group, &mut request, (first, was), window, more);
        let made = Store::request_made(request.clone(), requester).and(step);
        let told = self.told(None, &request, request.created);
        events.push(extended);
        self.write(made, by, events, told).await?;
        Ok(request)
    }
}

/// The window of a request that may still be extended.
pub(super) fn open_window(request: &Request, now: Timestamp) -> Result<Window, RequestError> {
    let no = |why| Err(RequestError::NoExtension { id: request.id, why });
    match (&request.state, request.extends) {
        (_, Some(of)) => no(NoExtension::Extension(of)),
        _ if request.is_emergency() => no(NoExtension::Emergency),
        (RequestState::Approved { window }, _) if window.end > now => Ok(*window),
        _ => no(NoExtension::State(request.state_word(now).word())),
    }
}

/// Moves the end of the first, whose window this is; the other is approved for what that adds.
pub(super) fn lengthen(
    group: &AccessGroup,
    request: &mut Request,
    (first, was): (Request, Revision),
    window: Window,
    more: Length,
) -> (Step, Event) {
    let longest = group.conditions.longest.map_or(Timestamp::MAX, |longest| longest.after(window.start));
    let end = more.after(window.end).min(longest).max(window.end);
    request.state = RequestState::Approved { window: Window { start: window.end, end } };
    let extended = Event::RequestExtended { request: first.id, by: request.id, until: end };
    let state = RequestState::Approved { window: Window { end, ..window } };
    (Store::request_changed(Request { state, ..first }, was), extended)
}
