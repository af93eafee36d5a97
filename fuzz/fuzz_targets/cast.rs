//! Any recording as events: ends, in order, and the same however the file is read.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use tidegate_common::recording::{Event, Recording, Standing};

/// Gives few bytes at a time.
struct Slowly<'a>(&'a [u8]);

impl Read for Slowly<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let most = out.len().min(7);
        self.0.read(&mut out[..most])
    }
}

fn all(input: impl Read) -> Option<(Vec<Event>, Option<Standing>)> {
    let mut recording = Recording::open(input, Some(Box::new(|_, _| true))).ok()?;
    let mut events: Vec<Event> = Vec::new();
    let good = loop {
        match recording.next_event() {
            Ok(Some(event)) => {
                assert!(events.last().is_none_or(|last| last.at <= event.at));
                events.push(event);
            }
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    assert!(matches!(recording.next_event(), Ok(None)));
    // After a mistake it depends on how far the file was read.
    Some((events, good.then(|| recording.standing())))
}

fuzz_target!(|bytes: &[u8]| {
    // A few bytes can say a gigabyte; how that ends the tests show.
    assert_eq!(all(bytes), all(Slowly(bytes)));
});
