//! From the time of a recording to the time of its video. All times are microseconds.

/// A pause longer than this counts as this long: clocks that leap are no reason for a video
/// of years.
pub const LONGEST_PAUSE: u64 = 24 * 3600 * 1_000_000;

/// The longest video.
pub const LONGEST: u64 = 7 * LONGEST_PAUSE;

/// What is asked for of a recording's time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// A pause that is longer is cut to this.
    pub idle_limit: Option<u64>,
    /// How many times faster; more than 0.
    pub speed: f64,
    /// What was before is not shown.
    pub from: u64,
    /// What comes after is not shown.
    pub to: Option<u64>,
}

/// Turns one time into the other, for events in their order.
#[derive(Debug, Clone)]
pub struct Timeline {
    pace: Pace,
    /// The last event that could be seen, in both times.
    seen: u64,
    shown: u64,
    /// Pauses that were cut because they were beyond [`LONGEST_PAUSE`].
    cut: bool,
}

impl Timeline {
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, seen: pace.from, shown: 0, cut: false }
    }

    /// When something of the recording's time `at` is in the video.
    #[must_use]
    pub fn place(&self, at: u64) -> u64 {
        let pause = at.saturating_sub(self.seen).min(LONGEST_PAUSE);
        let pause = self.pace.idle_limit.map_or(pause, |limit| pause.min(limit));
        self.shown.saturating_add((pause as f64 / self.pace.speed).round() as u64)
    }

    /// The same for what may change the screen; pauses count from here on.
    pub fn advance(&mut self, at: u64) -> u64 {
        self.cut |= at.saturating_sub(self.seen) > LONGEST_PAUSE;
        self.shown = self.place(at);
        self.seen = self.seen.max(at);
        self.shown
    }

    /// The recording's time at a time of the video that is not before the last event's.
    #[must_use]
    pub fn back(&self, shown: u64) -> u64 {
        let since = shown.saturating_sub(self.shown) as f64 * self.pace.speed;
        self.seen.saturating_add(since as u64)
    }

    /// Whether that time is before what is asked for.
    #[must_use]
    pub fn is_before(&self, at: u64) -> bool {
        at < self.pace.from
    }

    /// Whether that time is after what is asked for.
    #[must_use]
    pub fn is_after(&self, at: u64) -> bool {
        self.pace.to.is_some_and(|to| at > to)
    }

    /// Whether a pause was longer than any can be.
    #[must_use]
    pub fn was_cut(&self) -> bool {
        self.cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const PACE: Pace = Pace { idle_limit: None, speed: 1.0, from: 0, to: None };

    #[test]
    fn without_wishes_both_times_are_the_same() {
        let mut timeline = Timeline::new(PACE);
        assert_eq!(timeline.advance(3 * SECOND), 3 * SECOND);
        assert_eq!(timeline.place(4 * SECOND), 4 * SECOND);
        assert_eq!(timeline.advance(3600 * SECOND), 3600 * SECOND);
    }

    #[test]
    fn a_pause_is_cut_between_what_can_be_seen_whatever_else_is_in_it() {
        let mut timeline = Timeline::new(Pace { idle_limit: Some(2 * SECOND), ..PACE });
        assert_eq!(timeline.advance(SECOND), SECOND);
        assert_eq!(timeline.place(60 * SECOND), 3 * SECOND);
        assert_eq!(timeline.place(90 * SECOND), 3 * SECOND);
        assert_eq!(timeline.advance(100 * SECOND), 3 * SECOND);
        assert_eq!(timeline.advance(101 * SECOND), 4 * SECOND);
    }

    #[test]
    fn speed_divides_and_is_found_back() {
        let mut timeline = Timeline::new(Pace { speed: 4.0, ..PACE });
        assert_eq!(timeline.advance(8 * SECOND), 2 * SECOND);
        assert_eq!(timeline.back(3 * SECOND), 12 * SECOND);
    }

    #[test]
    fn a_video_begins_where_it_is_asked_to() {
        let mut timeline = Timeline::new(Pace { from: 10 * SECOND, to: Some(20 * SECOND), ..PACE });
        assert!(timeline.is_before(9 * SECOND) && !timeline.is_before(10 * SECOND));
        assert_eq!(timeline.advance(12 * SECOND), 2 * SECOND);
        assert!(!timeline.is_after(20 * SECOND) && timeline.is_after(20 * SECOND + 1));
    }

    #[test]
    fn times_that_go_back_or_leap_by_years_stay_in_order_and_in_bounds() {
        let mut timeline = Timeline::new(PACE);
        assert_eq!(timeline.advance(50 * SECOND), 50 * SECOND);
        assert_eq!(timeline.advance(20 * SECOND), 50 * SECOND);
        assert!(!timeline.was_cut());
        assert_eq!(timeline.advance(u64::MAX), 50 * SECOND + LONGEST_PAUSE);
        assert!(timeline.was_cut());
    }
}
