//! Random numbers that are the same for the same seed, on every machine and with every
//! version of every crate: SplitMix64 (Steele, Lea, Flood 2014).

use std::time::Duration;

/// Dice of one round.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Of this round under this seed. No round's dice depend on those before it, so one
    /// round can be played alone.
    #[must_use]
    pub fn of(seed: u64, round: u64) -> Self {
        let mut dice = Self(seed ^ round.wrapping_mul(0xd1b5_4a32_d192_ed03));
        dice.roll();
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to this one, which it is not.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }

    /// Heads.
    pub fn coin(&mut self) -> bool {
        self.roll() & 1 == 1
    }

    /// One of them; `None` where there is none.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let place = self.below(u64::try_from(all.len()).unwrap_or_default());
        all.get(usize::try_from(place).unwrap_or_default())
    }

    /// A time between these milliseconds.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to.saturating_sub(from)))
    }
}
