//! Events to frames: which screens a video shows, and when.
//!
//! A screen that stood for a sixtieth of a second is a frame. One that stood for less is
//! drawn over by the next, so that an update that came in pieces is not torn, unless the
//! last frame is older than a thirtieth: output that never rests is seen to move. So each
//! screen that stood for 40 ms or more is in the video.

use tidegate_screen::{Screen, Size};

use crate::draw::Surface;
use crate::draw::stage::Stage;
use crate::timeline::Timeline;
use crate::title::Title;

/// What stands at least this long is a frame.
const STANDS: u64 = 1_000_000 / 60;
/// The oldest that the last frame gets while the screen changes all the time.
const OLDEST: u64 = 1_000_000 / 30;
/// How long a program that draws (mode 2026) is waited for.
const UPDATE: u64 = 150_000;
/// The title bar's clock goes on this often while nothing else happens.
const CLOCK: u64 = 1_000_000;
/// The last screen is there for at least as long.
const LAST: u64 = 500_000;

/// Takes frames, in the order of their times.
pub trait Sink<S: Surface> {
    /// What went wrong with one.
    type Error;

    /// `at` is in milliseconds from the video's start, and more than the last one's.
    ///
    /// # Errors
    /// When no more frames can be taken.
    fn frame(&mut self, at: u64, surface: &S) -> Result<(), Self::Error>;
}

/// Something that happened to the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    Output(&'a [u8]),
    Resize(Size),
}

/// Draws a recording.
pub struct Renderer<S, K> {
    screen: Screen,
    bar: Screen,
    title: Option<Title>,
    stage: Stage,
    surface: S,
    sink: K,
    timeline: Timeline,
    /// Since when the screen may look otherwise than the last frame.
    changed: Option<u64>,
    /// The time of the last frame, in microseconds, and as it was given away.
    last: Option<(u64, u64)>,
    frames: u64,
}

impl<S: Surface, K: Sink<S>> Renderer<S, K> {
    /// Before the first event. `surface` must be as large as the stage.
    pub fn new(
        stage: Stage,
        title: Option<Title>,
        size: Size,
        timeline: Timeline,
        mut surface: S,
        sink: K,
    ) -> Self {
        stage.prepare(&mut surface);
        let bar = stage.bar();
        let screen = Screen::new(size);
        Self { screen, bar, title, stage, surface, sink, timeline, changed: Some(0), last: None, frames: 0 }
    }

    /// Something happens at a time of the recording, in microseconds.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn change(&mut self, at: u64, change: &Change<'_>) -> Result<(), K::Error> {
        if !self.timeline.is_before(at) {
            let until = self.timeline.place(at);
            self.stand(until)?;
            self.timeline.advance(at);
            self.changed = self.changed.or(Some(until));
            // The time of a frame is that of the last change to it.
            if !self.screen.is_updating() {
                self.changed = Some(until);
            }
        }
        match change {
            Change::Output(bytes) => self.screen.write(bytes),
            Change::Resize(size) => self.screen.resize(*size),
        }
        Ok(())
    }

    /// Nothing more happens until `at`. Gives the video's length, in milliseconds, and what
    /// took the frames.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn end(mut self, at: u64) -> Result<(u64, K, S), K::Error> {
        let until = self.timeline.place(at);
        self.ticks(until)?;
        if let Some(since) = self.changed.take() {
            self.frame(since)?;
        }
        let last = self.last.map_or(0, |(at, _)| at);
        let length = until.max(last.saturating_add(LAST)).div_ceil(1000);
        Ok((length, self.sink, self.surface))
    }

    /// Frames so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// What stands now stands until then.
    fn stand(&mut self, until: u64) -> Result<(), K::Error> {
        if let Some(since) = self.changed {
            let age = self.last.map_or(u64::MAX, |(at, _)| until.saturating_sub(at));
            let stood = until.saturating_sub(since);
            let whole = !self.screen.is_updating() || stood >= UPDATE;
            if whole && (stood >= STANDS || (stood > 0 && age >= OLDEST)) {
                self.changed = None;
                self.frame(since)?;
            }
        }
        self.ticks(until)
    }

    /// The clock of the title bar.
    fn ticks(&mut self, until: u64) -> Result<(), K::Error> {
        while let Some((last, _)) = self.last.filter(|_| self.title.is_some()) {
            let next = last.saturating_add(CLOCK);
            if self.changed.is_some() || next.saturating_add(STANDS) > until {
                break;
            }
            if !self.frame(next)? {
                // Nothing to see: the bar has no room for a clock.
                self.last = self.last.map(|(_, given)| (next, given));
            }
        }
        Ok(())
    }

    fn frame(&mut self, at: u64) -> Result<bool, K::Error> {
        if let Some(title) = &mut self.title {
            title.show(self.timeline.back(at), &mut self.bar);
        }
        let drawn = self.stage.draw(&mut self.screen, &mut self.bar, &mut self.surface);
        if !drawn && self.last.is_some() {
            return Ok(false);
        }
        let given = match self.last {
            Some((_, given)) => (at / 1000).max(given.saturating_add(1)),
            // A video begins at 0, with what was there when it began.
            None => 0,
        };
        self.last = Some((at, given));
        self.frames += 1;
        self.sink.frame(given, &self.surface)?;
        Ok(true)
    }
}
