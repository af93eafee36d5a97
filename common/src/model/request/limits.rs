//! What an approved request is good for beside its window: days, times, so many sessions.

use std::fmt;

use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::time::{Limitation, Slot, Weekday, Zone};

/// What the requester bounds the access to; nothing said, nothing bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Days of the week; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Weekday>,
    /// Times of the day; empty means the whole day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<Slot>,
    /// The zone in which days and times are read; the access group's unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// How many sessions may rest on the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
}

/// A quarter of an hour: days and times open and close in such steps.
const STEP: i64 = 15 * 60;
/// So many steps are looked through for the next opening: a week, and a day more for a clock
/// that is put forward.
const STEPS: i64 = 8 * 24 * 4;

impl Limits {
    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether days or times are bounded.
    #[must_use]
    pub fn has_times(&self) -> bool {
        !self.weekdays.is_empty() || !self.slots.is_empty()
    }

    fn limitation(&self) -> Limitation {
        Limitation {
            zone: self.zone.clone().unwrap_or_default(),
            weekdays: self.weekdays.clone(),
            slots: self.slots.clone(),
            ..Limitation::default()
        }
    }

    /// Whether days and times are open at this moment.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        !self.has_times() || self.limitation().is_open(now)
    }

    /// When the open time around `now` ends; none where it does not.
    #[must_use]
    pub fn closes(&self, now: Timestamp) -> Option<Timestamp> {
        if self.has_times() { self.limitation().closes(now) } else { None }
    }

    /// When they open next, from a moment at which they are closed.
    #[must_use]
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let limitation = self.limitation();
        let first = now.as_second().div_euclid(STEP).checked_add(1)?.checked_mul(STEP)?;
        let first = Timestamp::from_second(first).ok()?;
        let steps = (0..STEPS).map_while(|step| first.checked_add(Span::new().seconds(step * STEP)).ok());
        steps.into_iter().find(|moment| limitation.is_open(*moment))
    }

    /// Whether so many sessions that were begun are all.
    #[must_use]
    pub fn are_spent(&self, used: u32) -> bool {
        self.sessions.is_some_and(|most| used >= most)
    }
}

/// `mon, tue 08:00-12:00 (Europe/Berlin), 3 sessions`.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |words: Vec<String>| words.join(", ");
        let days = joined(self.weekdays.iter().map(ToString::to_string).collect());
        let slots = joined(self.slots.iter().map(ToString::to_string).collect());
        let times: Vec<_> = [days, slots].into_iter().filter(|text| !text.is_empty()).collect();
        let times = match times.is_empty() {
            true => None,
            false => Some(format!("{} ({})", times.join(" "), self.zone.clone().unwrap_or_default())),
        };
        let sessions = self.sessions.map(|most| match most {
            1 => "1 session".to_owned(),
            most => format!("{most} sessions"),
        });
        f.pad(&[times, sessions].into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn mornings() -> Limits {
        Limits {
            weekdays: vec!["mon".parse().unwrap()],
            slots: vec!["08:00-12:00".parse().unwrap()],
            zone: Some("Europe/Berlin".parse().unwrap()),
            sessions: Some(2),
        }
    }

    #[test]
    fn limits_print_as_people_say_them() {
        assert_eq!(mornings().to_string(), "mon 08:00-12:00 (Europe/Berlin), 2 sessions");
        assert_eq!(Limits { sessions: Some(1), ..Limits::default() }.to_string(), "1 session");
        assert_eq!(Limits::default().to_string(), "");
    }

    #[test]
    fn days_and_times_tell_when_they_close_and_open_next_also_over_a_change_of_the_clock() {
        let limits = mornings();
        // Monday, 1 June 2026: 08:00 in Berlin is 06:00 UTC.
        assert!(limits.is_open(at("2026-06-01T06:00:00Z")) && !limits.is_open(at("2026-06-01T05:59:59Z")));
        assert_eq!(limits.closes(at("2026-06-01T06:30:00Z")), Some(at("2026-06-01T10:00:00Z")));
        assert_eq!(limits.opens(at("2026-06-01T10:00:00Z")), Some(at("2026-06-08T06:00:00Z")));
        // The clock is put back on 25 October 2026: 08:00 in Berlin is 07:00 UTC from then on.
        assert_eq!(limits.opens(at("2026-10-19T10:00:00Z")), Some(at("2026-10-26T07:00:00Z")));
        // 02:00 to 02:30 does not come on the day when it is put forward; the next one counts.
        let night = Limits { weekdays: vec![], slots: vec!["02:00-02:30".parse().unwrap()], ..mornings() };
        assert_eq!(night.opens(at("2026-03-29T00:30:00Z")), Some(at("2026-03-30T00:00:00Z")));
        assert_eq!(Limits::default().closes(at("2026-06-01T06:30:00Z")), None);
    }
}
