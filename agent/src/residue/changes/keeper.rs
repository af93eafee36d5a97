//! The thread that looks for what sessions left behind. It has time: it runs with low
//! priority, serves every session that ended meanwhile with one look, and rests after
//! each look four times as long as it took. What it knows is in the [`Album`], so that a
//! report comes also when the agent was replaced or killed meanwhile, or the link broke.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use tidegate_common::grant::Leftover;
use tidegate_common::id::SessionId;
use tidegate_common::residue::{Change, Finding, FindingKind, MOST_FINDINGS, Residue};

use super::album::{Album, Began, Clock, Entry, Picture, Stage};
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
    /// A link stands: what was told on another may be lost.
    Linked,
    /// The proxy has its report.
    Reported { session: SessionId },
    /// Answers once all before it is done and on disk.
    Settle { done: Sender<()> },
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

    /// A link stands and the proxy has welcomed us.
    pub fn linked(&self) {
        let _ = self.jobs.send(Job::Linked);
    }

    /// The proxy has the report of a session.
    pub fn reported(&self, session: SessionId) {
        let _ = self.jobs.send(Job::Reported { session });
    }

    /// Waits until the next agent can go on from what is on disk, for so long at most.
    pub fn settle(&self, patience: Duration) {
        let (done, settled) = channel();
        let _ = self.jobs.send(Job::Settle { done });
        if settled.recv_timeout(patience).is_err() {
            tracing::warn!("what the last sessions were like at their beginning may be missing after this");
        }
    }
}

/// A session that lives, or whose report is due.
#[derive(Debug)]
struct Watch {
    entry: Entry,
    /// What the host was like when it began; shared by all that began since it was taken.
    standing: Option<Arc<Picture>>,
}

impl Watch {
    /// One of which nothing is known.
    fn new() -> Self {
        let entry = Entry {
            before: None,
            granted: Granted::default(),
            used: false,
            leftovers: Vec::new(),
            stage: Stage::Lives,
        };
        Self { entry, standing: None }
    }
}

/// Looks, compares and tells.
pub struct Keeper<T: Fn(SessionId, Residue) -> bool> {
    view: View,
    /// Tells the proxy; `false` when there is no link now.
    tell: T,
    album: Album,
    standing: Arc<Picture>,
    live: BTreeMap<SessionId, Watch>,
    due: Vec<(SessionId, Watch)>,
    untold: VecDeque<SessionId>,
    /// Told, and not known to be there.
    told: BTreeSet<SessionId>,
    rested: Instant,
}

/// How an agent begins.
#[derive(Debug, Clone, Default)]
pub struct Beginning {
    /// Sessions that live, as its journal has them.
    pub live: BTreeSet<SessionId>,
    /// Whether no time has passed since the agent before it: its picture is what the
    /// host is like now.
    pub at_once: bool,
}

impl<T: Fn(SessionId, Residue) -> bool + Send + 'static> Keeper<T> {
    /// Starts the thread. Its first picture is what the host is like now.
    ///
    /// # Errors
    /// When the host has no thread left.
    pub fn start(paths: &Paths, beginning: Beginning, tell: T) -> std::io::Result<Notes> {
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
            album: Album::open(paths),
            standing: Arc::default(),
            live: BTreeMap::new(),
            due: Vec::new(),
            untold: VecDeque::new(),
            told: BTreeSet::new(),
            rested: Instant::now(),
        };
        std::thread::Builder::new().name("residue".to_owned()).spawn(move || {
            crate::sys::yield_to_others();
            keeper.resume(&beginning);
            keeper.work(&queue);
        })?;
        Ok(Notes { jobs })
    }

    /// Goes on from what the agent before has left.
    fn resume(&mut self, beginning: &Beginning) {
        let before = self.album.newest().map(Arc::new);
        let mut pictures: BTreeMap<u64, Arc<Picture>> = BTreeMap::new();
        for (session, mut entry) in self.album.sessions() {
            let standing = entry.before.as_ref().and_then(|began| {
                let known = pictures.get(&began.picture).cloned();
                known.or_else(|| self.album.picture(began.picture).map(Arc::new))
            });
            pictures.extend(standing.iter().map(|picture| (picture.number, Arc::clone(picture))));
            if entry.stage == Stage::Lives && !beginning.live.contains(&session) {
                entry.stage = Stage::Missed;
            }
            match &entry.stage {
                Stage::Lives => drop(self.live.insert(session, Watch { entry, standing })),
                Stage::Over | Stage::Missed if entry.used => {
                    self.due.push((session, Watch { entry, standing }));
                }
                Stage::Over | Stage::Missed => self.album.forget_session(session),
                Stage::Reported(_) => self.untold.push_back(session),
            }
        }
        match before {
            Some(before) if beginning.at_once => self.standing = before,
            before => {
                self.standing = before.unwrap_or_default();
                self.standing = Arc::new(self.look());
            }
        }
        self.forget_pictures();
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
                    watch.entry.granted.add(&granted);
                }
                self.live.values().for_each(|watch| granted.add(&watch.entry.granted));
                self.album.keep_picture(&self.standing);
                let watch = self.live.entry(session).or_insert_with(Watch::new);
                watch.entry.before = Some(Began { picture: self.standing.number, quick, clock });
                watch.entry.granted = granted;
                watch.standing = Some(Arc::clone(&self.standing));
                for (session, watch) in &self.live {
                    self.album.keep_session(*session, &watch.entry);
                }
            }
            Job::Granted { session } => self.change(session, |entry| entry.used = true),
            Job::Processes { session, leftovers } => self.change(session, |entry| {
                entry.used = true;
                entry.leftovers = leftovers;
            }),
            Job::Over { session } => match self.live.remove(&session) {
                Some(mut watch) if watch.entry.used => {
                    watch.entry.stage = Stage::Over;
                    self.album.keep_session(session, &watch.entry);
                    self.due.push((session, watch));
                }
                _ => self.album.forget_session(session),
            },
            Job::Linked => self.untold.extend(std::mem::take(&mut self.told)),
            Job::Reported { session } => {
                self.told.remove(&session);
                self.untold.retain(|one| *one != session);
                if self.album.session(session).is_some_and(|entry| matches!(entry.stage, Stage::Reported(_)))
                {
                    self.album.forget_session(session);
                }
            }
            Job::Settle { done } => {
                self.album.keep_picture(&self.standing);
                let _ = done.send(());
            }
        }
    }

    fn change(&mut self, session: SessionId, change: impl FnOnce(&mut Entry)) {
        let watch = self.live.entry(session).or_insert_with(Watch::new);
        change(&mut watch.entry);
        self.album.keep_session(session, &watch.entry);
    }

    fn look(&mut self) -> Picture {
        let started = Instant::now();
        let snapshot = self.view.take(&self.standing.snapshot);
        self.rested = Instant::now() + started.elapsed() * REST;
        Picture { number: self.standing.number + 1, snapshot }
    }

    /// One look for every session whose report is due.
    fn report(&mut self) {
        let started = Instant::now();
        let now = Arc::new(self.look());
        let clock = Clock::now();
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        for (session, mut watch) in std::mem::take(&mut self.due) {
            let mut residue = self.compared(&watch, &now.snapshot, clock);
            residue.millis = millis;
            watch.entry.before = None;
            watch.entry.stage = Stage::Reported(residue);
            self.album.keep_session(session, &watch.entry);
            self.untold.push_back(session);
        }
        while self.untold.len() + self.told.len() > MOST_WAITING {
            let Some(oldest) = self.told.pop_first().or_else(|| self.untold.pop_front()) else { break };
            self.album.forget_session(oldest);
            tracing::warn!(session = %oldest, "a report of what a session left behind is lost: too many wait for the proxy");
        }
        self.standing = now;
        self.forget_pictures();
    }

    fn forget_pictures(&mut self) {
        let watches = self.live.values().chain(self.due.iter().map(|(_, watch)| watch));
        let needed = watches.filter_map(|watch| watch.entry.before.as_ref().map(|began| began.picture));
        self.album.forget_pictures(&needed.collect());
    }

    fn compared(&self, watch: &Watch, now: &Snapshot, clock: Clock) -> Residue {
        let Watch { entry, standing } = watch;
        let mut unseen: Vec<String> = now.unseen.iter().cloned().collect();
        let mut findings: Vec<Finding> = entry.leftovers.iter().map(ended).collect();
        if entry.stage == Stage::Missed {
            unseen.push(
                "when exactly it ended, as no agent ran: what changed till one did is listed, too".to_owned(),
            );
        }
        let changed = match (&entry.before, standing) {
            (Some(Began { quick, clock: began, .. }), Some(standing)) => {
                let since = began.began(clock);
                if since.is_none() {
                    unseen.push("the clock was set: what changed shortly before is listed, too".to_owned());
                }
                standing.snapshot.refreshed(quick).compare(now, since, &entry.granted)
            }
            _ => {
                unseen.push("what changed before the agent's own start".to_owned());
                self.standing.snapshot.compare(now, None, &entry.granted)
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
        while let Some(session) = self.untold.pop_front() {
            let entry = self.album.session(session);
            let Some(Entry { stage: Stage::Reported(residue), .. }) = entry else { continue };
            if !(self.tell)(session, residue) {
                self.untold.push_front(session);
                return;
            }
            self.told.insert(session);
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
