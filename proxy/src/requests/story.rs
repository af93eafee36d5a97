//! What the audit log is told of requests.

use tidegate_common::audit::{Asked, Event, Note, Notes};
use tidegate_common::model::{Action, Claims, Request, RequestState, Text};
use tidegate_common::time::Length;

use crate::governance::Checked;

pub(super) fn note(text: Option<&Text>) -> Option<Note> {
    text.map(|text| Note::new(text.as_str()))
}

/// That it was made, and that its governance code was taken unchecked, where it was.
pub(super) fn created(request: &Request, checked: &Checked) -> Vec<Event> {
    let unchecked = checked.told(&format!("request {}", request.id));
    std::iter::once(made(request)).chain(unchecked).collect()
}

fn made(request: &Request) -> Event {
    let Claims { justification, reason, change, governance, emergency } = request.claims.clone();
    let why = match (&justification, &emergency) {
        (Some(why), Some(urgent)) => Some(Note::new(format!("{why}; emergency: {urgent}"))),
        (why, urgent) => note(urgent.as_ref().or(why.as_ref())),
    };
    let (from, until) = match &request.state {
        RequestState::Approved { window } => (Some(window.start), Some(window.end)),
        _ => {
            let length = |length: Length| length.after(request.wish.start.unwrap_or(request.created));
            (request.wish.start, request.wish.duration.map(length))
        }
    };
    Event::RequestCreated {
        request: request.id,
        user: request.user.clone(),
        targets: Notes::of(&request.targets),
        asked: match request.action {
            Action::Session => Asked::Session,
            Action::ViewPassword => Asked::ViewPassword,
        },
        justification: why,
        reason,
        change,
        governance: note(governance.as_ref()),
        emergency: emergency.is_some(),
        from,
        until,
        limits: (!request.limits.is_none()).then(|| Note::new(request.limits.to_string())),
        extends: request.extends,
    }
}
