//! A request as people read it: in a sentence, and with all that is known of it.

use tidegate_common::model::{Claims, Review, StateWord};

use super::super::show::{maybe, moment, sheet};
use crate::service::requests::{Plan, RequestView, ShownRequest};

/// One sentence on where a request stands.
pub(super) fn sentence(request: &RequestView) -> String {
    let RequestView { id, user, target, .. } = request;
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
    format!("request {id} of {user} for {target} {what}{emergency}")
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
        ("credential", request.target.to_string()),
        ("action", request.action.to_string()),
        ("access group", request.group.to_string()),
        ("EMERGENCY", maybe(emergency.as_ref())),
        ("justification", maybe(justification.as_ref())),
        ("reason", maybe(reason.as_ref())),
        ("change", maybe(change.as_ref())),
        ("governance code", maybe(governance.as_ref())),
        ("wanted from", request.start.map(moment).unwrap_or_default()),
        ("wanted for", maybe(request.duration)),
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
