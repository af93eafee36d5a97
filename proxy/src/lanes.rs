//! The threads that serve connections, one for each processor. All tasks of a
//! connection live on the lane that it was given: both SSH legs, the relays between
//! them, the session. What passes from one to the other wakes no other thread, which
//! is most of what a key would cost.
//!
//! A lane is shared: nothing on it may block, and what computes for long (compression,
//! signatures of a seal) goes to the lane's own threads for such work.

mod scheduling;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, oneshot};

use crate::memory;
pub use scheduling::Outing;
use scheduling::Place;

/// Threads for work that blocks, of each lane, at most.
const BLOCKING_THREADS: usize = 32;

/// How long a lane, or a thread for work that blocks, waits for more to do; the stacks of
/// those that wait add up.
pub const IDLE: Duration = Duration::from_secs(3);

/// All lanes. Dropping them ends what runs there.
#[derive(Debug)]
pub struct Lanes(Vec<Arc<Lane>>);

/// A lane has a thread while something runs on it, and for a while after: what its
/// allocator keeps at hand goes back with it.
#[derive(Debug)]
struct Lane {
    number: usize,
    place: Option<Place>,
    /// Connections that it serves.
    load: AtomicUsize,
    /// The last of them has ended.
    deserted: Notify,
    thread: Mutex<Option<Thread>>,
    /// Where tidying up goes on when the thread has ended.
    outside: Handle,
    idle: Duration,
}

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    // Its drop ends the thread.
    _stop: oneshot::Sender<()>,
}

impl Lanes {
    /// A lane for each processor.
    #[must_use]
    pub fn start() -> Self {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        Self::at(Place::of_lanes(count), IDLE)
    }

    fn at(places: Vec<Option<Place>>, idle: Duration) -> Self {
        let lane = |(number, place)| Arc::new(Lane::new(number, place, idle));
        Self(places.into_iter().enumerate().map(lane).collect())
    }

    /// Runs a connection on the lane that serves the fewest. `serve` makes the
    /// connection's future there, so that its sockets belong to the lane as well.
    ///
    /// # Errors
    /// When the host has no thread left.
    pub fn run<F>(&self, serve: impl FnOnce() -> F + Send + 'static) -> std::io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(lane) = self.0.iter().min_by_key(|lane| lane.load.load(Ordering::Relaxed)) else {
            return Ok(());
        };
        let mut thread = lane.thread();
        let running = match thread.take() {
            Some(running) => running,
            None => lane.start()?,
        };
        let load = Load::on(lane);
        running.runtime.spawn(async move {
            serve().await;
            drop(load);
        });
        *thread = Some(running);
        Ok(())
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.0.iter().for_each(|lane| drop(lane.thread().take()));
    }
}

impl Lane {
    fn new(number: usize, place: Option<Place>, idle: Duration) -> Self {
        let (load, deserted, thread) = (AtomicUsize::default(), Notify::new(), Mutex::default());
        Self { number, place, load, deserted, thread, outside: Handle::current(), idle }
    }

    fn thread(&self) -> MutexGuard<'_, Option<Thread>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: &Arc<Self>) -> std::io::Result<Thread> {
        let place = self.place;
        // A thread for work starts where the lane is, and would be in its way there. Where the
        // system refuses, it has kept the lane from its place as well.
        let make_way = move || {
            if let Some(place) = place {
                let _ = place.leave();
            }
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_start(make_way)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_keep_alive(self.idle)
            .thread_name(format!("lane-{}-work", self.number))
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let lane = Arc::clone(self);
        std::thread::Builder::new().name(format!("lane-{}", self.number)).spawn(move || {
            if let Err(error) = scheduling::batch() {
                tracing::debug!(%error, "the system keeps a lane from being scheduled as a batch");
            }
            if let Some(Err(error)) = place.map(|place| place.take()) {
                tracing::debug!(%error, "the system keeps a lane from having a processor of its own");
            }
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = lane.unused() => {}
                }
            });
            drop(runtime);
            let _outside = lane.outside.enter();
            memory::tidy();
        })?;
        Ok(Thread { runtime: handle, _stop: stop })
    }

    /// Returns when nothing runs here any more; what comes from then on gets a new thread.
    async fn unused(&self) {
        let tasks = Handle::current().metrics();
        loop {
            self.deserted.notified().await;
            while self.load.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(self.idle).await;
                let mut thread = self.thread();
                // Sessions may outlive their connections for a while.
                if self.load.load(Ordering::Relaxed) == 0 && tasks.num_alive_tasks() == 0 {
                    drop(thread.take());
                    return;
                }
            }
        }
    }
}

/// A connection's share of its lane's load.
struct Load(Arc<Lane>);

impl Load {
    fn on(lane: &Arc<Lane>) -> Self {
        lane.load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(lane))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if self.0.load.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.deserted.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn connections_go_to_the_lane_that_serves_the_fewest() {
        let lanes = Lanes::at(vec![None; 2], IDLE);
        let (told, mut threads) = mpsc::unbounded_channel();
        let mut ends = Vec::new();
        for _ in 0..4 {
            let (end, ended) = oneshot::channel::<()>();
            let told = told.clone();
            let run = lanes.run(move || async move {
                let here = std::thread::current().id();
                // What it spawns stays on its lane.
                let child = tokio::spawn(async { std::thread::current().id() }).await.unwrap();
                told.send((here, child)).unwrap();
                let _ = ended.await;
            });
            run.unwrap();
            ends.push(end);
        }
        let mut seen = Vec::new();
        for _ in 0..4 {
            let (here, child) = threads.recv().await.unwrap();
            assert_eq!(here, child);
            seen.push(here);
        }
        let first = seen.first().copied().unwrap();
        assert_eq!(seen.iter().filter(|thread| **thread == first).count(), 2);
    }

    #[tokio::test]
    async fn a_lane_is_scheduled_as_a_batch() {
        let (told, policy) = oneshot::channel();
        let lanes = Lanes::at(vec![None], IDLE);
        let run = lanes.run(move || async move {
            // Field 41 of proc_pid_stat(5), counted behind the name: SCHED_BATCH is 3.
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let mut fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace();
            told.send(fields.nth(38).unwrap().to_owned()).unwrap();
        });
        run.unwrap();
        assert_eq!(policy.await.unwrap(), "3");
    }

    #[tokio::test]
    async fn a_lane_keeps_to_its_processor_but_for_outings_and_its_work_does_not() {
        fn processors() -> String {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            list.unwrap().trim().to_owned()
        }
        let places = Place::all().unwrap();
        let (told, mut seen) = mpsc::unbounded_channel();
        let lanes = Lanes::at(places.iter().copied().map(Some).collect(), IDLE);
        for _ in &places {
            let told = told.clone();
            let run = lanes.run(move || async move {
                let work = tokio::task::spawn_blocking(processors).await.unwrap();
                let outings = [Outing::begin(), Outing::begin()];
                let away = outings.map(|outing| (processors(), drop(outing)).0);
                told.send((processors(), work, away)).unwrap();
                std::future::pending::<()>().await;
            });
            run.unwrap();
        }
        let mut own = std::collections::BTreeSet::new();
        for _ in &places {
            let (lane, work, away) = seen.recv().await.unwrap();
            assert!(lane.parse::<usize>().is_ok(), "{lane} is one processor");
            assert_eq!(work, processors());
            assert_eq!(away, [processors(), processors()], "until the last outing is over");
            own.insert(lane);
        }
        assert_eq!(own.len(), places.len(), "each has its own");
        assert!(Place::of_lanes(places.len() + 1).iter().all(Option::is_none), "a share of other processors");
    }

    #[tokio::test]
    async fn a_lane_that_nobody_uses_has_no_thread_and_gets_one_again() {
        let lanes = Lanes::at(vec![None], Duration::from_millis(10));
        let (told, mut seen) = mpsc::unbounded_channel();
        let lane = Arc::clone(lanes.0.first().unwrap());
        for _ in 0..2 {
            let (told, (late, wait)) = (told.clone(), oneshot::channel::<()>());
            let run = lanes.run(move || async move {
                // Goes on when its connection has ended.
                tokio::spawn(async move {
                    let _ = wait.await;
                    told.send(std::thread::current().id()).unwrap();
                });
            });
            run.unwrap();
            while lane.load.load(Ordering::Relaxed) > 0 {
                tokio::task::yield_now().await;
            }
            assert!(lane.thread().is_some());
            late.send(()).unwrap();
            seen.recv().await.unwrap();
            while lane.thread().is_some() {
                tokio::task::yield_now().await;
            }
        }
    }
}
