//! A recording to the file of its video, with chapters and subtitles: what the encoder is given by
//! a recording that a stranger made, it takes.
#![no_main]

mod frames;

use std::fs::File;

use libfuzzer_sys::fuzz_target;
use tidegate_screen::Size;
use tidegate_video::encode::{self, Codec, Settings};
use tidegate_video::survey::Survey;

/// Encoding is slow: enough to come back to a frame that was used before.
const FRAMES: u64 = 12;

/// An empty file that is in memory only.
fn file() -> File {
    let path = format!("/dev/shm/tidegate-fuzz-{}", std::process::id());
    let mut open = File::options();
    let file = open.read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

fuzz_target!(|bytes: &[u8]| {
    encode::prepare();
    let begin = |found: &Survey, width, height| {
        let settings = Settings {
            codec: Codec::H264,
            width,
            height,
            quality: 30,
            metadata: vec![("title".to_owned(), found.head.title.clone().unwrap_or_default())],
            marks: found.marks.clone(),
            length: found.length / 1000,
        };
        encode::start(file(), &settings).unwrap()
    };
    let most = Size { columns: 24, rows: 6 };
    let Some((length, sink)) = frames::of(bytes, most, FRAMES, begin) else { return };
    assert!(sink.finish(length).unwrap() > 0);
});
