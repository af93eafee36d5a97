//! A recording to its frames, as the worker of tidegate-video draws them.

use tidegate_common::recording::{Recording, What};
use tidegate_screen::Size;
use tidegate_video::draw::planes::Planes;
use tidegate_video::draw::stage::{CursorStyle, Stage};
use tidegate_video::draw::{Glyphs, Tiles, theme};
use tidegate_video::fonts::Fonts;
use tidegate_video::render::{Change, Renderer, Sink};
use tidegate_video::survey::{Survey, micros, survey};
use tidegate_video::timeline::{Pace, Timeline};

/// Gives `begin`'s sink the frames of a recording, drawn on `most` at most, and no more than so
/// many; then the video's length and the sink. None where it is no recording.
pub fn of<S: Sink<Planes>>(
    bytes: &[u8],
    most: Size,
    frames: u64,
    begin: impl FnOnce(&Survey, usize, usize) -> S,
) -> Option<(u64, S)>
where
    S::Error: std::fmt::Debug,
{
    let pace = Pace { idle_limit: Some(2_000_000), speed: 1.0, from: 0, to: None };
    let found = survey(Recording::open(bytes, None).ok()?, &pace).ok()?;
    let columns = found.largest.columns.min(most.columns);
    let canvas = Size { columns, rows: found.largest.rows.min(most.rows) };
    let tiles = Tiles::new(Glyphs::new(Fonts::compiled_in()), 6);
    let stage = Stage::new(tiles, theme::DARK, CursorStyle::Program, canvas, true);
    let (width, height) = stage.pixels();
    let sink = begin(&found, width, height);
    let surface = Planes::new(width, height);
    let mut renderer = Renderer::new(stage, None, found.first, Timeline::new(pace), surface, sink);
    let mut recording = Recording::open(bytes, None).ok()?;
    while let Ok(Some(event)) = recording.next_event()
        && renderer.frames() < frames
    {
        let at = micros(event.at);
        match event.what {
            What::Output(text) => renderer.change(at, &Change::Output(text.as_bytes())).unwrap(),
            What::Resize(size) => {
                renderer.change(at, &Change::Resize(Size::bounded(size.cols, size.rows))).unwrap();
            }
            _ => {}
        }
    }
    let (length, sink, _) = renderer.end(found.end).unwrap();
    Some((length, sink))
}
