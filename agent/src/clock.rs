//! The time.

use nix::time::{ClockId, clock_gettime};

use crate::core::Now;
use crate::paths::Paths;

/// The time now. Leases count on the clock that does not stop while the host sleeps.
#[must_use]
pub fn now() -> Now {
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
        seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000)
    });
    Now { boot, wall: jiff::Timestamp::now() }
}

/// Today, in days since 1970, as shadow(5) counts them.
#[must_use]
pub fn today() -> i64 {
    jiff::Timestamp::now().as_second().div_euclid(86_400)
}

/// Which boot this is; what counts from a boot means nothing after another.
#[must_use]
pub fn boot_id(paths: &Paths) -> String {
    let path = paths.proc.join("sys/kernel/random/boot_id");
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}
