//! Events to frames: which screens a video shows, and when.
//!
//! A screen that stood for a sixtieth of a second is a frame. One that stood for less is
//! drawn over by the next, so that an update that came in pieces is not torn, unless there
//! was something new for a thirtieth: output that never rests is seen to move. So each screen
//! that stood for 40 ms or more is in the video.

use tidegate_screen::{Screen, Size};

use crate::draw::Surface;
use crate::draw::stage::Stage;
use crate::timeline::Timeline;
use crate::title::Title;

/// What stands at least this long is a frame.
const STANDS: u64 = 1_000_000 / 60;
/// The longest that something new is kept back while the screen changes all the time.
const KEPT_BACK: u64 = 1_000_000 / 30;
/// How long a program that draws (mode 2026) is waited for.
const UPDATE: u64 = 150_000;
/// The title bar's clock goes on this often while nothing else happens,
const CLOCK: u64 = 1_000_000;
/// and after so long without anything only this often.
const QUIET: u64 = 10 * CLOCK;
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
    /// When the screen came to look otherwise than the last frame, and when it did again.
    changed: Option<(u64, u64)>,
    /// The time of the last frame, in microseconds, and as it was given away.
    last: Option<(u64, u64)>,
    /// When something but the clock moved.
    moved: u64,
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
        Self {
            screen,
            bar,
            title,
            stage,
            surface,
            sink,
            timeline,
            changed: Some((0, 0)),
            last: None,
            moved: 0,
            frames: 0,
        }
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
            self.changed = Some((self.changed.map_or(until, |(first, _)| first), until));
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
        if let Some((_, since)) = self.changed.take() {
            self.moved = since;
            self.frame(since)?;
        }
        self.ticks(until)?;
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
        if let Some((first, since)) = self.changed {
            let (new, stood) = (until.saturating_sub(first), until.saturating_sub(since));
            let whole = !self.screen.is_updating() || new >= UPDATE;
            if whole && (stood >= STANDS || (stood > 0 && new >= KEPT_BACK)) {
                (self.changed, self.moved) = (None, since);
                self.frame(since)?;
            }
        }
        self.ticks(until)
    }

    /// The clock of the title bar.
    fn ticks(&mut self, until: u64) -> Result<(), K::Error> {
        while let Some((last, _)) = self.last.filter(|_| self.title.is_some()) {
            let quiet = last.saturating_sub(self.moved) >= QUIET;
            let next = last.saturating_add(if quiet { QUIET } else { CLOCK });
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::draw::picture::Picture;
    use crate::draw::stage::CursorStyle;
    use crate::draw::{Glyphs, Tiles, theme};
    use crate::fonts::Fonts;
    use crate::timeline::Pace;

    const SIZE: Size = Size { columns: 8, rows: 1 };

    #[derive(Default)]
    struct Frames(Vec<(u64, Picture)>);

    impl Sink<Picture> for Frames {
        type Error = Infallible;

        fn frame(&mut self, at: u64, picture: &Picture) -> Result<(), Infallible> {
            self.0.push((at, picture.clone()));
            Ok(())
        }
    }

    fn stage() -> Stage {
        let tiles = Tiles::new(Glyphs::new(Fonts::compiled_in()), 8);
        Stage::new(tiles, theme::DARK, CursorStyle::Program, SIZE, false)
    }

    /// What a screen looks like.
    fn look(text: &str) -> Picture {
        let mut stage = stage();
        let (width, height) = stage.pixels();
        let mut picture = Picture::new(width, height);
        stage.prepare(&mut picture);
        let (mut screen, mut bar) = (Screen::new(SIZE), stage.bar());
        screen.write(text.as_bytes());
        stage.draw(&mut screen, &mut bar, &mut picture);
        picture
    }

    fn frames(events: &[(u64, String)], end: u64) -> (u64, Vec<(u64, Picture)>) {
        let stage = stage();
        let (width, height) = stage.pixels();
        let timeline = Timeline::new(Pace { idle_limit: None, speed: 1.0, from: 0, to: None });
        let surface = Picture::new(width, height);
        let mut renderer = Renderer::new(stage, None, SIZE, timeline, surface, Frames::default());
        for (at, text) in events {
            let Ok(()) = renderer.change(*at, &Change::Output(text.as_bytes()));
        }
        let Ok((length, kept, _)) = renderer.end(end);
        (length, kept.0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn each_screen_that_stood_for_40_ms_is_shown_for_as_long_as_it_stood(
            pauses in proptest::collection::vec(0u64..120_000, 1..25),
        ) {
            let mut at = 0;
            let events: Vec<(u64, String)> = pauses
                .iter()
                .enumerate()
                .map(|(number, pause)| {
                    at += pause;
                    (at, format!("\r{number:03}"))
                })
                .collect();
            let (_, frames) = frames(&events, at + 1_000_000);
            prop_assert!(frames.is_sorted_by(|(one, _), (two, _)| one < two));
            for pair in events.windows(2) {
                let ((from, text), (until, _)) = (&pair[0], &pair[1]);
                if until - from >= 40_000 {
                    let middle = (from + until) / 2000;
                    let shown = frames.iter().rfind(|(at, _)| *at <= middle);
                    prop_assert!(shown.is_some_and(|(_, picture)| *picture == look(text)), "{text:?} at {from}");
                }
            }
            let last = frames.last().map(|(_, picture)| picture);
            prop_assert_eq!(last, Some(&look(&events[events.len() - 1].1)));
        }
    }

    #[test]
    fn an_update_in_pieces_is_one_frame() {
        let pieces = [(100_000, "\ra"), (101_000, "b"), (103_000, "c"), (110_000, "d")];
        let events = pieces.map(|(at, text)| (at, text.to_owned()));
        let (_, frames) = frames(&events, 2_000_000);
        let times: Vec<u64> = frames.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [0, 110]);
    }

    #[test]
    fn a_program_that_says_that_it_draws_is_waited_for_but_not_for_ever() {
        let begun = [(100_000, "\x1b[?2026hab"), (160_000, "c\x1b[?2026l")];
        let events = begun.map(|(at, text)| (at, text.to_owned()));
        let times = |frames: &[(u64, Picture)]| frames.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        assert_eq!(times(&frames(&events, 2_000_000).1), [0, 160]);
        let stuck = [(100_000, "\x1b[?2026hab"), (400_000, "c")].map(|(at, text)| (at, text.to_owned()));
        let shown = frames(&stuck, 2_000_000).1;
        assert_eq!(shown.len(), 3, "{:?}", times(&shown));
    }

    #[test]
    fn the_last_screen_is_there_for_half_a_second() {
        let (length, _) = frames(&[(700_000, "x".to_owned())], 700_000);
        assert_eq!(length, 1200);
        let (length, _) = frames(&[(700_000, "x".to_owned())], 5_000_000);
        assert_eq!(length, 5000);
    }
}
