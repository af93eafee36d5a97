//! For how long access may be asked for, by a request or as a remote access, and whether it opens then.

use std::time::Duration;

use jiff::Timestamp;

use super::Limits;
use crate::time::{Length, Window};

/// What can be asked for at least, and at most; an approver may shorten it further.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Why nobody asks for such a time, of a request or of a remote access.
#[derive(Debug, thiserror::Error)]
pub enum NoTime {
    /// Shorter than anybody works, or longer than anybody plans.
    #[error("a request is for a minute at least and for 366 days at most; ask for a duration between these")]
    Duration,
    /// Its days and times are none of its window's.
    #[error("it is wanted for {limits}, which does not come before its end at {end}; ask for longer")]
    NeverOpen {
        /// Which days and times.
        limits: Box<Limits>,
        /// When it would end.
        end: Timestamp,
    },
}

/// Whether it is a duration that somebody may ask for. An emergency is cut to what its group gives
/// instead, so that nobody is turned away.
#[must_use]
pub fn can_be_asked(length: Length) -> bool {
    (SHORTEST..=LONGEST).contains(&length.approximate())
}

/// Whether the days and times that are asked for come at all while a window lasts.
///
/// # Errors
/// When they do not.
pub fn comes(limits: &Limits, window: Window) -> Result<(), NoTime> {
    let opens = limits.opens(window.start).is_some_and(|opens| opens < window.end);
    if !limits.has_times() || limits.is_open(window.start) || opens {
        return Ok(());
    }
    let limits = Box::new(Limits { sessions: None, ..limits.clone() });
    Err(NoTime::NeverOpen { limits, end: window.end })
}
