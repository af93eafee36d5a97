//! A recording to the frames of its video: all but the encoder, which is not ours.
#![no_main]

mod frames;

use std::convert::Infallible;

use libfuzzer_sys::fuzz_target;
use tidegate_screen::Size;
use tidegate_video::draw::planes::Planes;
use tidegate_video::render::Sink;

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
    let most = Size { columns: 120, rows: 50 };
    let Some((length, last)) = frames::of(bytes, most, u64::MAX, |_, _, _| Times(None)) else { return };
    assert!(last.0.is_some_and(|last| last <= length));
});
