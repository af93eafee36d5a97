//! Any recording as events: asciicast v1, v2 and v3, plain or compressed with Zstandard,
//! this house's or another's, from whatever can be read, in bounded memory.
//!
//! Whoever made the file may be hostile: lines, header, times and the whole are bounded, and
//! each mistake is an error that says where it is. A file that ends in the middle gives
//! what is whole, and [`Standing`] says that it was cut off. Of a Tidegate recording only
//! what its chain proves comes out.

mod head;
mod lines;
mod source;
#[cfg(test)]
mod tests;
mod v1;

use std::io;
use std::time::Duration;

use super::{Alteration, Chain, Signature, Size, Verdict};
use lines::{Line, Text};
use source::Source;

pub use head::{Head, Theme};

/// The most bytes of one line, or of one event of asciicast v1.
pub const MAX_LINE: usize = 8 << 20;
/// The most bytes of a header.
pub const MAX_HEAD: usize = 256 << 10;
/// The most bytes of a whole recording when it is not compressed.
pub const MAX_RECORDING: u64 = 16 << 30;
/// The longest recording.
pub const MAX_TIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// Whether a signature over a text is that of the key that recordings are signed with.
pub type Check = Box<dyn Fn(&[u8], &Signature) -> bool + Send>;

/// What can be wrong with a recording.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The device or the network says so.
    #[error("the recording can't be read: {0}")]
    Read(#[source] io::Error),
    /// There is nothing in it.
    #[error("the recording is empty")]
    Empty,
    /// Its first frame is not what was written.
    #[error("the recording was altered at its start: {0}")]
    Altered(Alteration),
    /// Zstandard says so.
    #[error("after {after} bytes the recording is not compressed as it must be: {source}")]
    Compression {
        /// Bytes of the file that were good, at least.
        after: u64,
        /// What is wrong.
        source: io::Error,
    },
    /// The first line, or what stands before the events of v1.
    #[error("the recording does not begin with a header of asciicast: {0}")]
    Head(String),
    /// Neither 1, 2 nor 3.
    #[error("the recording is asciicast of version {0}; known are 1, 2 and 3")]
    Version(u64),
    /// It is no JSON, or no event.
    #[error("{position} is no event of asciicast: {source}")]
    Event {
        /// Where.
        position: Position,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A size is none.
    #[error("{0} holds no size as in `80x24`")]
    Size(Position),
    /// It is more than [`MAX_LINE`].
    #[error("{0} is longer than {MAX_LINE} bytes")]
    Long(Position),
    /// It is later than [`MAX_TIME`].
    #[error("{position} is {seconds:e} seconds after the one before it; a recording lasts at most a year")]
    Time {
        /// Where.
        position: Position,
        /// As it is written.
        seconds: f64,
    },
    /// It is more than [`MAX_RECORDING`].
    #[error("at {0} the recording is longer than {MAX_RECORDING} bytes")]
    TooLong(Position),
}

/// A position in a recording, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Of a file with a line for each event.
    Line(u64),
    /// Of asciicast v1.
    Event(u64),
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Event(event) => write!(f, "event {event}"),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was shown.
    Output(String),
    /// It was typed.
    Input(String),
    /// The screen has another size; as it is written, so that it may be any.
    Resize(Size),
    /// A place to jump to; in a Tidegate recording a command, or a line that was typed.
    Marker(String),
    /// The session's status.
    Exit(String),
}

/// What happened when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Since the start; never less than that of the one before.
    pub at: Duration,
    pub what: What,
}

/// What is known of a recording's truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is no Tidegate recording, or one without its chain, so that nothing proves it.
    Foreign {
        /// It ends in the middle.
        cut: bool,
    },
    /// Its chain holds to its end. No key was given to check whose signature that bears.
    Unchecked(Chain),
    /// Judged as [`verify`](super::verify) does.
    Judged(Verdict),
}

/// A recording that is read.
pub struct Recording<R> {
    text: Text<R>,
    head: Head,
    v1: bool,
    at: Duration,
    backwards: u64,
    over: bool,
}

impl<R: io::Read> Recording<R> {
    /// Reads as far as the header. Without `check` a signature is not looked at.
    ///
    /// # Errors
    /// When there is no header.
    pub fn open(input: R, check: Option<Check>) -> Result<Self, OpenError> {
        let mut text = Text::new(Source::open(input, check)?);
        let (head, v1) = head::read(&mut text)?;
        Ok(Self { text, head, v1, at: Duration::ZERO, backwards: 0, over: false })
    }

    /// What it says of itself. Only [`Standing`] says whether that is true.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next event; none at the end.
    ///
    /// # Errors
    /// When it is none. Nothing more comes then.
    pub fn next_event(&mut self) -> Result<Option<Event>, OpenError> {
        while !self.over {
            let line = if self.v1 { v1::next(&mut self.text) } else { lines::next(&mut self.text) };
            match line {
                Ok(Some(line)) => match self.event(line) {
                    Ok(None) => {}
                    other => {
                        self.over = other.is_err();
                        return other;
                    }
                },
                Ok(None) => self.over = true,
                Err(error) => {
                    self.over = true;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn event(&mut self, line: Line) -> Result<Option<Event>, OpenError> {
        let position = self.text.position();
        let Line { seconds, code, data } = line;
        let far = || OpenError::Time { position, seconds };
        if seconds > MAX_TIME.as_secs_f64() {
            return Err(far());
        }
        let given = Duration::try_from_secs_f64(seconds.max(0.0)).map_err(|_| far())?;
        // To the microsecond, as asciinema writes it.
        let given = Duration::from_micros(u64::try_from((given.as_nanos() + 500) / 1000).unwrap_or(u64::MAX));
        let absolute = self.head.version == 2;
        let at = if absolute { given.max(self.at) } else { self.at.saturating_add(given) };
        if seconds < 0.0 || (absolute && given < self.at) {
            self.backwards = self.backwards.saturating_add(1);
        }
        if at > MAX_TIME {
            return Err(far());
        }
        self.at = at;
        let what = match (code, data) {
            ('o', data) => What::Output(data),
            ('i', data) => What::Input(data),
            ('m', data) => What::Marker(data),
            ('x', data) => What::Exit(data),
            ('r', data) => What::Resize(size(&data).ok_or(OpenError::Size(position))?),
            _ => return Ok(None),
        };
        Ok(Some(Event { at, what }))
    }

    /// How many events said that they were before the one before them. They count as at
    /// the same time.
    pub fn backwards(&self) -> u64 {
        self.backwards
    }

    /// Bytes of the file that were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.text.source.bytes_read()
    }

    /// What is known of its truth, once all events were read; before that, as far as they
    /// were.
    pub fn standing(&self) -> Standing {
        self.text.source.standing(self.text.is_cut())
    }
}

impl<R: io::Read> Iterator for Recording<R> {
    type Item = Result<Event, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_event().transpose()
    }
}

/// `80x24`; what is more than a number holds is the greatest.
fn size(text: &str) -> Option<Size> {
    let (cols, rows) = text.split_once('x')?;
    let side = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u32::MAX))
    };
    Some(Size { cols: side(cols)?, rows: side(rows)? })
}
