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
