//! A request as it is shown: for machines, in a sentence, with what would change.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::model::{Action, Claims, Request, RequestState, Review};
use tidegate_common::name::DeviceName;
use tidegate_common::time::Length;
use tidegate_common::unseen::printable;

use super::super::Services;
use super::super::show::{maybe, moment, sheet};

/// The state in one word; an approval whose window has ended is over.
pub(super) fn word(request: &Request) -> &'static str {
    match &request.state {
        RequestState::Approved { window } if window.end <= Timestamp::now() => "over",
        state => state.word(),
    }
}

/// One sentence on where a request stands.
pub(super) fn sentence(request: &Request) -> String {
    let Request { id, user, target, .. } = request;
    let what = match &request.state {
        RequestState::Pending if request.votes.is_empty() => {
            format!("waits for approval until {}", moment(request.expires))
        }
        RequestState::Pending if request.votes.len() == 1 => "has one vote and waits for more".to_owned(),
        RequestState::Pending => format!("has {} votes and waits for more", request.votes.len()),
        RequestState::Approved { window } => {
            format!("is approved from {} until {}", moment(window.start), moment(window.end))
        }
        state => format!("is {}", state.word()),
    };
    let emergency = match &request.review {
        _ if !request.is_emergency() => "",
        None => ", an EMERGENCY that an approver has yet to review",
        Some(_) => ", an EMERGENCY that was reviewed",
    };
    format!("request {id} of {user} for {target} {what}{emergency}")
}

/// A request for machines: its state is one word.
#[derive(Serialize)]
pub(super) struct Line {
    id: u64,
    state: &'static str,
    user: String,
    target: String,
    action: Action,
    group: String,
    #[serde(flatten)]
    claims: Claims,
    created: Timestamp,
    expires: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<tidegate_common::time::Window>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<std::net::IpAddr>,
    votes: Vec<tidegate_common::model::Vote>,
    /// Whether it is an emergency that nobody has looked at yet.
    to_review: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<Review>,
}

impl Line {
    pub(super) fn of(request: &Request) -> Self {
        let (window, revoked_by) = match &request.state {
            RequestState::Approved { window } => (Some(*window), None),
            RequestState::Revoked { by, .. } => (None, Some(by.clone())),
            _ => (None, None),
        };
        Self {
            id: request.id.0,
            state: word(request),
            user: request.user.to_string(),
            target: request.target.to_string(),
            action: request.action,
            group: request.group.to_string(),
            claims: request.claims.clone(),
            created: request.created,
            expires: request.expires,
            start: request.wish.start,
            duration: request.wish.duration.map(|duration| duration.to_string()),
            window,
            revoked_by,
            origin: request.origin,
            votes: request.votes.clone(),
            to_review: request.wants_review(),
            review: request.review.clone(),
        }
    }
}

/// A request as `request show` has it.
#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    request: Line,
    /// For how long it would open if it were approved now.
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_for: Option<String>,
    /// The longest session of its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    longest: Option<String>,
    /// None where nothing will be changed any more.
    pub(super) plan: Option<Plan>,
}

/// For how long a request would open, and the bound of that.
type Opens = Option<(Length, Option<Length>)>;

impl Shown {
    pub(super) fn of(request: &Request, opens: Opens, plan: Option<Plan>) -> Self {
        let opens_for = opens.map(|(length, _)| length.to_string());
        let longest = opens.and_then(|(_, longest)| longest).map(|longest| longest.to_string());
        Self { request: Line::of(request), opens_for, longest, plan }
    }
}

/// What the session would change on its device.
#[derive(Serialize)]
pub(super) struct Plan {
    device: DeviceName,
    /// Whether the device's agent says so now; otherwise it is what the credential has.
    checked: bool,
    lines: Vec<String>,
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let doubt = if self.checked { "" } else { " (its agent does not answer, so not checked there)" };
        writeln!(f, "what will change on {}{doubt}:", self.device)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

pub(super) async fn plan(services: &Services, request: &Request) -> Option<Plan> {
    let snapshot = services.access.snapshot();
    let credential = snapshot.credential(&request.target).cloned();
    let waits = matches!(request.state, RequestState::Pending | RequestState::Approved { .. });
    let credential =
        credential.filter(|one| waits && request.action == Action::Session && !one.privileges.is_empty())?;
    let device = request.target.device.clone();
    let told = services.agents.plan(Arc::clone(&credential)).await;
    let checked = told.is_some();
    let lines = told.unwrap_or_else(|| credential.privileges.iter().map(ToString::to_string).collect());
    let plain = |line: String| line.chars().map(printable).collect();
    Some(Plan { device, checked, lines: lines.into_iter().map(plain).collect() })
}

pub(super) fn details(request: &Request, opens: Opens) -> String {
    let opens = opens.map(|(length, longest)| match longest {
        Some(longest) => format!("{length}; no session of {} is longer than {longest}", request.group),
        None => length.to_string(),
    });
    let Claims { justification, reason, change, governance, emergency } = &request.claims;
    let mut text = sheet([
        ("request", request.id.to_string()),
        ("state", sentence(request)),
        ("user", request.user.to_string()),
        ("credential", request.target.to_string()),
        ("action", request.action.to_string()),
        ("access group", request.group.to_string()),
        ("EMERGENCY", maybe(emergency.as_ref())),
        ("justification", maybe(justification.as_ref())),
        ("reason", maybe(reason.as_ref())),
        ("change", maybe(change.as_ref())),
        ("governance code", maybe(governance.as_ref())),
        ("wanted from", request.wish.start.map(moment).unwrap_or_default()),
        ("wanted for", maybe(request.wish.duration)),
        ("would open for", maybe(opens)),
        ("made", moment(request.created)),
        ("made from", maybe(request.origin)),
    ]);
    for vote in &request.votes {
        let comment = vote.comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
        let origin = vote.origin.map(|origin| format!(" from {origin}")).unwrap_or_default();
        let verdict = vote.verdict;
        text.push_str(&format!(
            "{} {verdict}s (level {}) at {}{origin}{comment}\n",
            vote.by,
            vote.level,
            moment(vote.at)
        ));
    }
    if let Some(Review { by, at, origin, comment }) = &request.review {
        let comment = comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
        let origin = origin.map(|origin| format!(" from {origin}")).unwrap_or_default();
        text.push_str(&format!("{by} reviews the emergency at {}{origin}{comment}\n", moment(*at)));
    }
    text
}
