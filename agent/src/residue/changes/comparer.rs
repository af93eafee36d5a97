//! The thread that looks for what sessions left behind. It has time: it runs with low
//! priority, serves every session that ended meanwhile with one look, and rests after
//! each look four times as long as it took. What it knows is in the [`Records`], so that a
//! report comes also when the agent was replaced or killed meanwhile, or the link broke.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tidegate_common::grant::Leftover;
use tidegate_common::id::SessionId;
use tidegate_common::residue::{Change, Finding, FindingKind, MOST_FINDINGS, Residue};

use super::gather::{Grants, View, Without};
use super::lives::Lives;
use super::notes::{Job, Notes};
use super::records::{Began, Clock, Entry, Picture, Records, Stage};
use super::snapshot::Snapshot;
use super::sockets;
use super::standing::Standing;
use crate::core::Ledger;
use crate::paths::Paths;

/// Reports that wait for a link, at most.
const MOST_WAITING: usize = 256;

/// How often to try again to tell.
const AGAIN: Duration = Duration::from_secs(1);

/// What was taken away may be written back by a program that had read it before; the report waits
/// until that was looked for.
const MOMENT: Duration = Duration::from_millis(1500);

/// After a look that took so long, the next waits four times as long.
const REST: u32 = 4;

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
            used: false,
            leftovers: Vec::new(),
            more: 0,
            unsure: BTreeSet::new(),
            findings: Vec::new(),
            stage: Stage::Lives,
        };
        Self { entry, standing: None }
    }
}

/// Looks, compares and tells.
pub struct Comparer<T: Fn(SessionId, Residue) -> bool> {
    view: View,
    /// Tells the proxy; `false` when there is no link now.
    tell: T,
    records: Records,
    standing: Standing,
    live: BTreeMap<SessionId, Watch>,
    due: Vec<(SessionId, Watch)>,
    /// Of these, and of those that overlap with them, when somebody could change the host.
    lives: Lives,
    untold: VecDeque<SessionId>,
    /// Told, and not known to be there.
    told: BTreeSet<SessionId>,
    /// Whether a picture of what the host is like now is wanted.
    wants: bool,
    rested: Instant,
}

/// How an agent begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// Sessions that live and what they were granted, as its journal has them.
    pub ledger: Ledger,
    /// Takes what was granted out of an account file.
    pub without: Without,
    /// Whether no time has passed since the agent before it: its picture is what the
    /// host is like now.
    pub at_once: bool,
}

impl<T: Fn(SessionId, Residue) -> bool + Send + 'static> Comparer<T> {
    /// Starts the thread. Its first picture is what the host is like now, where the agent
    /// before has left none.
    ///
    /// # Errors
    /// When the host has no thread left.
    pub fn start(paths: &Paths, beginning: Beginning, tell: T) -> std::io::Result<Notes> {
        let grants = Grants::new(beginning.ledger.clone());
        let mut comparer = Self::new(View::of(paths, grants.clone(), beginning.without), paths, tell);
        let (notes, queue) = Notes::read_beside(&comparer.view, grants)?;
        std::thread::Builder::new().name("residue".to_owned()).spawn(move || {
            crate::sys::yield_to_others();
            comparer.resume(&beginning);
            comparer.work(&queue);
        })?;
        Ok(notes)
    }

    fn new(view: View, paths: &Paths, tell: T) -> Self {
        Self {
            view,
            tell,
            records: Records::open(paths),
            standing: Standing::default(),
            live: BTreeMap::new(),
            due: Vec::new(),
            lives: Lives::open(paths),
            untold: VecDeque::new(),
            told: BTreeSet::new(),
            wants: true,
            rested: Instant::now(),
        }
    }

    /// Goes on from what the agent before has left.
    fn resume(&mut self, beginning: &Beginning) {
        let before = self.records.newest().map(Arc::new);
        // A session may have begun before there was any picture.
        let mut pictures = BTreeMap::from([(0, Arc::<Picture>::default())]);
        for (session, mut entry) in self.records.sessions() {
            let standing = entry.before.as_ref().and_then(|began| {
                let known = pictures.get(&began.picture).cloned();
                known.or_else(|| self.records.picture(began.picture).map(Arc::new))
            });
            pictures.extend(standing.iter().map(|picture| (picture.number, Arc::clone(picture))));
            if entry.stage == Stage::Lives && !beginning.ledger.grants.contains_key(&session) {
                entry.stage = Stage::Missed;
            }
            match &entry.stage {
                Stage::Lives => drop(self.live.insert(session, Watch { entry, standing })),
                Stage::Over | Stage::Missed if entry.used => {
                    self.due.push((session, Watch { entry, standing }));
                }
                Stage::Over | Stage::Missed => self.records.forget_session(session),
                Stage::Reported(_) => self.untold.push_back(session),
            }
        }
        let all = self.live.iter().chain(self.due.iter().map(|(session, watch)| (session, watch)));
        for (session, watch) in all.filter(|(_, watch)| watch.entry.used) {
            self.lives.begin(*session, watch.entry.before.as_ref().map(|began| began.clock));
        }
        // Of one that ended while no agent ran it is not known when.
        self.lives.end_but(|session| self.live.contains_key(&session), Clock::now());
        self.forget_lives();
        self.wants = before.is_none() || !beginning.at_once;
        self.standing.add(before.unwrap_or_default());
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
            if self.wants_to_look() && Instant::now() >= self.rested {
                self.report();
            }
            self.tell_all();
        }
    }

    fn wants_to_look(&self) -> bool {
        self.wants || !self.due.is_empty()
    }

    /// How long there is nothing to do; `None` until somebody asks.
    fn pause(&self) -> Option<Duration> {
        let rest = self.wants_to_look().then(|| self.rested.saturating_duration_since(Instant::now()));
        let again = (!self.untold.is_empty()).then_some(AGAIN);
        rest.into_iter().chain(again).min()
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Begun { session, quick, clock } => {
                let standing = Arc::clone(self.standing.at(clock));
                let watch = self.live.entry(session).or_insert_with(Watch::new);
                watch.entry.before = Some(Began { picture: standing.number, quick, clock });
                watch.standing = Some(Arc::clone(&standing));
                // First what is small, and without which a report would be wrong.
                self.records.keep_session(session, &watch.entry);
                self.records.keep_picture(&standing);
            }
            Job::Granted { session } => self.used(session, |_| {}),
            Job::Processes { session, reaped } => self.used(session, |entry| entry.take(reaped)),
            Job::Over { session } => {
                self.lives.end(session, Clock::now());
                match self.live.remove(&session) {
                    Some(mut watch) if watch.entry.used => {
                        watch.entry.stage = Stage::Over;
                        self.rested = self.rested.max(Instant::now() + MOMENT);
                        self.records.keep_session(session, &watch.entry);
                        self.due.push((session, watch));
                    }
                    _ => self.records.forget_session(session),
                }
                self.forget_lives();
            }
            Job::Found { session, finding } => {
                let due = self.due.iter_mut().find(|(due, _)| *due == session).map(|(_, watch)| watch);
                if let Some(watch) = due.or_else(|| self.live.get_mut(&session))
                    && watch.entry.findings.len() < MOST_FINDINGS
                {
                    watch.entry.findings.push(finding);
                    self.records.keep_session(session, &watch.entry);
                }
            }
            Job::Linked => self.untold.extend(std::mem::take(&mut self.told)),
            Job::Reported { session } => {
                self.told.remove(&session);
                self.untold.retain(|one| *one != session);
                if self
                    .records
                    .session(session)
                    .is_some_and(|entry| matches!(entry.stage, Stage::Reported(_)))
                {
                    self.records.forget_session(session);
                }
            }
            Job::Settle { done } => {
                self.view.hurry().set(false);
                self.records.keep_picture(self.standing.newest());
                let _ = done.send(());
            }
        }
    }

    /// Somebody can log in, or could.
    fn used(&mut self, session: SessionId, change: impl FnOnce(&mut Entry)) {
        let watch = self.live.entry(session).or_insert_with(Watch::new);
        watch.entry.used = true;
        change(&mut watch.entry);
        self.lives.begin(session, watch.entry.before.as_ref().map(|began| began.clock));
        self.records.keep_session(session, &watch.entry);
    }

    /// Forgets when those were that no report can still be in doubt about.
    fn forget_lives(&mut self) {
        let watches = self.live.values().chain(self.due.iter().map(|(_, watch)| watch));
        let began = watches.map(|watch| watch.entry.before.as_ref().map(|began| began.clock));
        self.lives.forget(began);
    }

    /// What the host is like now; `None` when somebody was in a hurry.
    fn look(&mut self) -> Option<Picture> {
        let started = Instant::now();
        let before = self.standing.newest();
        let snapshot = self.view.take(&before.snapshot)?;
        let number = before.number + 1;
        self.rested = Instant::now() + started.elapsed() * REST;
        Some(Picture { number, taken: Clock::now().boot, snapshot })
    }

    /// One look for every session whose report is due.
    fn report(&mut self) {
        let started = Instant::now();
        let Some(now) = self.look().map(Arc::new) else { return };
        self.wants = false;
        let clock = Clock::now();
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        for (session, mut watch) in std::mem::take(&mut self.due) {
            let mut residue = self.compared(session, &watch, &now.snapshot, clock);
            residue.millis = millis;
            watch.entry.before = None;
            watch.entry.stage = Stage::Reported(residue);
            self.records.keep_session(session, &watch.entry);
            self.untold.push_back(session);
        }
        while self.untold.len() + self.told.len() > MOST_WAITING {
            let Some(oldest) = self.told.pop_first().or_else(|| self.untold.pop_front()) else { break };
            self.records.forget_session(oldest);
            tracing::warn!(session = %oldest, "a report of what a session left behind is lost: too many wait for the proxy");
        }
        self.standing.add(now);
        self.forget_pictures();
        self.forget_lives();
    }

    fn forget_pictures(&mut self) {
        let watches = self.live.values().chain(self.due.iter().map(|(_, watch)| watch));
        let needed = watches.filter_map(|watch| watch.entry.before.as_ref().map(|began| began.picture));
        self.records.forget_pictures(&needed.collect());
    }

    fn compared(&self, session: SessionId, watch: &Watch, now: &Snapshot, clock: Clock) -> Residue {
        let Watch { entry, standing } = watch;
        let mut unseen: Vec<String> = entry.unsure.iter().chain(&now.unseen).cloned().collect();
        let mut findings: Vec<Finding> = entry.leftovers.iter().map(ended).collect();
        findings.extend(entry.findings.iter().cloned());
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
                standing.snapshot.refreshed(quick).compare(now, since)
            }
            _ => {
                unseen.push("what changed before the agent's own start".to_owned());
                self.standing.newest().snapshot.compare(now, None)
            }
        };
        findings.extend(changed);
        let over = u64::try_from(findings.len().saturating_sub(MOST_FINDINGS)).unwrap_or(u64::MAX);
        let more = over.saturating_add(entry.more);
        findings.truncate(MOST_FINDINGS);
        for finding in findings.iter_mut().filter(|finding| finding.kind == FindingKind::Socket) {
            finding.detail = sockets::owner(self.view.proc(), &finding.detail);
        }
        let began = entry.before.as_ref().map(|began| began.clock);
        for finding in findings.iter_mut().filter(|finding| finding.kind != FindingKind::Process) {
            let others = self.lives.beside(session, began, now.touched(finding), clock);
            others.tell_in(&mut finding.detail);
        }
        Residue { findings, more, unseen, millis: 0 }.bounded()
    }

    fn tell_all(&mut self) {
        while let Some(session) = self.untold.pop_front() {
            let entry = self.records.session(session);
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

#[cfg(test)]
mod tests;
