//! Days of the week and times of the day, in steps of 15 minutes, as a clock on
//! the wall of an IANA zone shows them.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::as_text::as_text;

/// Why a zone, weekday or slot is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not in the IANA database.
    #[error("`{0}` is no IANA time zone; write it as Europe/Berlin or UTC")]
    Zone(String),
    /// Not a day.
    #[error("`{0}` is no weekday; write mon, tue, wed, thu, fri, sat or sun")]
    Weekday(String),
    /// Not `HH:MM-HH:MM`, not in steps of 15 minutes, or empty.
    #[error(
        "`{0}` is no time slot; write it as 08:00-17:45, in steps of 15 minutes, and one over midnight as two: \
         22:00-24:00 and 00:00-06:00"
    )]
    Slot(String),
}

fn printable(text: &str) -> String {
    crate::unseen::quoted(text, 40)
}

/// An IANA time zone, by name. UTC unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone itself.
    #[must_use]
    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl FromStr for Zone {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        if text.len() > 64 {
            return Err(TimeError::Zone(printable(text)));
        }
        jiff::tz::db().get(text).map(Self).map_err(|_| TimeError::Zone(printable(text)))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.iana_name().unwrap_or("UTC"))
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Weekday(jiff::civil::Weekday);

const DAYS: [(&str, &str, jiff::civil::Weekday); 7] = [
    ("mon", "monday", jiff::civil::Weekday::Monday),
    ("tue", "tuesday", jiff::civil::Weekday::Tuesday),
    ("wed", "wednesday", jiff::civil::Weekday::Wednesday),
    ("thu", "thursday", jiff::civil::Weekday::Thursday),
    ("fri", "friday", jiff::civil::Weekday::Friday),
    ("sat", "saturday", jiff::civil::Weekday::Saturday),
    ("sun", "sunday", jiff::civil::Weekday::Sunday),
];

impl FromStr for Weekday {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let lower = text.to_ascii_lowercase();
        DAYS.iter()
            .find(|(short, long, _)| lower == *short || lower == *long)
            .map(|(_, _, day)| Self(*day))
            .ok_or_else(|| TimeError::Weekday(printable(text)))
    }
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = DAYS.iter().find(|(_, _, day)| *day == self.0).map_or("mon", |(short, _, _)| short);
        f.pad(name)
    }
}

/// A stretch of one day, in minutes from midnight; the end is not inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slot {
    from: u16,
    until: u16,
}

const STEP: u16 = 15;
const WHOLE_DAY: u16 = 24 * 60;

impl FromStr for Slot {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let wrong = || TimeError::Slot(printable(text));
        let minute = |text: &str| -> Option<u16> {
            let (hours, minutes) = text.trim().split_once(':')?;
            if hours.len() > 2
                || minutes.len() != 2
                || !format!("{hours}{minutes}").bytes().all(|b| b.is_ascii_digit())
            {
                return None;
            }
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            let total = hours * 60 + minutes;
            (minutes < 60 && total <= WHOLE_DAY && total.is_multiple_of(STEP)).then_some(total)
        };
        let (from, until) = text.split_once('-').ok_or_else(wrong)?;
        let (from, until) = (minute(from).ok_or_else(wrong)?, minute(until).ok_or_else(wrong)?);
        if from < until { Ok(Self { from, until }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, until } = self;
        f.pad(&format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60))
    }
}

as_text!(Zone, Weekday, Slot);

/// Days and times of a week. An empty list means every day, or the whole day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Days on which it is open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Weekday>,
    /// Times of those days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<Slot>,
}

impl Schedule {
    /// Whether it says nothing, and so is always open.
    #[must_use]
    pub fn is_always(&self) -> bool {
        self.weekdays.is_empty() && self.slots.is_empty()
    }

    /// Whether the moment is inside, in the zone.
    #[must_use]
    pub fn is_open(&self, zone: &Zone, now: jiff::Timestamp) -> bool {
        if self.is_always() {
            return true;
        }
        let local = zone.time_zone().to_datetime(now);
        open_until(&self.weekdays, &self.slots, local).is_some()
    }
}

/// Whether the days and times leave no gap.
pub(super) fn is_whole_week(weekdays: &[Weekday], slots: &[Slot]) -> bool {
    let every_day =
        weekdays.is_empty() || DAYS.iter().all(|(.., day)| weekdays.iter().any(|open| open.0 == *day));
    let mut reached = 0;
    while let Some(further) = slots.iter().find(|slot| slot.from <= reached && reached < slot.until) {
        reached = further.until;
    }
    every_day && (slots.is_empty() || reached >= WHOLE_DAY)
}

/// If the wall clock is inside: minutes from midnight to the end of the slot it is in.
pub(super) fn open_until(weekdays: &[Weekday], slots: &[Slot], local: DateTime) -> Option<u16> {
    let today = local.date().weekday();
    if !weekdays.is_empty() && weekdays.iter().all(|open| open.0 != today) {
        return None;
    }
    if slots.is_empty() {
        return Some(WHOLE_DAY);
    }
    let part = |value: i8| u16::try_from(value).unwrap_or_default();
    let minute = part(local.hour()) * 60 + part(local.minute());
    let inside = slots.iter().filter(|slot| slot.from <= minute && minute < slot.until);
    inside.map(|slot| slot.until).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_read_in_steps_of_a_quarter_of_an_hour() {
        for text in ["08:00-17:45", "00:00-24:00", "23:45-24:00"] {
            assert_eq!(text.parse::<Slot>().unwrap().to_string(), text);
        }
        for text in ["08:00", "08:10-09:00", "18:00-08:00", "09:00-09:00", "00:00-24:15", "8-9", "-1:00-2:00"]
        {
            assert!(matches!(text.parse::<Slot>(), Err(TimeError::Slot(_))), "{text}");
        }
    }

    #[test]
    fn zones_and_weekdays_are_known_names_or_refused() {
        assert_eq!("Europe/Berlin".parse::<Zone>().unwrap().to_string(), "Europe/Berlin");
        assert!(matches!("Mars/Olympus".parse::<Zone>(), Err(TimeError::Zone(_))));
        assert_eq!("Friday".parse::<Weekday>().unwrap().to_string(), "fri");
        assert!(matches!("someday".parse::<Weekday>(), Err(TimeError::Weekday(_))));
    }

    #[test]
    fn a_schedule_is_read_on_the_wall_clock_of_its_zone() {
        let schedule =
            Schedule { weekdays: vec!["mon".parse().unwrap()], slots: vec!["08:00-09:00".parse().unwrap()] };
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        // 2026-06-01 is a Monday; Berlin is two hours ahead of UTC in June.
        let now = "2026-06-01T06:30:00Z".parse().unwrap();
        assert!(schedule.is_open(&berlin, now));
        assert!(!schedule.is_open(&Zone::default(), now));
    }
}
