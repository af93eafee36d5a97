//! The bar above the screen: who was where, in which session, and when.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tidegate_screen::Screen;

/// What the bar says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// A warning, before all else.
    pub alarm: Option<String>,
    /// Who.
    pub user: Option<String>,
    /// Where: `credential@device`, or a title of another program's recording.
    pub place: Option<String>,
    /// The session's id.
    pub session: Option<String>,
    /// What is to be known, and no reason for alarm.
    pub remark: Option<String>,
    /// When the recording began, in microseconds since 1970.
    pub started: Option<i64>,
}

/// Writes the bar.
#[derive(Debug, Clone)]
pub struct Title {
    facts: Facts,
    zone: TimeZone,
    shown: String,
}

impl Title {
    #[must_use]
    pub fn new(facts: Facts, zone: TimeZone) -> Self {
        Self { facts, zone, shown: String::new() }
    }

    /// Shows the bar for a time of the recording, in microseconds.
    pub fn show(&mut self, at: u64, bar: &mut Screen) {
        let columns = usize::from(bar.size().columns);
        let text = self.text(at, columns);
        if text != self.shown {
            bar.write(b"\r\x1b[?25l\x1b[?7l\x1b[m\x1b[2K");
            bar.write(text.as_bytes());
            self.shown = text;
        }
    }

    /// The bar's text with its colours. What there is no room for is left out: first the
    /// zone's name, then the session, then the place's end; the warning and the clock stay.
    fn text(&self, at: u64, columns: usize) -> String {
        let (clock, zone) = self.clock(at);
        let right = format!("{clock} ");
        let alarm = self.facts.alarm.as_deref().map(plain).unwrap_or_default();
        let mut room = columns.saturating_sub(right.chars().count() + 1);
        let mut left = String::new();
        let mut add = |text: &str, style: &str, room: &mut usize| {
            let wanted = text.chars().count();
            if text.is_empty() || *room < 4 {
                return;
            }
            let text = if wanted > *room { cut(text, *room) } else { text.to_owned() };
            *room -= text.chars().count();
            left.push_str(style);
            left.push_str(&text);
            left.push_str("\x1b[m  ");
            *room = room.saturating_sub(2);
        };
        add(&alarm, "\x1b[1;33m", &mut room);
        add(&self.facts.user.as_deref().map(plain).unwrap_or_default(), "\x1b[1m", &mut room);
        add(&self.facts.place.as_deref().map(plain).unwrap_or_default(), "", &mut room);
        add(&self.facts.remark.as_deref().map(plain).unwrap_or_default(), "\x1b[3m", &mut room);
        let session = self.facts.session.as_deref().map(plain).unwrap_or_default();
        if session.chars().count() <= room {
            add(&session, "\x1b[2m", &mut room);
        }
        let zone = if zone.is_empty() || zone.chars().count() + 1 > room {
            String::new()
        } else {
            format!("{zone} ")
        };
        let end = columns.saturating_sub(right.chars().count() + zone.chars().count()) + 1;
        format!(" {left}\x1b[{end}G{right}\x1b[2m{zone}")
    }

    /// The local time, or without one how long the recording goes; and the zone.
    fn clock(&self, at: u64) -> (String, String) {
        let began = self.facts.started.and_then(|began| began.checked_add(i64::try_from(at).ok()?));
        let local = began.and_then(|now| Timestamp::from_microsecond(now).ok());
        match local.map(|now| now.to_zoned_datetime(self.zone.clone())) {
            Some(now) => (now.strftime("%Y-%m-%d %H:%M:%S").to_string(), now.strftime("%Z").to_string()),
            None => {
                let seconds = at / 1_000_000;
                (format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60), String::new())
            }
        }
    }
}

/// Text of a header without what would act on a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(300).collect()
}

fn cut(text: &str, room: usize) -> String {
    let mut kept: String = text.chars().take(room.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When it began, so much later, in Berlin.
    fn bar(facts: Facts, began: &str, seconds: u64, columns: usize) -> String {
        let began = began.parse::<Timestamp>().unwrap().as_microsecond();
        let facts = Facts { started: Some(began), ..facts };
        Title::new(facts, TimeZone::get("Europe/Berlin").unwrap()).text(seconds * 1_000_000, columns)
    }

    const SUMMER: &str = "2026-06-01T12:00:00Z";

    fn all() -> Facts {
        let some = |text: &str| Some(text.to_owned());
        Facts {
            alarm: some("ALTERED"),
            user: some("alice"),
            place: some("ops@db01"),
            session: some("01kq5s"),
            remark: some("not checked"),
            started: None,
        }
    }

    /// What is seen of a text: all but escape sequences.
    fn seen(text: &str) -> String {
        let mut parts = text.split("\x1b[");
        let first = parts.next().unwrap().to_owned();
        let shown = |part: &str| {
            let (_, shown) = part.split_once(|letter: char| letter.is_ascii_alphabetic()).unwrap();
            shown.to_owned()
        };
        parts.fold(first, |seen, part| seen + &shown(part))
    }

    #[test]
    fn the_bar_says_who_where_in_which_session_and_when_on_the_clock_of_its_zone() {
        let text = bar(all(), SUMMER, 0, 120);
        let facts = " ALTERED  alice  ops@db01  not checked  01kq5s  ";
        assert_eq!(seen(&text), format!("{facts}2026-06-01 14:00:00 CEST "));
        // The clock ends with the line.
        assert!(text.contains("\x1b[96G2026-06-01"), "{text:?}");
        let later = bar(all(), SUMMER, 3661, 120);
        assert_eq!(seen(&later), format!("{facts}2026-06-01 15:01:01 CEST "));
        // An hour that the clock shows twice.
        let before = bar(all(), "2026-10-25T00:59:59Z", 0, 120);
        let after = bar(all(), "2026-10-25T00:59:59Z", 1, 120);
        assert!(seen(&before).ends_with("  2026-10-25 02:59:59 CEST "), "{before:?}");
        assert!(seen(&after).ends_with("  2026-10-25 02:00:00 CET "), "{after:?}");
    }

    #[test]
    fn where_there_is_no_room_the_warning_and_the_clock_stay() {
        assert_eq!(seen(&bar(all(), SUMMER, 0, 40)), " ALTERED  alice  2026-06-01 14:00:00 ");
        let calm = Facts { alarm: None, remark: None, ..all() };
        assert_eq!(seen(&bar(calm.clone(), SUMMER, 0, 40)), " alice  ops@db01  2026-06-01 14:00:00 ");
        assert_eq!(seen(&bar(calm, SUMMER, 0, 50)), " alice  ops@db01  01kq5s  2026-06-01 14:00:00 ");
        for columns in 0..8 {
            assert_eq!(seen(&bar(all(), SUMMER, 0, columns)), " 2026-06-01 14:00:00 ", "{columns}");
        }
    }

    #[test]
    fn a_long_name_ends_with_an_ellipsis_and_leaves_the_clock() {
        let long = Facts { user: Some("a".repeat(100)), ..Facts::default() };
        let text = bar(long, SUMMER, 0, 60);
        assert_eq!(seen(&text), format!(" {}…  2026-06-01 14:00:00 ", "a".repeat(38)));
    }

    #[test]
    fn what_a_name_would_do_to_a_terminal_is_left_out() {
        let bad = Facts { user: Some("al\x1b[31mice\x07\n\u{9b}2J".to_owned()), ..Facts::default() };
        let text = bar(bad, SUMMER, 0, 120);
        assert!(text.contains("al[31mice2J"), "{text:?}");
        assert!(!text.contains(['\x07', '\n', '\u{9b}']), "{text:?}");
    }

    #[test]
    fn without_a_date_the_bar_says_how_long_it_goes() {
        let facts = Facts { place: Some("a build".to_owned()), ..Facts::default() };
        let text = Title::new(facts, TimeZone::UTC).text(3_661_000_000, 80);
        assert_eq!(seen(&text), " a build  1:01:01 ");
    }
}
