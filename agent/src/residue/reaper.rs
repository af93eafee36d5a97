//! The one thread that looks after processes, for however many sessions at once:
//! one reading of /proc serves them all, and no session waits for another's grace.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tidegate_common::id::SessionId;

use super::ending::Ending;
use super::table::Table;
use super::{LOOK, trace};
use crate::core::{Event, Traces};
use crate::paths::Paths;

/// What it is asked for.
#[derive(Debug)]
pub enum Job {
    /// Find out where the session's processes are.
    Trace { session: SessionId, known: Traces },
    /// End them.
    End { session: SessionId, known: Traces },
}

/// Works off jobs until nobody can ask any more.
pub struct Reaper<T: Fn(Event)> {
    pub paths: Paths,
    pub grace: Duration,
    pub tell: T,
}

impl<T: Fn(Event)> Reaper<T> {
    /// The thread's whole life.
    pub fn work(&self, jobs: &Receiver<Job>) {
        let mut endings: Vec<Ending> = Vec::new();
        loop {
            let first = if endings.is_empty() {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(LOOK)
            };
            match first {
                Err(RecvTimeoutError::Disconnected) if endings.is_empty() => return,
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            let mut traces = Vec::new();
            for job in first.ok().into_iter().chain(jobs.try_iter()) {
                match job {
                    Job::Trace { session, known } => traces.push((session, known)),
                    Job::End { session, known } => {
                        endings.push(Ending::new(session, known, self.grace, Instant::now()));
                    }
                }
            }
            let table = Table::read(&self.paths);
            for (session, known) in traces {
                (self.tell)(Event::Traced { session, traces: trace(&table, session, known) });
            }
            endings.retain_mut(|ending| match ending.look(&table, Instant::now()) {
                Some(leftovers) => {
                    (self.tell)(Event::ProcessesEnded { session: ending.session(), leftovers });
                    false
                }
                None => true,
            });
        }
    }
}
