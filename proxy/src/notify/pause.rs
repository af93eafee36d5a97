//! How long until a send is tried again.

use std::time::Duration;

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(3600);

/// The pause after so many tries: twice as long each time, an hour at most, and of that between
/// three quarters and all, by `random`, so that what failed together does not come together again.
pub(super) fn pause(first: Duration, tries: u32, random: u32) -> Duration {
    let doubled = 1u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
    let whole = first.saturating_mul(doubled).min(LONGEST);
    let quarter = whole / 4;
    whole - quarter.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_none_is_shorter_than_three_quarters() {
        let first = Duration::from_secs(20);
        let whole = |tries| pause(first, tries, 0).as_secs();
        assert_eq!(
            [whole(1), whole(2), whole(3), whole(8), whole(9), whole(4000)],
            [20, 40, 80, 2560, 3600, 3600]
        );
        for random in [1, u32::MAX / 2, u32::MAX] {
            let one = pause(first, 1, random);
            assert!(one >= Duration::from_secs(15) && one < first, "{one:?}");
        }
    }
}
