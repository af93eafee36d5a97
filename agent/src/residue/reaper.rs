//! The one thread that looks after processes, for however many sessions at once:
//! one reading of /proc serves them all, and no session waits for another's grace.
//!
//! While a session lives its processes are looked at every now and then, so that one
//! that hides later is known already. Each telling to the core is a record, so it is
//! told only what the session could not be found by otherwise: its scopes and audit
//! sessions, and processes that are in none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tidegate_common::id::SessionId;

use super::ending::Ending;
use super::table::Table;
use super::{LOOK, trace};
use crate::core::{Event, Traces};
use crate::paths::Paths;

/// How often to look for the first process of a session, and for how long.
const FIRST: Duration = Duration::from_millis(25);
const FIRST_FOR: Duration = Duration::from_secs(5);

/// How often to look at the processes of sessions that live.
const WATCH: Duration = Duration::from_secs(2);

/// What it is asked for.
#[derive(Debug)]
pub enum Job {
    /// Find out where the session's processes are, until its end.
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

/// A session that lives.
#[derive(Debug)]
struct Watched {
    traces: Traces,
    /// Its processes that only their number gives away.
    astray: BTreeSet<(u32, u64)>,
    since: Instant,
}

impl<T: Fn(Event)> Reaper<T> {
    /// The thread's whole life.
    pub fn work(&self, jobs: &Receiver<Job>) {
        let mut endings: Vec<Ending> = Vec::new();
        let mut watched: BTreeMap<SessionId, Watched> = BTreeMap::new();
        loop {
            let first = match pause(&endings, &watched) {
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(pause) => jobs.recv_timeout(pause),
            };
            match first {
                Err(RecvTimeoutError::Disconnected) if endings.is_empty() => return,
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            let jobs: Vec<Job> = first.ok().into_iter().chain(jobs.try_iter()).collect();
            // Endings look at /proc every few milliseconds; those who only watch need not.
            let look = endings.is_empty() || !jobs.is_empty();
            for job in jobs {
                match job {
                    Job::Trace { session, known } => {
                        let since = Instant::now();
                        let entry = watched.entry(session);
                        let entry = entry.or_insert(Watched {
                            traces: Traces::default(),
                            astray: BTreeSet::new(),
                            since,
                        });
                        entry.since = since;
                        add(&mut entry.traces, known);
                    }
                    Job::End { session, mut known } => {
                        if let Some(seen) = watched.remove(&session) {
                            add(&mut known, seen.traces);
                        }
                        endings.push(Ending::new(session, known, self.grace, Instant::now()));
                    }
                }
            }
            let table = Table::read(&self.paths);
            if look {
                for (session, watched) in &mut watched {
                    self.look_at(&table, *session, watched);
                }
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

    fn look_at(&self, table: &Table, session: SessionId, watched: &mut Watched) {
        let before = watched.traces.clone();
        watched.traces = trace(table, session, before.clone());
        let now = &watched.traces;
        let astray = table.astray(session, now);
        let same = now.scopes == before.scopes
            && now.audit == before.audit
            && now.since == before.since
            && astray == watched.astray;
        watched.astray = astray;
        if !same {
            (self.tell)(Event::Traced { session, traces: now.clone() });
        }
    }
}

/// How long to wait for a job; `None` where there is nothing to look at.
fn pause(endings: &[Ending], watched: &BTreeMap<SessionId, Watched>) -> Option<Duration> {
    let unseen = |watched: &Watched| watched.traces.since.is_none() && watched.since.elapsed() < FIRST_FOR;
    match (endings.is_empty(), watched.is_empty()) {
        (false, _) => Some(LOOK),
        (true, false) if watched.values().any(unseen) => Some(FIRST),
        (true, false) => Some(WATCH),
        (true, true) => None,
    }
}

fn add(to: &mut Traces, more: Traces) {
    to.scopes.extend(more.scopes);
    to.audit.extend(more.audit);
    to.processes.extend(more.processes);
    to.since = to.since.into_iter().chain(more.since).min();
}
