//! A span of absolute time, its start included and its end not.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Length;

/// From `start` until just before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The first moment inside.
    pub start: Timestamp,
    /// The first moment that is no longer inside.
    pub end: Timestamp,
}

impl Window {
    /// `length` long, from `start`.
    #[must_use]
    pub fn starting(start: Timestamp, length: Length) -> Self {
        Self { start, end: length.after(start) }
    }

    /// Whether `now` is inside.
    #[must_use]
    pub fn contains(&self, now: Timestamp) -> bool {
        self.start <= now && now < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_its_start_and_not_its_end() {
        let start: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let window = Window::starting(start, Length::minutes(60));
        assert!(window.contains(start));
        assert!(!window.contains(window.end));
        assert!(!window.contains(Timestamp::UNIX_EPOCH));
    }
}
