//! A request as people read it: in a sentence, and with all that is known of it.

use tidegate_common::model::{Claims, LeftOut, Review, StateWord};
use tidegate_common::name::CredentialName;

use super::super::show::{maybe, moment, sheet};
use crate::service::requests::{Plan, RequestSession, RequestView, ShownRequest};

/// One sentence on where a request stands.
pub(super) fn sentence(request: &RequestView) -> String {
    let RequestView { id, user, .. } = request;
    let target = request.what();
    let what = match (&request.window, request.state) {
        (Some(window), _) => {
            format!("is approved from {} until {}", moment(window.start), moment(window.end))
        }
        (None, StateWord::Pending) => match request.votes.len() {
            0 => format!("waits for approval until {}", moment(request.expires)),
            1 => "has one vote and waits for more".to_owned(),
            votes => format!("has {votes} votes and waits for more"),
        },
        (None, state) => format!("is {state}"),
    };
    let emergency = match &request.review {
        _ if !request.is_emergency() => "",
        None => ", an EMERGENCY that an approver has yet to review",
        Some(_) => ", an EMERGENCY that was reviewed",
    };
    let more = request.extends.map(|of| format!(" of more time for request {of}")).unwrap_or_default();
    let left = match (request.remaining, request.state) {
        (Some(0), StateWord::Approved) => ", no session left",
        _ => "",
    };
    format!("request {id} of {user}{more} for {target} {what}{left}{emergency}")
}

/// What the session would change, with its heading.
pub(super) fn plan(plan: &Plan) -> String {
    let doubt = if plan.checked { "" } else { " (its agent does not answer, so not checked there)" };
    let lines: String = plan.lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("what will change on {}{doubt}:\n{lines}", plan.device)
}

pub(super) fn details(shown: &ShownRequest) -> String {
    let ShownRequest { request, opens_for, longest, .. } = shown;
    let opens = opens_for.map(|length| match longest {
        Some(longest) => format!("{length}; no session of {} is longer than {longest}", request.group),
        None => length.to_string(),
    });
    let Claims { justification, reason, change, governance, emergency } = &request.claims;
    let mut text = sheet([
        ("request", request.id.to_string()),
        ("state", sentence(request)),
        ("user", request.user.to_string()),
        (if request.targets.len() == 1 { "credential" } else { "credentials" }, names(&request.targets)),
        ("action", request.action.to_string()),
        ("access group", request.group.to_string()),
        ("EMERGENCY", maybe(emergency.as_ref())),
        ("justification", maybe(justification.as_ref())),
        ("reason", maybe(reason.as_ref())),
        ("change", maybe(change.as_ref())),
        ("governance code", maybe(governance.as_ref())),
        ("wanted from", request.start.map(moment).unwrap_or_default()),
        ("wanted for", maybe(request.duration)),
        ("only", request.limits.to_string()),
        ("sessions begun", begun(request)),
        ("more time for", maybe(request.extends)),
        ("would open for", maybe(opens)),
        ("made", moment(request.created)),
        ("made from", maybe(request.origin)),
    ]);
    for LeftOut { target, by, at } in &request.left_out {
        text.push_str(&format!("{by} leaves {target} out at {}\n", moment(*at)));
    }
    for vote in &request.votes {
        let comment = vote.comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
        let origin = vote.origin.map(|origin| format!(" from {origin}")).unwrap_or_default();
        let verdict = vote.verdict;
        let place = vote.stands_in_for.as_ref().map(|person| format!(" for {person}")).unwrap_or_default();
        text.push_str(&format!(
            "{} {verdict}s{place} (level {}) at {}{origin}{comment}\n",
            vote.by,
            vote.level,
            moment(vote.at)
        ));
    }
    if let Some(by) = &request.revoked_by {
        let why = request.revoked_why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        text.push_str(&format!(
            "{by} revokes it at {}{why}\n",
            request.ended.map(moment).unwrap_or_default()
        ));
    }
    if let (StateWord::Cancelled, Some(at)) = (request.state, request.ended) {
        // By its user, or by the gate once nothing could come of it any more: the log has by whom.
        text.push_str(&format!("it was cancelled at {}\n", moment(at)));
    }
    if let Some(Review { by, at, origin, comment }) = &request.review {
        let comment = comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
        let origin = origin.map(|origin| format!(" from {origin}")).unwrap_or_default();
        text.push_str(&format!("{by} reviews the emergency at {}{origin}{comment}\n", moment(*at)));
    }
    text
}

fn names(targets: &[CredentialName]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `2 of 3, 1 left`; where they are not bounded, how many.
fn begun(request: &RequestView) -> String {
    match (request.limits.sessions, request.remaining, request.used) {
        (Some(most), Some(left), used) => format!("{used} of {most}, {left} left"),
        (_, _, 0) => String::new(),
        (_, _, used) => used.to_string(),
    }
}

/// The sessions that rested on it, with their heading.
pub(super) fn sessions(shown: &ShownRequest) -> String {
    if shown.sessions.is_empty() {
        return String::new();
    }
    let line = |session: &RequestSession| {
        let RequestSession { id, target, origin, started, ended, outcome } = session;
        let started = moment(*started);
        let lasts = match (ended, outcome) {
            (Some(ended), Some(outcome)) => format!("{started} until {} ({outcome})", moment(*ended)),
            (Some(ended), None) => format!("{started} until {}", moment(*ended)),
            (None, _) => format!("lives since {started}"),
        };
        format!("  {id}  {target} from {origin}, {lasts}\n")
    };
    format!("sessions that rested on it:\n{}", shown.sessions.iter().map(line).collect::<String>())
}
