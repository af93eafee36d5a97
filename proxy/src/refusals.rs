//! What is refused to peers that have not proved who they are. Each record is synced to the
//! disk, so a source has a few of its own in a minute; what is more is counted, and told in
//! one record when the minute is over.
//!
//! Bounded: so many records in all, and so many sources with a count of their own; the
//! others share one.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::audit::{Actor, Entry, Event, Notes};
use tokio::time::Instant;

use crate::audit_log::{AuditError, AuditLog};
use crate::origin;

/// For how long refusals are counted before the sum is told.
const SPAN: Duration = Duration::from_secs(60);
/// Records of one source in that time, and of all.
const EACH: u32 = 10;
const ALL: u32 = 300;
/// Sources with a count of their own.
const MOST_SOURCES: usize = 512;

/// What was refused to one source since the first of it.
struct Count {
    began: Instant,
    since: Timestamp,
    told: u32,
    more: BTreeMap<&'static str, u64>,
}

impl Count {
    fn new() -> Self {
        Self { began: Instant::now(), since: Timestamp::now(), told: 0, more: BTreeMap::new() }
    }

    fn is_over(&self) -> bool {
        self.began.elapsed() >= SPAN
    }

    fn sum(&self, source: Option<IpAddr>) -> Option<Entry> {
        if self.more.is_empty() {
            return None;
        }
        let refused = Notes::of(self.more.iter().map(|(what, count)| format!("{count} × {what}")));
        let event = Event::RefusalsSummedUp { since: self.since, refused };
        Some(event.by(Actor::Proxy).origin(source))
    }
}

#[derive(Default)]
struct Counts {
    /// None is for the sources beyond [`MOST_SOURCES`].
    sources: HashMap<Option<IpAddr>, Count>,
    /// Records in all, since then.
    all: Option<(Instant, u32)>,
}

impl Counts {
    /// Whether this one is told by itself; and the sums that are due first.
    fn count(&mut self, address: IpAddr, what: &'static str) -> (bool, Vec<Entry>) {
        let mut source = Some(origin::source(address));
        if !self.sources.contains_key(&source) && self.sources.len() >= MOST_SOURCES {
            source = None;
        }
        let count = self.sources.entry(source).or_insert_with(Count::new);
        let mut due = Vec::new();
        if count.is_over() {
            due.extend(count.sum(source));
            *count = Count::new();
        }
        let all = self.all.get_or_insert((Instant::now(), 0));
        if all.0.elapsed() >= SPAN {
            *all = (Instant::now(), 0);
        }
        let tells = count.told < EACH && all.1 < ALL;
        if tells {
            count.told += 1;
            all.1 += 1;
        } else {
            let more = count.more.entry(what).or_default();
            *more = more.saturating_add(1);
        }
        (tells, due)
    }

    /// Takes out what is over, or all.
    fn over(&mut self, all: bool) -> Vec<Entry> {
        let over = self.sources.extract_if(|_, count| all || count.is_over());
        over.filter_map(|(source, count)| count.sum(source)).collect()
    }
}

/// The log of refusals; clones share it.
#[derive(Clone)]
pub struct Refusals {
    audit: AuditLog,
    counts: Arc<Mutex<Counts>>,
}

impl Refusals {
    /// Into this log.
    pub fn new(audit: AuditLog) -> Self {
        Self { audit, counts: Arc::default() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the log that somebody at `address` was refused, by this record or in a sum of
    /// `what`.
    ///
    /// # Errors
    /// When the log can't be written.
    pub async fn tell(
        &self,
        address: IpAddr,
        what: &'static str,
        entry: impl Into<Entry>,
    ) -> Result<(), AuditError> {
        let (tells, due) = self.counts().count(address, what);
        for sum in due {
            self.audit.append(sum).await?;
        }
        if tells {
            self.audit.append(entry.into().origin(Some(address))).await?;
        }
        Ok(())
    }

    /// Tells the sums of what is over, or of all.
    pub async fn sum_up(&self, all: bool) {
        let over = self.counts().over(all);
        for sum in over {
            let text = sum.event.to_string();
            if let Err(error) = self.audit.append(sum).await {
                tracing::error!(%error, "not logged: {text}");
            }
        }
    }

    /// Tells each sum soon after its minute, for ever.
    pub async fn keep_summing(&self) {
        let mut beat = tokio::time::interval(SPAN / 4);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            self.sum_up(false).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_common::audit::Note;

    use super::*;
    use crate::testing::World;

    fn refused() -> Event {
        Event::TokenRefused { why: Note::new("unknown") }
    }

    async fn told(audit: &AuditLog) -> Vec<String> {
        audit.last(10_000).await.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn a_sources_refusals_are_told_one_by_one_and_then_in_one_sum() {
        let world = World::bare().await;
        let audit = world.audit.clone();
        let refusals = Refusals::new(audit.clone());
        // One host, by all the addresses that it has.
        for number in 0..1000u128 {
            let address = IpAddr::V6((0x2001_0db8u128 << 96 | number).into());
            refusals.tell(address, "tokens", refused()).await.unwrap();
        }
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        refusals.tell(other, "tokens", refused()).await.unwrap();
        refusals.sum_up(false).await;
        let before = told(&audit).await;
        assert_eq!(before.len(), 11, "{before:#?}");
        assert!(before[10].contains("from 192.0.2.1"), "{before:#?}");
        refusals.sum_up(true).await;
        refusals.sum_up(true).await;
        let after = told(&audit).await;
        assert_eq!(after.len(), 12, "{after:#?}");
        assert!(after[11].contains("from 2001:db8::") && after[11].contains("990 × tokens"), "{}", after[11]);
    }

    #[test]
    fn many_sources_share_one_count_and_one_bound() {
        let mut counts = Counts::default();
        let mut one_by_one = 0;
        for number in 0..20_000u32 {
            let (tells, due) = counts.count(IpAddr::V4(number.into()), "tokens");
            one_by_one += usize::from(tells);
            assert!(due.is_empty());
        }
        assert_eq!(one_by_one, usize::try_from(ALL).unwrap());
        assert_eq!(counts.sources.len(), MOST_SOURCES + 1);
        let sums = counts.over(true);
        assert!(sums.len() <= MOST_SOURCES + 1 && counts.sources.is_empty());
        let shared = sums.iter().find(|sum| sum.origin.is_none()).unwrap();
        assert!(shared.event.to_string().contains("19488 × tokens"), "{}", shared.event);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_has_records_of_its_own_again_when_its_minute_is_over() {
        let mut counts = Counts::default();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let mut tells = |times: usize| (0..times).filter(|_| counts.count(address, "tokens").0).count();
        assert_eq!(tells(20), 10);
        tokio::time::advance(SPAN - Duration::from_millis(1)).await;
        assert_eq!(tells(1), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        let (tells, due) = counts.count(address, "tokens");
        assert!(tells);
        assert!(due[0].event.to_string().contains("11 × tokens"), "{}", due[0].event);
    }
}
