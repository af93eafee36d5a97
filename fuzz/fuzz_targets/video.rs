//! A recording to the frames of its video: all but the encoder, which is not ours.
#![no_main]

use std::convert::Infallible;

use libfuzzer_sys::fuzz_target;
use tidegate_common::recording::{Recording, What};
use tidegate_screen::Size;
use tidegate_video::draw::planes::Planes;
use tidegate_video::draw::stage::{CursorStyle, Stage};
use tidegate_video::draw::{Glyphs, Tiles, theme};
use tidegate_video::fonts::Fonts;
use tidegate_video::render::{Change, Renderer, Sink};
use tidegate_video::survey::{micros, survey};
use tidegate_video::timeline::{Pace, Timeline};

struct Times(Option<u64>);

impl Sink<Planes> for Times {
    type Error = Infallible;

    fn frame(&mut self, at: u64, _: &Planes) -> Result<(), Infallible> {
        assert!(self.0.is_none_or(|last| last < at));
        self.0 = Some(at);
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let pace = Pace { idle_limit: Some(2_000_000), speed: 1.0, from: 0, to: None };
    let Ok(recording) = Recording::open(bytes, None) else { return };
    let Ok(found) = survey(recording, &pace) else { return };
    let canvas = Size { columns: found.largest.columns.min(120), rows: found.largest.rows.min(50) };
    let tiles = Tiles::new(Glyphs::new(Fonts::compiled_in()), 6);
    let stage = Stage::new(tiles, theme::DARK, CursorStyle::Program, canvas, true);
    let (width, height) = stage.pixels();
    let surface = Planes::new(width, height);
    let mut renderer = Renderer::new(stage, None, found.first, Timeline::new(pace), surface, Times(None));
    let Ok(mut recording) = Recording::open(bytes, None) else { return };
    while let Ok(Some(event)) = recording.next_event() {
        let Ok(()) = match event.what {
            What::Output(text) => renderer.change(micros(event.at), &Change::Output(text.as_bytes())),
            What::Resize(size) => {
                renderer.change(micros(event.at), &Change::Resize(Size::bounded(size.cols, size.rows)))
            }
            _ => Ok(()),
        };
    }
    let Ok((length, last, _)) = renderer.end(found.end);
    assert!(last.0.is_some_and(|last| last <= length));
});
