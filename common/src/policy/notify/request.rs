//! Who is told of what becomes of a request.

use jiff::Timestamp;

use super::{Notification, notify};
use crate::audit::{Asked, Note, Notes};
use crate::model::{Action, Request, RequestState, Snapshot, Text, Verdict};
use crate::name::UserName;
use crate::notice::{Decided, Ending, Notice, NoticeText, Outcome, Wanted};
use crate::policy::{Tally, approvers, ballot, tally};
use crate::time::{Length, Window};

/// What a step makes of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestStep<'a> {
    /// The request as it was; none of one that is new.
    pub before: Option<&'a Request>,
    /// The request as it is.
    pub after: &'a Request,
    /// For how long it opens, where that is not decided yet.
    pub length: Length,
    /// How long before its window's end the requester is told, where the window is twice as long.
    pub ahead: Length,
    /// Now.
    pub now: Timestamp,
}

/// Who is told of a step, and what: approvers whose turn has come, the requester and the group's copy
/// list of what was decided, every approver and the copy list of an emergency. Who stands in for an
/// approver is told as they are.
#[must_use]
pub fn notify_of_request(snapshot: &Snapshot, step: &RequestStep<'_>) -> Vec<Notification> {
    let mut told = asked(snapshot, step);
    told.extend(decided(snapshot, step));
    told.extend(emergency(snapshot, step));
    told.extend(ends_soon(snapshot, step));
    told
}

/// Approvers who may vote now and could not before: level by level.
fn asked(snapshot: &Snapshot, step: &RequestStep<'_>) -> Vec<Notification> {
    let RequestStep { before, after, length, now, .. } = step;
    let Some(group) = snapshot.group(&after.group).filter(|_| after.state == RequestState::Pending) else {
        return Vec::new();
    };
    let waited = before.filter(|before| before.state == RequestState::Pending);
    let votes = |request: &Request, user: &UserName| ballot(snapshot, group, request, user, *now).is_ok();
    let level_of = |request: &Request| match tally(snapshot, group, request) {
        Tally::Waiting { level, .. } => level,
        _ => None,
    };
    let level = level_of(after);
    // Who may vote in the next level too, in another's place, is asked again.
    let moved = waited.is_some_and(|before| level_of(before) != level);
    let turn =
        |user: &UserName| votes(after, user) && (moved || waited.is_none_or(|before| !votes(before, user)));
    let mut asked = approvers(snapshot, group, after, *now);
    asked.retain(turn);
    if asked.is_empty() {
        return Vec::new();
    }
    let wanted = Wanted { length: Some(long(after, *length)), ..wanted(after) };
    let notice = Notice::ApprovalAsked {
        wanted,
        level: level.map(u8::from),
        changes: changes(snapshot, after),
        expires: after.expires,
    };
    notify(snapshot, &asked, &notice)
}

/// The requester, of what somebody else or time decided, and the copy list of their own doing too.
fn decided(snapshot: &Snapshot, step: &RequestStep<'_>) -> Vec<Notification> {
    let RequestStep { before, after, .. } = step;
    // An emergency has a notice of its own.
    let is_told = match before {
        Some(before) => before.state.word() != after.state.word(),
        None => !after.is_emergency(),
    };
    if !is_told {
        return Vec::new();
    }
    let by_vote = |verdict: Verdict, outcome| {
        let last = after.votes.last().filter(|vote| vote.verdict == verdict);
        let by = last.map(|vote| Note::new(vote.by.as_str()));
        Decided { outcome, by, comment: last.and_then(|vote| said(vote.comment.as_ref())) }
    };
    let decided = match &after.state {
        RequestState::Approved { .. } => by_vote(Verdict::Approve, Outcome::Approved),
        RequestState::Rejected { .. } => by_vote(Verdict::Reject, Outcome::Rejected),
        RequestState::Revoked { by, comment, .. } => {
            let (by, comment) = (Some(Note::new(by)), said(comment.as_ref()));
            Decided { outcome: Outcome::Revoked, by, comment }
        }
        RequestState::Expired { .. } => Decided { outcome: Outcome::Expired, by: None, comment: None },
        RequestState::Cancelled { .. } => {
            Decided { outcome: Outcome::Cancelled, by: Some(Note::new(after.user.as_str())), comment: None }
        }
        RequestState::Pending => return Vec::new(),
    };
    let copy = snapshot.group(&after.group).map(|group| group.copy.as_slice()).unwrap_or_default();
    let mut told = Vec::new();
    if before.is_some() && decided.outcome != Outcome::Cancelled {
        let decided = decided.clone();
        let notice = Notice::RequestDecided { wanted: wanted(after), decided };
        told = notify(snapshot, [&after.user], &notice);
    }
    if !copy.is_empty() {
        let notice = Notice::DecisionCopied { wanted: wanted(after), decided };
        told.extend(notify(snapshot, copy, &notice));
    }
    told
}

/// Every approver and the copy list, of somebody who let themselves in.
fn emergency(snapshot: &Snapshot, step: &RequestStep<'_>) -> Vec<Notification> {
    let RequestStep { before, after, now, .. } = step;
    let (Some(why), RequestState::Approved { .. }, None) = (&after.claims.emergency, &after.state, before)
    else {
        return Vec::new();
    };
    let Some(group) = snapshot.group(&after.group) else { return Vec::new() };
    let approvers = approvers(snapshot, group, after, *now);
    let notice = Notice::EmergencyUsed { wanted: wanted(after), emergency: Note::new(why.as_str()) };
    notify(snapshot, approvers.iter().chain(&group.copy), &notice)
}

/// The requester, some time before a long window ends.
fn ends_soon(snapshot: &Snapshot, step: &RequestStep<'_>) -> Vec<Notification> {
    let RequestStep { before, after, ahead, now, .. } = step;
    let Some(Window { start, end }) = window(after).filter(|window| window.end > *now) else {
        return Vec::new();
    };
    // More time is the end of the first.
    let (of, start) = match after.extends {
        Some(first) => (first, *now),
        None => (after.id, start),
    };
    if before.and_then(window).is_some_and(|before| before.end == end) {
        return Vec::new();
    }
    let ahead = ahead.after(*now).duration_since(*now);
    let (Ok(from), Ok(twice)) = (end.checked_sub(ahead), start.checked_add(ahead)) else { return Vec::new() };
    if from < twice {
        return Vec::new();
    }
    let (name, user) = (Note::new(of.to_string()), after.user.clone());
    let notice = Notice::EndsSoon { what: Ending::Window, name, user, ends: end, from };
    notify(snapshot, [&after.user], &notice)
}

fn window(request: &Request) -> Option<Window> {
    match &request.state {
        RequestState::Approved { window } => Some(*window),
        _ => None,
    }
}

fn said(text: Option<&Text>) -> Option<NoticeText> {
    text.map(|text| Note::new(text.as_str()))
}

/// What a session would be granted, in words.
fn changes(snapshot: &Snapshot, request: &Request) -> Notes {
    if request.action != Action::Session {
        return Notes::default();
    }
    let several = request.targets.len() > 1;
    let credentials = request.targets.iter().filter_map(|target| snapshot.credential(target));
    let each = credentials.flat_map(|credential| {
        let on = if several { format!("{}: ", credential.name) } else { String::new() };
        credential.privileges.iter().map(move |privilege| format!("{on}{privilege}"))
    });
    Notes::of(each)
}

/// `2h`, `2h more for request 7`, `2h, mon 08:00-12:00 (UTC), 3 sessions`.
fn long(request: &Request, length: Length) -> Note {
    let more = request.extends.map(|first| format!(" more for request {first}")).unwrap_or_default();
    let limits = if request.limits.is_none() { String::new() } else { format!(", {}", request.limits) };
    Note::new(format!("{length}{more}{limits}"))
}

fn wanted(request: &Request) -> Wanted {
    let window = window(request);
    Wanted {
        request: request.id,
        user: request.user.clone(),
        targets: Notes::of(&request.targets),
        asked: match request.action {
            Action::Session => Asked::Session,
            Action::ViewPassword => Asked::ViewPassword,
        },
        justification: said(request.claims.justification.as_ref()),
        reason: request.claims.reason.clone(),
        change: request.claims.change.clone(),
        governance: said(request.claims.governance.as_ref()),
        from: window.map(|window| window.start).or(request.wish.start),
        length: request.wish.duration.map(|length| long(request, length)),
        until: window.map(|window| window.end),
        origin: request.origin,
    }
}

#[cfg(test)]
mod tests;
