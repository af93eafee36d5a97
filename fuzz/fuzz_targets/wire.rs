//! Frames between proxy and agent, in both directions and in any pieces. What decodes
//! comes back from its own encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_common::wire::{Decoder, FromAgent, FromProxy, encode};

fuzz_target!(|bytes: &[u8]| {
    let mut whole = Decoder::default();
    whole.feed(bytes);
    let mut first = Vec::new();
    while let Ok(Some(message)) = whole.message::<FromAgent>() {
        first.push(format!("{message:?}"));
        let Ok(frame) = encode(&message) else { continue };
        let mut again = Decoder::default();
        again.feed(&frame);
        assert!(matches!(again.message::<FromAgent>(), Ok(Some(_))));
    }
    let mut pieces = Decoder::default();
    let mut second = Vec::new();
    'all: for byte in bytes.chunks(3) {
        pieces.feed(byte);
        loop {
            match pieces.message::<FromAgent>() {
                Ok(Some(message)) => second.push(format!("{message:?}")),
                Ok(None) => break,
                Err(_) => break 'all,
            }
        }
    }
    assert_eq!(first, second);
    let mut other = Decoder::default();
    other.feed(bytes);
    while let Ok(Some(_)) = other.message::<FromProxy>() {}
});
