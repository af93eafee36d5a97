//! Approving and rejecting.

use jiff::Timestamp;
use tidegate_common::audit::{Event, Notes};
use tidegate_common::id::RequestId;
use tidegate_common::model::{
    AccessGroup, LeftOut, Request, RequestState, Snapshot, Text, Verdict, Vote, Wish,
};
use tidegate_common::name::{AccessGroupName, CredentialName, UserName};
use tidegate_common::policy::{self, Ballot, Tally};
use tidegate_common::time::{Length, Window};

use super::extend::{self, NoExtension};
use super::story::note;
use super::{RequestError, Requests, moment, wish};
use crate::access::By;
use crate::store::{Step, Store};

/// What an approver makes of what was asked for; nothing said, all of it.
#[derive(Debug, Clone, Default)]
pub struct Narrowed {
    /// Another start, a shorter duration.
    pub wish: Wish,
    /// These credentials only; empty means all.
    pub only: Vec<CredentialName>,
}

impl Requests {
    /// Approves, perhaps for less than was asked for.
    ///
    /// # Errors
    /// When the request does not wait, or the user may not vote on it now.
    pub async fn approve(
        &self,
        id: RequestId,
        voter: &UserName,
        by: &By,
        comment: Option<Text>,
        narrowed: Narrowed,
    ) -> Result<Request, RequestError> {
        self.vote(id, voter, by, Verdict::Approve, comment, narrowed).await
    }

    /// Rejects.
    ///
    /// # Errors
    /// As [`Self::approve`].
    pub async fn reject(
        &self,
        id: RequestId,
        voter: &UserName,
        by: &By,
        comment: Option<Text>,
    ) -> Result<Request, RequestError> {
        self.vote(id, voter, by, Verdict::Reject, comment, Narrowed::default()).await
    }

    async fn vote(
        &self,
        id: RequestId,
        voter: &UserName,
        by: &By,
        verdict: Verdict,
        comment: Option<Text>,
        narrowed: Narrowed,
    ) -> Result<Request, RequestError> {
        let mut turn = self.turn().await;
        loop {
            let done = self.vote_at(id, voter, by, verdict, comment.clone(), &narrowed, moment()).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one private path for both votes")]
    pub(super) async fn vote_at(
        &self,
        id: RequestId,
        voter: &UserName,
        by: &By,
        verdict: Verdict,
        comment: Option<Text>,
        narrowed: &Narrowed,
        now: Timestamp,
    ) -> Result<Request, RequestError> {
        self.0.access.is_current()?;
        let (mut request, was) = self.to_change(id, now).await?;
        // Whoever has nothing to do with it learns nothing of it.
        if !self.concerns(&request, voter) {
            return Err(RequestError::Unknown(id));
        }
        if request.state != RequestState::Pending {
            return Err(RequestError::State { id, state: request.state.word() });
        }
        let snapshot = self.0.access.snapshot();
        let group = snapshot.group(&request.group).ok_or(RequestError::GroupGone(id))?;
        let ballot = policy::ballot(&snapshot, group, &request, voter, now);
        let Ballot { level, stands_in_for } = ballot.map_err(|why| RequestError::NoVote { id, why })?;
        let before = request.clone();
        let left_out = leave_out(&mut request, &narrowed.only, voter, now)?;
        self.narrow(group, &mut request, narrowed.wish, now)?;
        request.votes.push(Vote {
            by: voter.clone(),
            stands_in_for: stands_in_for.clone(),
            level,
            verdict,
            at: now,
            origin: by.origin,
            comment: comment.clone(),
        });
        self.count(&snapshot, group, &mut request, now);
        let extended = match verdict {
            Verdict::Approve => self.extended(group, &mut request, now).await?,
            Verdict::Reject => None,
        };
        let (from, until) = match &request.state {
            RequestState::Approved { window } => (Some(window.start), Some(window.end)),
            _ => (None, None),
        };
        let (comment, complete) = (note(comment.as_ref()), request.state != RequestState::Pending);
        let level = u8::from(level);
        let event = match verdict {
            Verdict::Approve => {
                let request = id;
                Event::RequestApproved {
                    request,
                    level,
                    comment,
                    complete,
                    from,
                    until,
                    left_out,
                    stands_in_for,
                }
            }
            Verdict::Reject => {
                Event::RequestRejected { request: id, level, comment, complete, stands_in_for }
            }
        };
        let (mut step, mut events) = (Store::request_changed(request.clone(), was), vec![event]);
        if let Some((more, extended)) = extended {
            step = step.and(more);
            events.push(extended);
        }
        let told = self.told(Some(&before), &request, now);
        self.write(step, by, events, told).await?;
        Ok(request)
    }

    /// An approver may move the window or shorten it, for those who vote later too.
    fn narrow(
        &self,
        group: &AccessGroup,
        request: &mut Request,
        wish: Wish,
        now: Timestamp,
    ) -> Result<(), RequestError> {
        let (id, asked) = (request.id, &mut request.wish);
        if let Some(shorter) = wish.duration {
            let most = self.length(group, asked, now);
            if shorter.after(now) > most.after(now) {
                return Err(RequestError::Longer { asked: most });
            }
            asked.duration = Some(shorter);
        }
        if let Some(start) = wish.start {
            if request.extends.is_some() {
                return Err(RequestError::NoExtension { id, why: NoExtension::Start });
            }
            asked.start = Some(wish::start(Some(start), now)?);
        }
        Ok(())
    }

    /// For how long an approval opens: what was asked for, and never longer than the group
    /// gives now.
    pub(super) fn length(&self, group: &AccessGroup, asked: &Wish, start: Timestamp) -> Length {
        wish::shorter(asked.duration.unwrap_or(self.0.settings.window), group.conditions.longest, start)
    }

    /// For how long a request under this access group opens where it says nothing, and the longest
    /// session of the group, which bounds that; none where there is no such group.
    #[must_use]
    pub fn lengths(&self, group: &AccessGroupName) -> Option<(Length, Option<Length>)> {
        let snapshot = self.0.access.snapshot();
        let group = snapshot.group(group)?;
        Some((self.length(group, &Wish::default(), moment()), group.conditions.longest))
    }

    /// For how long a request that waits would open if it were approved now, and the longest
    /// session of its group, which bounds that. None where nobody votes on it any more.
    #[must_use]
    pub fn would_open(&self, request: &Request) -> Option<(Length, Option<Length>)> {
        let snapshot = self.0.access.snapshot();
        let group = snapshot.group(&request.group).filter(|_| request.state == RequestState::Pending)?;
        let now = moment();
        let start = request.wish.start.unwrap_or(now).max(now);
        Some((self.length(group, &request.wish, start), group.conditions.longest))
    }

    /// What more time makes of the request that it is asked for, once it is approved.
    async fn extended(
        &self,
        group: &AccessGroup,
        request: &mut Request,
        now: Timestamp,
    ) -> Result<Option<(Step, Event)>, RequestError> {
        let Some(of) = request.extends else { return Ok(None) };
        let (first, was) = self.to_change(of, now).await?;
        let open = extend::open_window(&first, now)?;
        if request.state == RequestState::Pending {
            return Ok(None);
        }
        let length = request.wish.duration.unwrap_or(self.0.settings.window);
        Ok(Some(extend::lengthen(group, request, (first, was), open, length)))
    }

    fn count(&self, snapshot: &Snapshot, group: &AccessGroup, request: &mut Request, now: Timestamp) {
        match policy::tally(snapshot, group, request) {
            Tally::Waiting { .. } => {}
            Tally::Rejected => request.state = RequestState::Rejected { at: now },
            Tally::Approved => {
                let start = request.wish.start.unwrap_or(now).max(now);
                let length = self.length(group, &request.wish, start);
                request.state = RequestState::Approved { window: Window::starting(start, length) };
            }
        }
    }
}

/// Leaves out of a request what the approver does not name; for those who vote later, too.
fn leave_out(
    request: &mut Request,
    only: &[CredentialName],
    by: &UserName,
    at: Timestamp,
) -> Result<Option<Notes>, RequestError> {
    if let Some(target) = only.iter().find(|target| !request.targets.contains(target)) {
        return Err(RequestError::NotIn { id: request.id, target: (*target).clone() });
    }
    if only.is_empty() {
        return Ok(None);
    }
    if request.extends.is_some() {
        return Err(RequestError::NoExtension { id: request.id, why: NoExtension::Part });
    }
    let (kept, left_out): (Vec<_>, Vec<_>) =
        std::mem::take(&mut request.targets).into_iter().partition(|target| only.contains(target));
    request.targets = kept;
    let names = Notes::of(&left_out);
    let none = left_out.is_empty();
    request.left_out.extend(left_out.into_iter().map(|target| LeftOut { target, by: by.clone(), at }));
    Ok((!none).then_some(names))
}
