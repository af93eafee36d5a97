//! Moments and other values as people read them.

use jiff::Timestamp;

/// `2026-11-23 18:05:00Z`
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The same, or nothing.
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
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    let lines = lines.iter().filter(|(_, value)| !value.is_empty()).map(|(label, value)| {
        let value: String = value.chars().map(super::table::printable).collect();
        format!("{label:<width$}  {value}\n")
    });
    lines.collect()
}
