//! When an access group grants at all: a period of dates, days of the week and
//! times of the day, in the group's zone.

use std::fmt;

use jiff::civil::Date;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::schedule::{is_whole_week, open_until};
use super::{Slot, Weekday, Zone};

/// How many stretches of open time are joined in search of the end: more than a
/// week of quarter hours, so that only a schedule without any gap runs out.
const MOST_STRETCHES: usize = 1500;

/// Dates, weekdays and time slots; what is left out does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limitation {
    /// The zone in which all of it is read.
    #[serde(default)]
    pub zone: Zone,
    /// The first day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// The last day, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// Days of the week; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Weekday>,
    /// Times of the day; empty means the whole day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<Slot>,
}

impl Limitation {
    /// Whether it limits nothing.
    #[must_use]
    pub fn is_never(&self) -> bool {
        self.from.is_none() && self.until.is_none() && self.weekdays.is_empty() && self.slots.is_empty()
    }

    /// Whether the group grants at this moment.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.is_never() || self.stretch(now).is_some()
    }

    /// Whether its last day is over, so that the group grants nothing ever again.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|last| self.day_after(last) <= now)
    }

    /// When the open time around `now` ends; `None` when it does not end.
    /// A closed moment ends at once.
    #[must_use]
    pub fn closes(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_never() {
            return None;
        }
        if is_whole_week(&self.weekdays, &self.slots) {
            return match self.is_open(now) {
                true => self.until.map(|last| self.day_after(last)),
                false => Some(now),
            };
        }
        let mut at = now;
        for _ in 0..MOST_STRETCHES {
            match self.stretch(at) {
                Some(next) => at = next,
                None => return Some(at),
            }
        }
        self.until.map(|last| self.day_after(last))
    }

    /// The end of the slot that `now` is in, or the zone's next change of offset
    /// if that is earlier (after it, the wall clock must be read anew).
    fn stretch(&self, now: Timestamp) -> Option<Timestamp> {
        let zone = self.zone.time_zone();
        let local = zone.to_datetime(now);
        let date = local.date();
        if self.from.is_some_and(|first| date < first) || self.until.is_some_and(|last| date > last) {
            return None;
        }
        let end = open_until(&self.weekdays, &self.slots, local)?;
        let midnight = date.to_datetime(jiff::civil::Time::midnight());
        let left = midnight.checked_add(Span::new().minutes(i64::from(end))).ok()?.duration_since(local);
        let end = now.checked_add(left).unwrap_or(Timestamp::MAX);
        let change = zone.following(now).next().map_or(Timestamp::MAX, |change| change.timestamp());
        Some(end.min(change))
    }

    fn day_after(&self, last: Date) -> Timestamp {
        let next = last.tomorrow().and_then(|next| next.to_zoned_datetime(self.zone.time_zone().clone()));
        next.map_or(Timestamp::MAX, |next| next.timestamp())
    }
}

/// `always`, or dates, days and times with their zone.
impl fmt::Display for Limitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_never() {
            return f.write_str("always");
        }
        let words = |words: Vec<String>| (!words.is_empty()).then(|| words.join(" "));
        let parts = [
            self.from.map(|first| format!("from {first}")),
            self.until.map(|last| format!("until {last}")),
            words(self.weekdays.iter().map(ToString::to_string).collect()),
            words(self.slots.iter().map(ToString::to_string).collect()),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        write!(f, "{} {}", parts.join(" "), self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn office() -> Limitation {
        Limitation {
            zone: "Europe/Berlin".parse().unwrap(),
            weekdays: ["mon", "tue", "wed", "thu", "fri"].map(|day| day.parse().unwrap()).to_vec(),
            slots: vec!["08:00-12:00".parse().unwrap(), "12:00-18:00".parse().unwrap()],
            ..Limitation::default()
        }
    }

    #[test]
    fn office_hours_are_open_inside_and_closed_outside() {
        // A Monday in summer: 08:00 in Berlin is 06:00 UTC.
        assert!(office().is_open(at("2026-06-01T06:00:00Z")));
        assert!(!office().is_open(at("2026-06-01T05:59:59Z")));
        assert!(!office().is_open(at("2026-06-01T16:00:00Z")));
        assert!(!office().is_open(at("2026-06-07T08:00:00Z")));
    }

    #[test]
    fn adjacent_slots_are_one_stretch_that_ends_once() {
        assert_eq!(office().closes(at("2026-06-01T06:30:00Z")), Some(at("2026-06-01T16:00:00Z")));
    }

    #[test]
    fn the_last_day_is_included_to_its_end_in_the_zone() {
        let limitation = Limitation { until: Some("2026-06-01".parse().unwrap()), ..office() };
        assert!(limitation.is_open(at("2026-06-01T07:00:00Z")));
        assert!(!limitation.is_open(at("2026-06-02T07:00:00Z")));
        let dates = Limitation { weekdays: vec![], slots: vec![], ..limitation };
        assert_eq!(dates.closes(at("2026-05-01T00:00:00Z")), Some(at("2026-06-01T22:00:00Z")));
    }

    #[test]
    fn a_clock_put_back_repeats_an_open_hour_and_put_forward_skips_it() {
        let night = Limitation { slots: vec!["02:00-02:30".parse().unwrap()], weekdays: vec![], ..office() };
        // 25 October 2026: 03:00 CEST becomes 02:00 CET, so 02:00 to 02:30 comes twice.
        assert_eq!(night.closes(at("2026-10-25T00:10:00Z")), Some(at("2026-10-25T00:30:00Z")));
        assert!(!night.is_open(at("2026-10-25T00:40:00Z")));
        assert_eq!(night.closes(at("2026-10-25T01:10:00Z")), Some(at("2026-10-25T01:30:00Z")));
        // 29 March 2026: 02:00 CET becomes 03:00 CEST, so 02:00 to 02:30 never comes.
        assert!(!night.is_open(at("2026-03-29T01:10:00Z")));
        let early = Limitation { slots: vec!["01:00-02:30".parse().unwrap()], weekdays: vec![], ..office() };
        assert_eq!(early.closes(at("2026-03-29T00:30:00Z")), Some(at("2026-03-29T01:00:00Z")));
    }

    #[test]
    fn no_limitation_never_closes() {
        assert_eq!(Limitation::default().closes(at("2026-06-01T06:30:00Z")), None);
        let always = Limitation { slots: vec!["00:00-24:00".parse().unwrap()], ..Limitation::default() };
        assert_eq!(always.closes(at("2026-06-01T06:30:00Z")), None);
    }

    proptest! {
        #[test]
        fn open_time_is_open_until_it_closes_and_closed_then(
            second in 1_700_000_000i64..1_900_000_000,
            slots in prop::collection::vec((0u16..96, 1u16..=96), 0..4),
            days in prop::collection::vec(0usize..7, 0..5),
        ) {
            let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
            let slots: Vec<Slot> = slots
                .into_iter()
                .filter(|(from, until)| from < until)
                .map(|(from, until)| {
                    let (a, b) = (from * 15, until * 15);
                    format!("{:02}:{:02}-{:02}:{:02}", a / 60, a % 60, b / 60, b % 60).parse().unwrap()
                })
                .collect();
            let weekdays = days.into_iter().map(|day| names[day].parse().unwrap()).collect();
            let limitation = Limitation { slots, weekdays, ..office() };
            let now = Timestamp::from_second(second).unwrap();
            match (limitation.is_open(now), limitation.closes(now)) {
                (false, closes) => prop_assert_eq!(closes, Some(now)),
                (true, None) => prop_assert!(limitation.is_open(now + Span::new().hours(24 * 9))),
                (true, Some(end)) => {
                    prop_assert!(end > now);
                    prop_assert!(!limitation.is_open(end));
                    prop_assert!(limitation.is_open(end - Span::new().nanoseconds(1)));
                    let middle = (end.as_second() + second) / 2;
                    prop_assert!(limitation.is_open(Timestamp::from_second(middle.max(second)).unwrap()));
                }
            }
        }
    }
}
