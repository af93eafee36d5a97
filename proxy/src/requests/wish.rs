//! When and for how long a request may open.

use jiff::{Span, Timestamp};
use tidegate_common::model::{AccessGroup, Action, NoTime, Terms, Wish, can_be_asked};
use tidegate_common::time::{Length, Window};

use super::RequestError;

/// How far ahead a start may lie.
const FARTHEST_DAYS: i64 = 366;

/// The start that is asked for, now where none is.
pub(super) fn start(asked: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, RequestError> {
    let start = asked.unwrap_or(now);
    let farthest = now.checked_add(Span::new().hours(24 * FARTHEST_DAYS)).unwrap_or(Timestamp::MAX);
    let nearest = now.checked_sub(Span::new().minutes(1)).unwrap_or(now);
    if start < nearest || start > farthest { Err(RequestError::Start) } else { Ok(start) }
}

/// The shorter of the two, counted from a start.
pub(super) fn shorter(one: Length, other: Option<Length>, start: Timestamp) -> Length {
    other.filter(|other| other.after(start) < one.after(start)).unwrap_or(one)
}

/// Whether so much can be asked for, and the group gives it at all: no session under it is longer.
pub(super) fn is_within(
    group: &AccessGroup,
    asked: Option<Length>,
    start: Timestamp,
) -> Result<(), RequestError> {
    match (asked, group.conditions.longest) {
        (Some(asked), Some(longest)) if asked.after(start) > longest.after(start) => {
            Err(RequestError::TooLong { group: group.name.clone(), longest })
        }
        (Some(asked), _) if !can_be_asked(asked) => Err(NoTime::Duration.into()),
        _ => Ok(()),
    }
}

/// Whether the group wants something said, so that a request can say it ahead.
pub(super) fn says(group: &AccessGroup, action: Action) -> bool {
    let asks = |terms: &Terms| terms.justification || terms.change;
    group.request.governance || group.request.reason || group.terms(action).is_some_and(asks)
}

/// An emergency's window: from now, and never longer than the group gives, which is what it
/// gets without a wish. Who asks for more gets that; nobody is turned away in an emergency.
pub(super) fn emergency(
    group: &AccessGroup,
    action: Action,
    wish: &Wish,
    now: Timestamp,
) -> Result<Window, RequestError> {
    let Some(terms) = group.terms(action).filter(|terms| terms.emergency) else {
        return Err(RequestError::NoEmergency(group.name.clone()));
    };
    if wish.start.is_some_and(|start| start > now) {
        return Err(RequestError::EmergencyStart);
    }
    let most = shorter(terms.emergency_window(), group.conditions.longest, now);
    Ok(Window::starting(now, shorter(most, wish.duration, now)))
}
