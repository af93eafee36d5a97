//! The threads that serve connections, one for each processor. All tasks of a
//! connection live on the lane that it was given: both SSH legs, the relays between
//! them, the session. What passes from one to the other wakes no other thread, which
//! is most of what a key would cost.
//!
//! A lane is shared: nothing on it may block, and what computes for long (compression,
//! signatures of a seal) goes to the lane's own threads for such work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Threads for work that blocks, of each lane, at most.
const BLOCKING_THREADS: usize = 32;

/// What somebody types, or sees of it, is no longer, in bytes.
const KEY: usize = 64;

/// Lets the lane's other tasks go first when so little has come that it may be a key or
/// its echo: it is on its way then before the connection that it came on looks after its
/// timers and windows.
pub async fn give_way(bytes: usize) {
    if bytes <= KEY {
        tokio::task::yield_now().await;
    }
}

/// All lanes. Dropping them ends what runs there.
#[derive(Debug)]
pub struct Lanes(Vec<Lane>);

#[derive(Debug)]
struct Lane {
    runtime: Handle,
    /// Connections that it serves.
    load: Arc<AtomicUsize>,
    // Its drop ends the thread.
    _stop: oneshot::Sender<()>,
}

impl Lanes {
    /// Starts a lane for each processor.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub fn start() -> std::io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        (0..count).map(Lane::start).collect::<Result<_, _>>().map(Self)
    }

    /// Runs a connection on the lane that serves the fewest. `serve` makes the
    /// connection's future there, so that its sockets belong to the lane as well.
    pub fn run<F>(&self, serve: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(lane) = self.0.iter().min_by_key(|lane| lane.load.load(Ordering::Relaxed)) else {
            return;
        };
        let load = Load::on(&lane.load);
        lane.runtime.spawn(async move {
            serve().await;
            drop(load);
        });
    }
}

impl Lane {
    fn start(number: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name(format!("lane-{number}-work"))
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { runtime: handle, load: Arc::default(), _stop: stop })
    }
}

/// A connection's share of its lane's load.
struct Load(Arc<AtomicUsize>);

impl Load {
    fn on(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn connections_go_to_the_lane_that_serves_the_fewest() {
        let lanes = Lanes((0..2).map(|number| Lane::start(number).unwrap()).collect());
        let (told, mut threads) = mpsc::unbounded_channel();
        let mut ends = Vec::new();
        for _ in 0..4 {
            let (end, ended) = oneshot::channel::<()>();
            let told = told.clone();
            lanes.run(move || async move {
                let here = std::thread::current().id();
                // What it spawns stays on its lane.
                let child = tokio::spawn(async { std::thread::current().id() }).await.unwrap();
                told.send((here, child)).unwrap();
                let _ = ended.await;
            });
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
}
