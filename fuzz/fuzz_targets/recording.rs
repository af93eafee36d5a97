//! A recording's file: frames, chain and end, whole and in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_common::recording::{Reader, verify};

fuzz_target!(|bytes: &[u8]| {
    let whole = verify(bytes, |_, _| true);
    let _ = verify(bytes, |_, _| false);
    let mut reader = Reader::new();
    for piece in bytes.chunks(7) {
        reader.feed(piece);
        loop {
            match reader.next_part() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    let _ = (whole, reader.cut());
});
