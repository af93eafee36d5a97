//! How often one connection may be refused something: each refusal is a record of the
//! audit log, and a peer that goes on asking would fill it.

use std::time::{Duration, Instant};

/// Allowance at once: a browser behind `ssh -D` opens dozens for a page.
const MOST: u32 = 1024;
/// After so long, one more.
const PAUSE: Duration = Duration::from_millis(250);

/// What one connection has left.
#[derive(Debug)]
pub struct Allowance {
    left: u32,
    since: Instant,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: MOST, since: Instant::now() }
    }
}

impl Allowance {
    /// Takes one; `false` when none is left.
    pub fn take(&mut self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&mut self, now: Instant) -> bool {
        let pauses = now.saturating_duration_since(self.since).as_millis() / PAUSE.as_millis();
        let back = u32::try_from(pauses).unwrap_or(u32::MAX);
        if back > 0 {
            self.left = self.left.saturating_add(back).min(MOST);
            self.since = now;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_asks_without_end_has_none_left_and_one_that_rests_has_again() {
        let start = Instant::now();
        let mut allowance = Allowance { left: MOST, since: start };
        let taken = (0..2 * MOST).take_while(|_| allowance.take_at(start)).count();
        assert_eq!(taken, MOST as usize);
        assert!(!allowance.take_at(start + PAUSE / 2));
        assert!(allowance.take_at(start + PAUSE * 3));
        assert!(allowance.take_at(start + PAUSE * 3));
        assert!(allowance.take_at(start + PAUSE * 3));
        assert!(!allowance.take_at(start + PAUSE * 3));
        assert!(allowance.take_at(start + PAUSE * (MOST + 10)));
    }
}
