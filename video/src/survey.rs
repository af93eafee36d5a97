//! A first look at a whole recording: how large its screens get, how long it is, its commands,
//! and whether it is true. All of it stands in the video before the first frame.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::time::Duration;

use tidegate_common::recording::{Check, Head, OpenError, Recording, Standing, What};
use tidegate_screen::Size;

use crate::encode::Mark;
use crate::timeline::{Pace, Timeline};

/// The most commands that can be jumped to.
const MOST_MARKS: usize = 5_000;
/// The most characters of one.
const MOST_LABEL: usize = 200;

/// What a recording is.
#[derive(Debug)]
pub struct Survey {
    pub head: Head,
    pub standing: Standing,
    /// The screen at the start.
    pub first: Size,
    /// The most columns and the most rows that any screen has.
    pub largest: Size,
    /// The time of the last event, in microseconds.
    pub end: u64,
    /// The video's length, in microseconds.
    pub length: u64,
    /// Commands and other places, in milliseconds of the video.
    pub marks: Vec<Mark>,
    /// Whether there were more of them than are kept.
    pub more_marks: bool,
    /// Bytes that were shown.
    pub shown: u64,
    /// Events that said that they were before the one before them.
    pub backwards: u64,
    /// Whether a pause was too long to be one.
    pub leap: bool,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Opens a recording at its start.
///
/// # Errors
/// When it is none.
pub fn open(file: &File, check: Option<Check>) -> Result<Recording<File>, OpenError> {
    let mut file = file.try_clone().map_err(OpenError::Read)?;
    file.seek(SeekFrom::Start(0)).map_err(OpenError::Read)?;
    Recording::open(file, check)
}

/// Reads all of one that was just opened.
///
/// # Errors
/// When it is no recording.
pub fn survey<R: Read>(mut recording: Recording<R>, pace: &Pace) -> Result<Survey, OpenError> {
    let head = recording.head().clone();
    let first = Size::bounded(head.size.cols, head.size.rows);
    let mut pace = *pace;
    pace.idle_limit = pace.idle_limit.or(head.idle_limit.map(micros));
    let mut found =
        Found { timeline: Timeline::new(pace), largest: None, first, marks: Vec::new(), shown: 0 };
    let (mut end, mut more_marks) = (0, false);
    while let Some(event) = recording.next_event()? {
        let at = micros(event.at);
        end = if found.timeline.is_after(at) { pace.to.unwrap_or(at) } else { at };
        more_marks |= !found.take(at, event.what);
    }
    let largest = found.largest.unwrap_or(first);
    Ok(Survey {
        head,
        standing: recording.standing(),
        first,
        largest,
        end,
        length: found.timeline.place(end),
        marks: found.marks,
        more_marks,
        shown: found.shown,
        backwards: recording.backwards(),
        leap: found.timeline.was_cut(),
        bytes: recording.bytes_read(),
    })
}

struct Found {
    timeline: Timeline,
    /// None before anything was shown.
    largest: Option<Size>,
    /// The size now.
    first: Size,
    marks: Vec<Mark>,
    shown: u64,
}

impl Found {
    /// Whether there was room for it.
    fn take(&mut self, at: u64, what: What) -> bool {
        let (before, after) = (self.timeline.is_before(at), self.timeline.is_after(at));
        match what {
            What::Resize(size) => {
                self.first = Size::bounded(size.cols, size.rows);
                if !before && !after {
                    self.timeline.advance(at);
                }
            }
            What::Output(text) if !before && !after => {
                self.shown = self.shown.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
                self.timeline.advance(at);
                // A size in which nothing was shown needs no room.
                let Size { columns, rows } = self.largest.unwrap_or(self.first);
                let (columns, rows) = (columns.max(self.first.columns), rows.max(self.first.rows));
                self.largest = Some(Size { columns, rows });
            }
            What::Marker(label) if !before && !after => return self.mark(at, &label),
            What::Output(_) | What::Marker(_) | What::Input(_) | What::Exit(_) => {}
        }
        true
    }

    fn mark(&mut self, at: u64, label: &str) -> bool {
        let label: String = label.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let label = label.split_whitespace().collect::<Vec<_>>().join(" ");
        let label = label.chars().take(MOST_LABEL).collect::<String>();
        if label.is_empty() {
            return true;
        }
        if self.marks.len() >= MOST_MARKS {
            return false;
        }
        // Each has some time of its own.
        let after = self.marks.last().map_or(0, |last| last.at + 1);
        self.marks.push(Mark { at: (self.timeline.place(at) / 1000).max(after), label });
        true
    }
}

/// Microseconds of a time.
#[must_use]
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
