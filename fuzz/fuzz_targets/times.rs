//! Lengths of time, times of the day, weekdays and zones.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_common::time::{Length, Slot, Weekday, Zone};

fuzz_target!(|text: &str| {
    if let Ok(length) = text.parse::<Length>() {
        assert_eq!(length.to_string().parse(), Ok(length));
    }
    if let Ok(slot) = text.parse::<Slot>() {
        assert_eq!(slot.to_string().parse::<Slot>().ok(), Some(slot));
    }
    if let Ok(day) = text.parse::<Weekday>() {
        assert_eq!(day.to_string().parse::<Weekday>().ok(), Some(day));
    }
    let _ = text.parse::<Zone>();
});
