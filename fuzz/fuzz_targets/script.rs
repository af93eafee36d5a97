//! The lines of a recording, and as asciicast 2 again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_common::recording::{Script, line_v2};

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new();
    let mut out = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        match script.line(line) {
            Ok(Some(said)) => line_v2(&said, &mut out),
            Ok(None) => {}
            Err(_) => return,
        }
    }
});
