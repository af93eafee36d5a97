//! What the tests share.

use std::path::PathBuf;

use tidegate_tests::device;

/// Where this run's devices live.
pub fn base() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fleet")
}

/// Says SKIPPED and why, where a device cannot be booted.
pub fn skipped(test: &str) -> bool {
    match device::possible() {
        Ok(()) => false,
        Err(why) => {
            eprintln!("SKIPPED {test}: {why}");
            true
        }
    }
}

/// Returns from the test where a device cannot be booted.
#[macro_export]
macro_rules! needs_devices {
    () => {
        if $crate::support::skipped(module_path!()) {
            return;
        }
    };
}
