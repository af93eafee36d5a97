//! Ends by two clocks: the wall's, in which people agreed on them and which is set now and then, and
//! the steady one, which nobody sets. Who knows of an end waits for whichever says first that it is
//! there, so that a clock that is set back gives nobody more time than they were given.
//!
//! The steady clock stands while the machine sleeps; what was slept through, the wall's tells.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Who is in time is ended by the wall clock.
const LATE: Duration = Duration::from_secs(1);

/// As far as the clocks may come to be apart before one counts as set.
const APART: SignedDuration = SignedDuration::from_secs(5);

/// An end, and when it is there by the steady clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    end: Timestamp,
    /// None where that is too far to count.
    by: Option<Instant>,
}

impl Bound {
    /// Of an end at this moment; where that one or a later was known before, no later than it would have
    /// come then: only a later end is time that was given anew. An end that is found by the wall clock,
    /// as a slot's is, is an earlier one as that clock is set back.
    pub fn of(end: Timestamp, before: Option<Self>, now: Timestamp) -> Self {
        let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        let by = Instant::now().checked_add(left.saturating_add(LATE));
        let known = before.filter(|before| end <= before.end).and_then(|before| before.by);
        Self { end, by: [by, known].into_iter().flatten().min() }
    }

    /// The end by the wall clock.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// Whether it is there by the steady clock.
    pub fn is_over(&self) -> bool {
        self.by.is_some_and(|by| by <= Instant::now())
    }

    /// How long until it is.
    pub fn left(&self) -> Duration {
        self.by.map_or(Duration::MAX, |by| by.saturating_duration_since(Instant::now()))
    }
}

/// What both clocks said at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    wall: Timestamp,
    steady: Instant,
}

impl Clocks {
    /// The moment that the wall clock says is now.
    pub fn at(now: Timestamp) -> Self {
        Self { wall: now, steady: Instant::now() }
    }

    /// Whether the wall clock, which says this now, was set since, or the machine slept.
    pub fn is_set(&self, now: Timestamp) -> bool {
        let passed = SignedDuration::try_from(self.steady.elapsed()).unwrap_or(SignedDuration::MAX);
        now.duration_since(self.wall).checked_sub(passed).is_none_or(|apart| apart.abs() > APART)
    }
}
