//! Moments and other values as people read them.

use jiff::Timestamp;

/// `2026-11-23 18:05:00Z`
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `3m ago`, `in 2h`, `now`: for tables, where it need not be exact.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(at.as_second());
    let span = match seconds.saturating_abs() {
        0 => return "now".to_owned(),
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..3_600 => format!("{}m", seconds / 60),
        seconds @ ..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    };
    if seconds > 0 { format!("{span} ago") } else { format!("in {span}") }
}

/// `until 18:00 UTC`, on another day with its date.
pub(super) fn until(at: Timestamp, now: Timestamp) -> String {
    let date = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let day = if date(at) == date(now) { String::new() } else { format!("{} ", date(at)) };
    format!("until {day}{} UTC", at.strftime("%H:%M"))
}

/// A value, or nothing.
pub(super) fn maybe<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// `2d 3h`, `4h 5m`, `6m 7s`, `8s`
pub(super) fn span(seconds: i64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, minutes) => format!("{minutes}m {rest}s"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// Lines of `label: value`, without those that say nothing.
pub(super) fn sheet<const N: usize>(lines: [(&str, String); N]) -> String {
    sheet_of(&lines)
}

/// The same, of lines that come from more than one place.
pub(super) fn sheet_of(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    let lines = lines.iter().filter(|(_, value)| !value.is_empty()).map(|(label, value)| {
        let value: String = value.chars().map(tidegate_common::unseen::printable).collect();
        format!("{label:<width$}  {value}\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_sheet_stand_below_each_other_and_what_says_nothing_is_left_out() {
        let line = |label, value: &str| (label, value.to_owned());
        let told = sheet_of(&[line("user", "olga"), line("governance code", ""), line("from", "now")]);
        assert_eq!(told, "user             olga\nfrom             now\n");
    }

    #[test]
    fn times_are_told_relative_to_now_in_one_unit() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-03-01T12:00:00Z");
        for (moment, told) in [
            ("2026-03-01T12:00:00Z", "now"),
            ("2026-03-01T11:59:30Z", "30s ago"),
            ("2026-03-01T11:57:00Z", "3m ago"),
            ("2026-03-01T14:30:00Z", "in 2h"),
            ("2026-02-20T12:00:00Z", "9d ago"),
        ] {
            assert_eq!(ago(at(moment), now), told);
        }
    }
}
