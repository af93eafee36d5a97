//! The signals that the loop acts on, also while one program takes another's place:
//! blocked signals stay pending over execve(2), and the next one lets them in once it
//! listens. One that another thread takes in the microseconds of execve(2) itself is
//! lost; a stop then comes as systemd's kill, after its `TimeoutStopSec`.

use std::io;

use nix::sys::signal::{SigSet, Signal, raise};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// Stop, stop, and reload.
const ALL: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Signals of this process.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
    later: Vec<Signal>,
}

impl Signals {
    /// Listens. Before threads are started: they and what they run start out with
    /// nothing blocked.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn listen() -> io::Result<Self> {
        let signals = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            later: Vec::new(),
        };
        all().thread_unblock()?;
        Ok(signals)
    }

    /// The next. Cancel safe.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.hangup.recv() => Signal::SIGHUP,
        }
    }

    /// This one is for the next program.
    pub fn later(&mut self, signal: Signal) {
        self.later.push(signal);
    }

    /// Takes back what was for the next program; tells whether there was any.
    pub fn not_for_next(&mut self) -> bool {
        !std::mem::take(&mut self.later).is_empty()
    }

    /// Holds back what comes from here on, and what came and was not acted on, for the
    /// program that takes this one's place.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn keep_for_next(&mut self) -> io::Result<()> {
        all().thread_block()?;
        // Lets the runtime hear of those that came just before.
        tokio::task::yield_now().await;
        while let Some(signal) = self.waiting().await {
            self.later.push(signal);
        }
        for signal in self.later.drain(..) {
            raise(signal)?;
        }
        Ok(())
    }

    async fn waiting(&mut self) -> Option<Signal> {
        tokio::select! {
            biased;
            signal = self.next() => Some(signal),
            () = std::future::ready(()) => None,
        }
    }
}

fn all() -> SigSet {
    ALL.into_iter().collect()
}
