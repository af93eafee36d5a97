//! What of a request people have approved, where the rules alone do not suffice.

use jiff::Timestamp;

use super::Facts;
use crate::model::{Request, RequestState};
use crate::time::Window;

/// Until when people have approved what the request opens now: all of it where they approved the
/// request itself, or it did not wait for them. Where the rules alone approved it, only the time that
/// people gave it later, while that lasts. None where nobody did.
pub(super) fn approved_until(request: &Request, facts: &Facts<'_>) -> Option<Timestamp> {
    if request.is_emergency() || request.has_approval() {
        return Some(Timestamp::MAX);
    }
    let more =
        facts.requests.iter().filter(|more| gives_more_time(more, request, facts) && more.has_approval());
    let mut windows: Vec<Window> = more.filter_map(window).collect();
    windows.sort_unstable_by_key(|window| window.start);
    // More time may have been given again, from where that ends.
    let until = windows.iter().fold(facts.now, |until, window| match window.contains(until) {
        true => window.end,
        false => until,
    });
    (until > facts.now).then_some(until)
}

/// Whether it wants more time for the other, for the same access.
fn gives_more_time(more: &Request, first: &Request, facts: &Facts<'_>) -> bool {
    more.extends == Some(first.id)
        && more.user == first.user
        && more.action == first.action
        && more.group == first.group
        && more.targets.contains(facts.target)
}

/// When it is approved for.
fn window(request: &Request) -> Option<Window> {
    match request.state {
        RequestState::Approved { window } => Some(window),
        _ => None,
    }
}
