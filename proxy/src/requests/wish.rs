//! When and for how long a request may open.

use std::time::Duration;

use jiff::{Span, Timestamp};
use tidegate_common::model::{AccessGroup, Action, Limits, Terms, Wish};
use tidegate_common::time::{Length, Window};

use super::RequestError;

/// How far ahead a start may lie.
const FARTHEST_DAYS: i64 = 366;

/// What can be asked for at least, and at most; an approver may shorten it further.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Why nobody asks for such a time, of a request or of a remote access.
#[derive(Debug, thiserror::Error)]
pub enum NoTime {
    /// Shorter than anybody works, or longer than anybody plans.
    #[error("a request is for a minute at least and for 366 days at most; ask for a duration between these")]
    Duration,
    /// Its days and times are none of its window's.
    #[error("it is wanted for {limits}, which does not come before its end at {end}; ask for longer")]
    NeverOpen {
        /// Which days and times.
        limits: Box<Limits>,
        /// When it would end.
        end: Timestamp,
    },
}

/// Whether it is a duration that somebody may ask for. An emergency is cut to what its group gives
/// instead, so that nobody is turned away.
#[must_use]
pub fn can_be_asked(length: Length) -> bool {
    (SHORTEST..=LONGEST).contains(&length.approximate())
}

/// Whether the days and times that are asked for come at all while a window lasts.
///
/// # Errors
/// When they do not.
pub fn comes(limits: &Limits, window: Window) -> Result<(), NoTime> {
    let opens = limits.opens(window.start).is_some_and(|opens| opens < window.end);
    if !limits.has_times() || limits.is_open(window.start) || opens {
        return Ok(());
    }
    let limits = Box::new(Limits { sessions: None, ..limits.clone() });
    Err(NoTime::NeverOpen { limits, end: window.end })
}

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
