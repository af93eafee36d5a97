//! Text to lines, and a line to an event's parts.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};

use super::source::Source;
use super::{MAX_LINE, MAX_RECORDING, OpenError, Position};

/// Text that was read and not used.
pub struct Text<R> {
    pub source: Source<R>,
    buffer: Vec<u8>,
    start: usize,
    total: u64,
    position: Position,
    cut: bool,
}

impl<R: Read> Text<R> {
    pub fn new(source: Source<R>) -> Self {
        Self { source, buffer: Vec::new(), start: 0, total: 0, position: Position::Line(0), cut: false }
    }

    /// Where the line or the event is that was taken last.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Events are counted from here on, not lines.
    pub fn count_events(&mut self) {
        self.position = Position::Event(0);
    }

    pub fn step(&mut self) {
        match &mut self.position {
            Position::Line(number) | Position::Event(number) => *number = number.saturating_add(1),
        }
    }

    /// The text ends in the middle of something.
    pub fn set_cut(&mut self) {
        self.cut = true;
    }

    pub fn is_cut(&self) -> bool {
        self.cut
    }

    pub fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    pub fn skip(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.buffer.len());
    }

    /// Reads more text; false when there is none.
    pub fn more(&mut self) -> Result<bool, OpenError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let before = self.buffer.len();
        let more = self.source.text(&mut self.buffer)?;
        self.total = self.total.saturating_add(u64::try_from(self.buffer.len() - before).unwrap_or(u64::MAX));
        if self.total > MAX_RECORDING {
            return Err(OpenError::TooLong(self.position));
        }
        Ok(more)
    }

    /// How many bytes the next line has, and whether its line feed is there; none at the end.
    pub fn line(&mut self, most: usize) -> Result<Option<(usize, bool)>, OpenError> {
        let mut seen = 0;
        loop {
            let rest = self.rest();
            if let Some(length) = memchr::memchr(b'\n', rest.get(seen..).unwrap_or_default()) {
                let length = seen + length;
                return if length > most { Err(self.long()) } else { Ok(Some((length, true))) };
            }
            seen = rest.len();
            if seen > most {
                return Err(self.long());
            }
            if !self.more()? {
                return Ok((seen > 0).then_some((seen, false)));
            }
        }
    }

    pub fn long(&mut self) -> OpenError {
        self.step();
        OpenError::Long(self.position)
    }
}

/// The next event of v2 and v3.
pub fn next<R: Read>(text: &mut Text<R>) -> Result<Option<Line>, OpenError> {
    loop {
        let Some((length, ended)) = text.line(MAX_LINE)? else { return Ok(None) };
        text.step();
        let line = text.rest().get(..length).unwrap_or_default();
        let blank = line.iter().all(u8::is_ascii_whitespace) || line.starts_with(b"#");
        let read = if blank { None } else { Some(serde_json::from_slice(line)) };
        text.skip(length + 1);
        match read {
            None => {}
            Some(Ok(line)) => return Ok(Some(line)),
            // Whoever wrote it was stopped in the middle.
            Some(Err(_)) if !ended => {
                text.set_cut();
                return Ok(None);
            }
            Some(Err(source)) => return Err(OpenError::Event { position: text.position(), source }),
        }
    }
}

/// `[seconds, "code", "data"]`, or of v1 `[seconds, "data"]`.
pub struct Line {
    pub seconds: f64,
    pub code: char,
    pub data: String,
}

/// Codes whose data is read; all others are skipped, whatever they hold.
const KNOWN: [&str; 5] = ["o", "i", "r", "m", "x"];

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Line;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[seconds, code, data]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Line, A::Error> {
                let missing = |place| A::Error::invalid_length(place, &self);
                let seconds = parts.next_element()?.ok_or_else(|| missing(0))?;
                let code: Cow<'_, str> = parts.next_element()?.ok_or_else(|| missing(1))?;
                let known = KNOWN.contains(&code.as_ref()).then(|| code.chars().next()).flatten();
                let line = match known {
                    Some(code) => {
                        let data = parts.next_element()?.ok_or_else(|| missing(2))?;
                        Line { seconds, code, data }
                    }
                    None => Line { seconds, code: '?', data: String::new() },
                };
                while parts.next_element::<IgnoredAny>()?.is_some() {}
                Ok(line)
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}
