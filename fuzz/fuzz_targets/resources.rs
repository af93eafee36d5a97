//! The TOML of `apply`. What reads prints, and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_common::model::Resources;

fuzz_target!(|text: &str| {
    let Ok(read) = Resources::read(text) else { return };
    let Ok(printed) = read.to_toml() else { return };
    match Resources::read(&printed) {
        Ok(again) => assert!(again == read, "{printed}"),
        Err(mistakes) => panic!("{mistakes}\n{printed}"),
    }
});
