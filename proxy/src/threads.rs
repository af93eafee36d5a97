//! The threads that serve connections, one for each processor. All tasks of a
//! connection live on the thread that it was given: both SSH legs, the relays between
//! them, the session. What passes from one to the other wakes no other thread, which
//! is most of what a key would cost.
//!
//! A thread is shared: nothing on it may block, and what computes for long (compression,
//! signatures of a seal) goes to threads of its own for such work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, oneshot};

use crate::memory;

/// Threads for work that blocks, of each, at most.
const BLOCKING_THREADS: usize = 32;

/// How long a thread waits for more to do; the stacks of
/// those that wait add up.
pub const IDLE: Duration = Duration::from_secs(3);

/// A thread's stack, in bytes. The futures of a console's command lie deep in each other; what is
/// never touched of it costs nothing.
pub const STACK: usize = 8 << 20;

/// All of them. Dropping them ends what runs there.
#[derive(Debug)]
pub struct ConnectionThreads(Vec<Arc<Slot>>);

/// Where a thread runs while connections are served there, and for a while after: what its
/// allocator keeps at hand goes back with it.
#[derive(Debug)]
struct Slot {
    number: usize,
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

impl ConnectionThreads {
    /// One for each processor.
    #[must_use]
    pub fn for_processors() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from), IDLE)
    }

    fn new(count: usize, idle: Duration) -> Self {
        Self((0..count).map(|number| Arc::new(Slot::new(number, idle))).collect())
    }

    /// Runs a connection on the thread that serves the fewest. `serve` makes the
    /// connection's future there, so that its sockets belong to the thread as well.
    ///
    /// # Errors
    /// When the host has no thread left.
    pub fn run<F>(&self, serve: impl FnOnce() -> F + Send + 'static) -> std::io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(slot) = self.0.iter().min_by_key(|slot| slot.load.load(Ordering::Relaxed)) else {
            return Ok(());
        };
        let mut thread = slot.thread();
        let running = match thread.take() {
            Some(running) => running,
            None => slot.start()?,
        };
        let load = Load::on(slot);
        running.runtime.spawn(async move {
            serve().await;
            drop(load);
        });
        *thread = Some(running);
        Ok(())
    }
}

impl Drop for ConnectionThreads {
    fn drop(&mut self) {
        self.0.iter().for_each(|slot| drop(slot.thread().take()));
    }
}

impl Slot {
    fn new(number: usize, idle: Duration) -> Self {
        let (load, deserted, thread) = (AtomicUsize::default(), Notify::new(), Mutex::default());
        Self { number, load, deserted, thread, outside: Handle::current(), idle }
    }

    fn thread(&self) -> MutexGuard<'_, Option<Thread>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: &Arc<Self>) -> std::io::Result<Thread> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_keep_alive(self.idle)
            .thread_name(format!("conn-{}-work", self.number))
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let slot = Arc::clone(self);
        let thread = std::thread::Builder::new().name(format!("conn-{}", self.number)).stack_size(STACK);
        thread.spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = slot.unused() => {}
                }
            });
            drop(runtime);
            let _outside = slot.outside.enter();
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

/// A connection's share of its thread's load.
struct Load(Arc<Slot>);

impl Load {
    fn on(slot: &Arc<Slot>) -> Self {
        slot.load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(slot))
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
    async fn connections_go_to_the_thread_that_serves_the_fewest() {
        let all = ConnectionThreads::new(2, IDLE);
        let (told, mut threads) = mpsc::unbounded_channel();
        let mut ends = Vec::new();
        for _ in 0..4 {
            let (end, ended) = oneshot::channel::<()>();
            let told = told.clone();
            let run = all.run(move || async move {
                let here = std::thread::current().id();
                // What it spawns stays there.
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
    async fn a_thread_that_nobody_uses_ends_and_another_takes_its_place() {
        let all = ConnectionThreads::new(1, Duration::from_millis(10));
        let (told, mut seen) = mpsc::unbounded_channel();
        let slot = Arc::clone(all.0.first().unwrap());
        for _ in 0..2 {
            let (told, (late, wait)) = (told.clone(), oneshot::channel::<()>());
            let run = all.run(move || async move {
                // Goes on when its connection has ended.
                tokio::spawn(async move {
                    let _ = wait.await;
                    told.send(std::thread::current().id()).unwrap();
                });
            });
            run.unwrap();
            while slot.load.load(Ordering::Relaxed) > 0 {
                tokio::task::yield_now().await;
            }
            assert!(slot.thread().is_some());
            late.send(()).unwrap();
            seen.recv().await.unwrap();
            while slot.thread().is_some() {
                tokio::task::yield_now().await;
            }
        }
    }
}
