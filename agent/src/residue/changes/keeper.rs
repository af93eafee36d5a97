//! The thread that looks for what sessions left behind. It has time: it runs with low
//! priority, serves every session that ended meanwhile with one look, and rests after
//! each look four times as long as it took.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use tidegate_common::grant::Leftover;
use tidegate_common::id::SessionId;
use tidegate_common::residue::{Change, Finding, FindingKind, MOST_FINDINGS, Residue};

use super::gather::View;
use super::snapshot::{Granted, Snapshot};
use super::sockets;
use crate::paths::Paths;

/// The kernel stamps inodes with the time of its last tick.
const TICK: i64 = 20_000_000;

/// A clock that moved by more than this against the time since boot was set.
const SET: i64 = 500_000_000;

/// Reports that wait for a link, at most.
const MOST_WAITING: usize = 256;

/// How often to try again to tell.
const AGAIN: Duration = Duration::from_secs(1);

/// After a look that took so long, the next waits four times as long.
const REST: u32 = 4;

/// What the rest of the agent tells.
#[derive(Debug)]
enum Job {
    /// A session may begin: what the host was like in what is quickly read.
    Begun { session: SessionId, granted: Granted, quick: Snapshot, clock: Clock },
    /// Its grant is in force, somebody can log in.
    Granted { session: SessionId },
    /// Its processes were ended.
    Processes { session: SessionId, leftovers: Vec<Leftover> },
    /// It is over, and its grant is off the host.
    Over { session: SessionId },
}

/// Both clocks at one moment, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Clock {
    wall: i64,
    boot: i64,
}

impl Clock {
    fn now() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let boot = crate::shell::clock::now().boot.saturating_mul(1000);
        Self {
            wall: i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX),
            boot: i64::try_from(boot).unwrap_or(i64::MAX),
        }
    }

    /// Since when inodes changed for a session that began then; `None` when the clock
    /// was set meanwhile, so that times say nothing.
    fn began(self, now: Self) -> Option<i64> {
        let moved = (now.wall - self.wall) - (now.boot - self.boot);
        (moved.abs() < SET).then(|| self.wall.saturating_sub(TICK))
    }
}

/// How the rest of the agent tells; it never waits.
#[derive(Debug, Clone)]
pub struct Notes {
    jobs: Sender<Job>,
}

impl Notes {
    /// A session may begin. What is quickly read is read now, beside the grant.
    pub fn begun(&self, session: SessionId, granted: Granted) {
        let (quick, clock) = (Snapshot::default(), Clock::now());
        let _ = self.jobs.send(Job::Begun { session, granted, quick, clock });
    }

    pub fn granted(&self, session: SessionId) {
        let _ = self.jobs.send(Job::Granted { session });
    }

    pub fn processes(&self, session: SessionId, leftovers: Vec<Leftover>) {
        let _ = self.jobs.send(Job::Processes { session, leftovers });
    }

    pub fn over(&self, session: SessionId) {
        let _ = self.jobs.send(Job::Over { session });
    }
}

/// A session that lives, or whose report is due.
#[derive(Debug, Default)]
struct Watch {
    /// `None` when the agent was not there when it began.
    before: Option<Before>,
    granted: Granted,
    used: bool,
    leftovers: Vec<Leftover>,
}

/// What the host was like when a session began.
#[derive(Debug)]
struct Before {
    /// Shared by all that began since it was taken.
    standing: Arc<Snapshot>,
    quick: Snapshot,
    clock: Clock,
}

/// Looks, compares and tells.
pub struct Keeper<T: Fn(SessionId, Residue) -> bool> {
    view: View,
    /// Tells the proxy; `false` when there is no link now.
    tell: T,
    standing: Arc<Snapshot>,
    live: BTreeMap<SessionId, Watch>,
    due: Vec<(SessionId, Watch)>,
    untold: VecDeque<(SessionId, Residue)>,
    rested: Instant,
}

impl<T: Fn(SessionId, Residue) -> bool + Send + 'static> Keeper<T> {
    /// Starts the thread. Its first picture is what the host is like now.
    ///
    /// # Errors
    /// When the host has no thread left.
    pub fn start(paths: &Paths, tell: T) -> std::io::Result<Notes> {
        let (jobs, noted) = channel();
        let (pass, queue) = channel();
        let view = View::of(paths);
        // What is quickly read at a beginning must not wait until a long look is over.
        let beside = view.clone();
        std::thread::Builder::new().name("begun".to_owned()).spawn(move || {
            for mut job in noted {
                if let Job::Begun { quick, .. } = &mut job {
                    *quick = beside.take_quick();
                }
                if pass.send(job).is_err() {
                    return;
                }
            }
        })?;
        let mut keeper = Self {
            view,
            tell,
            standing: Arc::default(),
            live: BTreeMap::new(),
            due: Vec::new(),
            untold: VecDeque::new(),
            rested: Instant::now(),
        };
        std::thread::Builder::new().name("residue".to_owned()).spawn(move || {
            crate::sys::yield_to_others();
            keeper.standing = Arc::new(keeper.look());
            keeper.work(&queue);
        })?;
        Ok(Notes { jobs })
    }

    fn work(&mut self, queue: &Receiver<Job>) {
        loop {
            let job = match self.pause() {
                Some(pause) => queue.recv_timeout(pause),
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match job {
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
            }
            queue.try_iter().for_each(|job| self.take(job));
            if !self.due.is_empty() && Instant::now() >= self.rested {
                self.report();
            }
            self.tell_all();
        }
    }

    /// How long there is nothing to do; `None` until somebody asks.
    fn pause(&self) -> Option<Duration> {
        let rest = (!self.due.is_empty()).then(|| self.rested.saturating_duration_since(Instant::now()));
        let again = (!self.untold.is_empty()).then_some(AGAIN);
        rest.into_iter().chain(again).min()
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Begun { session, mut granted, quick, clock } => {
                // What one session is given shows in the pictures of all that live.
                for watch in self.live.values_mut() {
                    watch.granted.add(&granted);
                }
                self.live.values().for_each(|watch| granted.add(&watch.granted));
                let standing = Arc::clone(&self.standing);
                let watch = self.live.entry(session).or_default();
                watch.before = Some(Before { standing, quick, clock });
                watch.granted = granted;
            }
            Job::Granted { session } => self.live.entry(session).or_default().used = true,
            Job::Processes { session, leftovers } => {
                let watch = self.live.entry(session).or_default();
                watch.used = true;
                watch.leftovers = leftovers;
            }
            Job::Over { session } => {
                if let Some(watch) = self.live.remove(&session).filter(|watch| watch.used) {
                    self.due.push((session, watch));
                }
            }
        }
    }

    fn look(&mut self) -> Snapshot {
        let started = Instant::now();
        let now = self.view.take(&self.standing);
        self.rested = Instant::now() + started.elapsed() * REST;
        now
    }

    /// One look for every session whose report is due.
    fn report(&mut self) {
        let started = Instant::now();
        let now = Arc::new(self.look());
        let clock = Clock::now();
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        for (session, watch) in std::mem::take(&mut self.due) {
            let mut residue = self.compared(watch, &now, clock);
            residue.millis = millis;
            if self.untold.len() >= MOST_WAITING {
                self.untold.pop_front();
                tracing::warn!("a report of what a session left behind is lost: too many wait for the proxy");
            }
            self.untold.push_back((session, residue));
        }
        self.standing = now;
    }

    fn compared(&self, watch: Watch, now: &Snapshot, clock: Clock) -> Residue {
        let mut unseen: Vec<String> = now.unseen.iter().cloned().collect();
        let mut findings: Vec<Finding> = watch.leftovers.iter().map(ended).collect();
        let changed = match watch.before {
            Some(Before { standing, quick, clock: began }) => {
                let since = began.began(clock);
                if since.is_none() {
                    unseen.push("the clock was set: what changed shortly before is listed, too".to_owned());
                }
                standing.refreshed(&quick).compare(now, since, &watch.granted)
            }
            None => {
                unseen.push("what changed before the agent's own start".to_owned());
                self.standing.compare(now, None, &watch.granted)
            }
        };
        findings.extend(changed);
        let more = findings.len().saturating_sub(MOST_FINDINGS);
        findings.truncate(MOST_FINDINGS);
        for finding in findings.iter_mut().filter(|finding| finding.kind == FindingKind::Socket) {
            finding.detail = sockets::owner(self.view.proc(), &finding.detail);
        }
        Residue { findings, more: more as u64, unseen, millis: 0 }.bounded()
    }

    fn tell_all(&mut self) {
        while let Some((session, residue)) = self.untold.pop_front() {
            if !(self.tell)(session, residue.clone()) {
                self.untold.push_front((session, residue));
                return;
            }
        }
    }
}

fn ended(leftover: &Leftover) -> Finding {
    let what = if leftover.command.is_empty() { &leftover.comm } else { &leftover.command };
    Finding {
        kind: FindingKind::Process,
        change: if leftover.killed { Change::Killed } else { Change::Ended },
        what: what.clone(),
        detail: format!("process {}", leftover.pid),
    }
}
