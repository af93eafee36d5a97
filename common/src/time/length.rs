//! A length of time as people write it: `45s`, `90m`, `2h`, `1 day`, `1 month`, `1h 30m`.

use std::fmt;
use std::str::FromStr;

use jiff::{Span, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::as_text::as_text;

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;
const DAY: u32 = 24 * HOUR;
/// Ten years: longer is a slip of the pen.
const MOST_MONTHS: u32 = 120;
const MOST_SECONDS: u32 = 3660 * DAY;

/// Why a text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LengthError {
    /// Not `<number><unit>`, or an unknown unit.
    #[error("`{0}` is not a length of time; write it as 90m, 2h, 3d, 1 month or 1h 30m")]
    Shape(String),
    /// Nothing, which would end before it starts.
    #[error("a length of time must be longer than nothing")]
    Zero,
    /// More than ten years.
    #[error("`{0}` is longer than ten years")]
    Long(String),
}

/// Whole months and seconds; never zero. A month is counted on the calendar, in
/// UTC; a day is 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Length {
    months: u32,
    seconds: u32,
}

impl Length {
    /// So many minutes; at least one.
    #[must_use]
    pub const fn minutes(minutes: u16) -> Self {
        let minutes = if minutes == 0 { 1 } else { minutes };
        Self { months: 0, seconds: minutes as u32 * MINUTE }
    }

    /// So many hours; at least one.
    #[must_use]
    pub const fn hours(hours: u16) -> Self {
        let hours = if hours == 0 { 1 } else { hours };
        Self { months: 0, seconds: hours as u32 * HOUR }
    }

    /// The moment that is this long after `start`; the end of time where that overflows.
    #[must_use]
    pub fn after(self, start: Timestamp) -> Timestamp {
        let months = Span::new().try_months(self.months);
        let seconds = Span::new().try_seconds(self.seconds);
        let end = months.and_then(|months| start.to_zoned_datetime(TimeZone::UTC).checked_add(months));
        end.and_then(|end| end.timestamp().checked_add(seconds?)).unwrap_or(Timestamp::MAX)
    }

    /// As a plain duration; a month counts as 30 days.
    #[must_use]
    pub fn approximate(self) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(self.months) * u64::from(30 * DAY) + u64::from(self.seconds))
    }
}

impl FromStr for Length {
    type Err = LengthError;

    fn from_str(text: &str) -> Result<Self, LengthError> {
        let shape = || LengthError::Shape(crate::unseen::quoted(text, 40));
        let long = || LengthError::Long(crate::unseen::quoted(text, 40));
        let (mut months, mut seconds) = (0u32, 0u32);
        let mut rest = text.trim();
        if rest.is_empty() || rest.len() > 40 {
            return Err(shape());
        }
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
            let (number, tail) = rest.split_at_checked(digits).ok_or_else(shape)?;
            if number.is_empty() {
                return Err(shape());
            }
            let number: u32 = number.parse().map_err(|_| long())?;
            let tail = tail.trim_start();
            let letters =
                tail.len() - tail.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()).len();
            let (unit, tail) = tail.split_at_checked(letters).ok_or_else(shape)?;
            let each = match unit {
                "s" | "sec" | "second" | "seconds" => 1,
                "m" | "min" | "minute" | "minutes" => MINUTE,
                "h" | "hour" | "hours" => HOUR,
                "d" | "day" | "days" => DAY,
                "w" | "week" | "weeks" => 7 * DAY,
                "mo" | "month" | "months" => 0,
                _ => return Err(shape()),
            };
            if each == 0 {
                months = months.checked_add(number).ok_or_else(long)?;
            } else {
                let more = number.checked_mul(each).ok_or_else(long)?;
                seconds = seconds.checked_add(more).ok_or_else(long)?;
            }
            rest = tail.trim_start();
        }
        match (months, seconds) {
            (0, 0) => Err(LengthError::Zero),
            (months, seconds) if months > MOST_MONTHS || seconds > MOST_SECONDS => Err(long()),
            _ => Ok(Self { months, seconds }),
        }
    }
}

as_text!(Length);

/// Prints what [`FromStr`] reads: `1 month`, `2h`, `1h 30m`.
impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match self.months {
            0 => {}
            1 => parts.push("1 month".to_owned()),
            months => parts.push(format!("{months} months")),
        }
        let mut rest = self.seconds;
        for (each, unit) in [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (1, "s")] {
            if rest >= each {
                parts.push(format!("{}{unit}", rest / each));
                rest %= each;
            }
        }
        f.pad(&parts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn lengths_read_as_people_write_them() {
        for (text, shown) in [
            ("90m", "1h 30m"),
            ("2h", "2h"),
            ("1 month", "1 month"),
            ("3 days", "3d"),
            ("1h 30m", "1h 30m"),
            ("45 s", "45s"),
            ("2 months 1d", "2 months 1d"),
        ] {
            assert_eq!(text.parse::<Length>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn a_month_is_counted_on_the_calendar() {
        let month: Length = "1 month".parse().unwrap();
        assert_eq!(month.after(at("2026-01-31T10:00:00Z")), at("2026-02-28T10:00:00Z"));
    }

    #[test]
    fn nonsense_nothing_and_far_too_long_are_refused_each_with_its_reason() {
        assert!(matches!("soon".parse::<Length>(), Err(LengthError::Shape(_))));
        assert!(matches!("90".parse::<Length>(), Err(LengthError::Shape(_))));
        assert!(matches!("".parse::<Length>(), Err(LengthError::Shape(_))));
        assert_eq!("0m".parse::<Length>(), Err(LengthError::Zero));
        assert!(matches!("99999999999m".parse::<Length>(), Err(LengthError::Long(_))));
        assert!(matches!("200 months".parse::<Length>(), Err(LengthError::Long(_))));
        assert!("120 months".parse::<Length>().is_ok());
    }

    proptest! {
        #[test]
        fn a_length_reads_back_from_its_text(months in 0u32..=120, seconds in 0u32..=MOST_SECONDS) {
            prop_assume!(months + seconds > 0);
            let length = Length { months, seconds };
            prop_assert_eq!(length.to_string().parse::<Length>(), Ok(length));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,60}") {
            let _ = text.parse::<Length>();
        }
    }
}
