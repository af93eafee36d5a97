//! Audit records as the store and their copies hold them. What reads is written the
//! same way again, and shown in one line that moves no cursor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_common::audit::Record;

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = serde_json::from_slice::<Record>(bytes) else { return };
    let Ok(written) = serde_json::to_vec(&record) else { return };
    match serde_json::from_slice::<Record>(&written) {
        Ok(again) => assert_eq!(again, record),
        Err(error) => panic!("{error}"),
    }
});
