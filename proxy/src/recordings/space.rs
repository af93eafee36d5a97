//! Room on the disks. Below the first floor no session begins, and those that write so much
//! that the room would not last end, the largest first; small ones go on. The second, the
//! reserve, no recording may touch: it is the audit log's and the console's.
//!
//! Recordings, the store and the audit log's copy may be on different file systems; the one
//! with the least room counts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::RecordError;
use super::recorder::Inner;

/// How long what is above the reserve has to last as sessions write now.
const LASTS: Duration = Duration::from_secs(600);
/// What a recording wrote so long ago counts for a third.
const RECENT: Duration = Duration::from_secs(10);

/// How much must stay free, and where.
#[derive(Debug, Clone)]
pub struct Floors {
    /// No session begins, and none may write much, when less is free, in bytes.
    pub floor: u64,
    /// Nothing is recorded when less is free, in bytes.
    pub reserve: u64,
    /// Places on all file systems that count.
    pub places: Vec<PathBuf>,
}

/// Where the least is free, and how much, in bytes.
pub struct Least<'a> {
    pub dir: &'a Path,
    pub free: u64,
}

impl Floors {
    /// Which of the places has the least room.
    pub fn least(&self) -> io::Result<Least<'_>> {
        let mut least: Option<Least<'_>> = None;
        for dir in &self.places {
            let space = nix::sys::statvfs::statvfs(dir)?;
            let free = space.blocks_available().saturating_mul(space.fragment_size());
            if least.as_ref().is_none_or(|least| free < least.free) {
                least = Some(Least { dir, free });
            }
        }
        least.ok_or_else(|| io::Error::other("no place is known to look at"))
    }

    /// Whether a session may begin.
    pub fn may_begin(&self) -> Result<(), RecordError> {
        let failed = |source| RecordError::Unknown { source };
        let Least { dir, free } = self.least().map_err(failed)?;
        if free >= self.floor {
            return Ok(());
        }
        Err(RecordError::Space { dir: dir.to_owned(), free: free >> 20, floor: self.floor >> 20 })
    }

    /// Whether so many bytes may be written.
    pub fn may_write(&self, bytes: usize) -> Result<(), RecordError> {
        let failed = |source| RecordError::Unknown { source };
        let Least { dir, free } = self.least().map_err(failed)?;
        if free.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX)) >= self.reserve {
            return Ok(());
        }
        let (free, reserve) = (free >> 20, self.reserve >> 20);
        Err(RecordError::Reserve { dir: dir.to_owned(), free, reserve })
    }

    /// Ends what writes so much that the room would not last.
    pub(super) fn relieve(&self, live: impl Iterator<Item = Arc<Inner>>) {
        let Ok(Least { dir, free }) = self.least() else { return };
        if free >= self.floor {
            return;
        }
        let now = Instant::now();
        let rated = |one: Arc<Inner>| {
            let rate = one.growth().rate(now);
            (rate, one)
        };
        let mut writing: Vec<_> = live.filter(|one| !one.must_end()).map(rated).collect();
        writing.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let rates: Vec<f64> = writing.iter().map(|(rate, _)| *rate).collect();
        let over = writing.split_off(sustainable(&rates, free.saturating_sub(self.reserve)));
        for (_, one) in over.into_iter().rev() {
            one.end_because(format!(
                "the disk of {} fills up ({} MiB are free) and this session is among those that write most \
                 to it, so the session ends",
                dir.display(),
                free >> 20
            ));
        }
    }
}

/// How many of these, the smallest first, may go on writing, in bytes a second, with so much
/// room.
fn sustainable(rates: &[f64], room: u64) -> usize {
    let most = room as f64 / LASTS.as_secs_f64();
    let mut sum = 0.0;
    let fits = rates.iter().take_while(|rate| {
        sum += **rate;
        sum <= most
    });
    fits.count()
}

/// How fast a recording grows: what it wrote lately.
#[derive(Debug)]
pub struct Growth {
    bytes: f64,
    at: Instant,
}

impl Growth {
    pub fn new() -> Self {
        Self { bytes: 0.0, at: Instant::now() }
    }

    fn fade(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.at).as_secs_f64() / RECENT.as_secs_f64();
        self.bytes * (-age).exp()
    }

    /// It wrote so much.
    pub fn add(&mut self, bytes: usize, now: Instant) {
        self.bytes = self.fade(now) + bytes as f64;
        self.at = now;
    }

    /// In bytes a second.
    pub fn rate(&self, now: Instant) -> f64 {
        self.fade(now) / RECENT.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_over_and_the_small_ones_go_on_while_their_sum_lasts() {
        // 600 MiB last ten minutes at 1 MiB a second.
        let room = 600 << 20;
        let mib = f64::from(1 << 20);
        assert_eq!(sustainable(&[0.0, 1000.0, 40.0 * mib], room), 2);
        assert_eq!(sustainable(&[0.4 * mib, 0.5 * mib, 0.6 * mib], room), 2);
        assert_eq!(sustainable(&[1.0, 2.0], 0), 0);
        assert_eq!(sustainable(&[0.0, 0.0], 0), 2);
    }

    #[test]
    fn what_was_written_long_ago_counts_no_more() {
        let start = Instant::now();
        let mut growth = Growth { bytes: 0.0, at: start };
        for second in 0..60 {
            growth.add(1000, start + Duration::from_secs(second));
        }
        let now = start + Duration::from_secs(60);
        assert!((900.0..1100.0).contains(&growth.rate(now)), "{}", growth.rate(now));
        assert!(growth.rate(now + RECENT * 6) < 5.0);
    }
}
