//! How much one enrolled agent may have written down in an hour. Its host may be hostile, and
//! the log and the store are the fleet's.
//!
//! What is due is never counted: a session that the gate itself ordered has room for its one
//! end, also when everything else of its device is spent. What is more than the budget is
//! counted and told in one record when the hour is over; meanwhile `agent list` tells it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::audit::Notes;
use tidegate_common::id::SessionId;
use tidegate_common::name::DeviceName;
use tokio::time::Instant;

/// What budgets are for.
const SPAN: Duration = Duration::from_secs(3600);
/// Records of one device that are not due.
const RECORDS: u32 = 1000;
/// Bytes of what kernels saw in sessions that are over; several times what an agent keeps
/// while it has no link.
const PAST: u64 = 64 << 20;
/// Sessions of which something is due, in an hour.
const MOST_DUE: usize = 1 << 17;
/// Connections of one device that have not become its link yet.
const MOST_LINKING: usize = 4;
/// How long a link waits after what is over its budget.
const BRAKE: Duration = Duration::from_secs(1);

/// One device's hour.
struct Hour {
    began: Instant,
    since: Timestamp,
    records: u32,
    past: u64,
    due: HashSet<(SessionId, &'static str)>,
    more: BTreeMap<&'static str, u64>,
}

/// What one device had to tell beyond its budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) device: DeviceName,
    pub(super) since: Timestamp,
    pub(super) more: BTreeMap<&'static str, u64>,
}

impl Sum {
    /// How often in all.
    pub(super) fn count(&self) -> u64 {
        count(&self.more)
    }

    /// One by one, for the log.
    pub(super) fn notes(&self) -> Notes {
        Notes::of(self.more.iter().map(|(what, count)| format!("{count} × {what}")))
    }
}

fn count(more: &BTreeMap<&'static str, u64>) -> u64 {
    more.values().fold(0, |sum, count| sum.saturating_add(*count))
}

impl Hour {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            since: Timestamp::now(),
            records: 0,
            past: 0,
            due: HashSet::new(),
            more: BTreeMap::new(),
        }
    }

    fn is_over(&self) -> bool {
        self.began.elapsed() >= SPAN
    }

    fn sum(self, device: DeviceName) -> Option<Sum> {
        let Self { since, more, .. } = self;
        (!more.is_empty()).then_some(Sum { device, since, more })
    }

    fn count(&mut self, what: &'static str) {
        let more = self.more.entry(what).or_default();
        *more = more.saturating_add(1);
    }
}

#[derive(Default)]
struct State {
    hours: HashMap<DeviceName, Hour>,
    /// Sums of hours that are over, which nobody has told yet.
    over: Vec<Sum>,
    linking: HashMap<DeviceName, usize>,
}

/// A connection that is about to become its device's link; given back when dropped.
pub(super) struct Linking {
    budgets: Budgets,
    device: DeviceName,
}

impl Drop for Linking {
    fn drop(&mut self) {
        let mut state = self.budgets.state();
        if let Some(count) = state.linking.get_mut(&self.device) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.linking.remove(&self.device);
            }
        }
    }
}

impl State {
    fn hour(&mut self, device: &DeviceName) -> &mut Hour {
        if self.hours.get(device).is_some_and(Hour::is_over) {
            let sum = self.hours.remove(device).and_then(|hour| hour.sum(device.clone()));
            self.over.extend(sum);
        }
        self.hours.entry(device.clone()).or_insert_with(Hour::new)
    }
}

/// The budgets of all devices; clones share them.
#[derive(Clone)]
pub struct Budgets {
    records: u32,
    brake: Duration,
    state: Arc<Mutex<State>>,
}

impl Default for Budgets {
    fn default() -> Self {
        Self::new(RECORDS, BRAKE)
    }
}

impl Budgets {
    /// So many records for each device and hour, and so long a wait after each that is more.
    pub(super) fn new(records: u32, brake: Duration) -> Self {
        Self { records, brake, state: Arc::default() }
    }

    /// Has a link wait that is over its budget.
    pub(super) async fn brake(&self) {
        tokio::time::sleep(self.brake).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one more connection that is to become the device's link.
    pub(super) fn link(&self, device: &DeviceName) -> Option<Linking> {
        let mut state = self.state();
        let count = state.linking.entry(device.clone()).or_default();
        if *count >= MOST_LINKING {
            return None;
        }
        *count += 1;
        Some(Linking { budgets: self.clone(), device: device.clone() })
    }

    /// Room for one more record of a device; none is counted as `what`.
    pub(super) fn spend(&self, device: &DeviceName, what: &'static str) -> bool {
        let mut state = self.state();
        let hour = state.hour(device);
        let room = hour.records < self.records;
        if room {
            hour.records += 1;
        } else {
            hour.count(what);
        }
        room
    }

    /// Room for what is due of a session: the first time in an hour it costs nothing.
    pub(super) fn due(&self, device: &DeviceName, session: SessionId, what: &'static str) -> bool {
        let mut state = self.state();
        let hour = state.hour(device);
        if hour.due.len() < MOST_DUE && hour.due.insert((session, what)) {
            return true;
        }
        drop(state);
        self.spend(device, what)
    }

    /// Room for so many bytes of what a kernel saw in a session that is over.
    pub(super) fn past(&self, device: &DeviceName, bytes: u64) -> bool {
        let mut state = self.state();
        let hour = state.hour(device);
        let sum = hour.past.saturating_add(bytes);
        let room = sum <= PAST;
        if room {
            hour.past = sum;
        } else {
            hour.count("commands of sessions that are over");
        }
        room
    }

    /// How much a device had to tell in this hour that was only counted.
    pub fn more(&self, device: &DeviceName) -> u64 {
        let state = self.state();
        let told = state.over.iter().filter(|sum| sum.device == *device).map(Sum::count);
        let now = state.hours.get(device).map_or(0, |hour| count(&hour.more));
        told.fold(now, u64::saturating_add)
    }

    /// Takes the sums of the hours that are over out, or of all.
    pub(super) fn take_sums(&self, all: bool) -> Vec<Sum> {
        let mut state = self.state();
        let over = state.hours.extract_if(|_, hour| all || hour.is_over());
        let mut sums: Vec<Sum> = over.filter_map(|(device, hour)| hour.sum(device)).collect();
        sums.append(&mut state.over);
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn db01() -> DeviceName {
        "db01".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_the_budget_is_counted_until_the_hour_is_over() {
        let budgets = Budgets::new(3, BRAKE);
        let other: DeviceName = "db02".parse().unwrap();
        let spent = |times: usize| (0..times).filter(|_| budgets.spend(&db01(), "lies")).count();
        assert_eq!(spent(10), 3);
        assert!(budgets.spend(&other, "lies"), "another's budget is its own");
        assert_eq!((budgets.more(&db01()), budgets.more(&other)), (7, 0));
        assert!(budgets.take_sums(false).is_empty());
        tokio::time::advance(SPAN).await;
        assert_eq!(spent(1), 1);
        assert_eq!(budgets.more(&db01()), 7, "nobody has told it yet");
        let sums = budgets.take_sums(false);
        assert_eq!(sums.len(), 1, "{sums:?}");
        assert_eq!((sums[0].count(), sums[0].device.clone()), (7, db01()));
        assert_eq!(budgets.more(&db01()), 0);
    }

    #[tokio::test]
    async fn what_is_due_has_room_once_whatever_else_was_told() {
        let budgets = Budgets::new(1, BRAKE);
        assert!(budgets.spend(&db01(), "lies") && !budgets.spend(&db01(), "lies"));
        for number in 0..5 {
            assert!(budgets.due(&db01(), SessionId::new(1, number), "ends"));
            assert!(!budgets.due(&db01(), SessionId::new(1, number), "ends"), "it was told");
            assert!(budgets.due(&db01(), SessionId::new(1, number), "what stands"));
        }
    }

    #[test]
    fn a_device_has_few_connections_that_are_no_link_yet_and_room_again_when_they_are_gone() {
        let budgets = Budgets::default();
        let mut linking: Vec<_> = (0..MOST_LINKING).map(|_| budgets.link(&db01()).unwrap()).collect();
        assert!(budgets.link(&db01()).is_none());
        assert!(budgets.link(&"db02".parse().unwrap()).is_some(), "another's are its own");
        linking.pop();
        assert!(budgets.link(&db01()).is_some());
        linking.clear();
        assert!(budgets.state().linking.is_empty());
    }

    #[tokio::test]
    async fn sessions_that_are_over_share_so_many_bytes() {
        let budgets = Budgets::default();
        assert!(budgets.past(&db01(), PAST - 1) && budgets.past(&db01(), 1));
        assert!(!budgets.past(&db01(), 1));
        assert_eq!(budgets.more(&db01()), 1);
    }
}
