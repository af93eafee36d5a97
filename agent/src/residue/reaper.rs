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

use tidegate_common::grant::Leftover;
use tidegate_common::id::SessionId;

use super::ending::Ending;
use super::late::LATEST;
use super::systemd::{Services, Systemd};
use super::table::Table;
use super::{LOOK, Leaving, TICKS, now, trace};
use crate::core::{Event, Reaped, Traces};
use crate::logins::Logins;
use crate::paths::Paths;
use crate::process::Lost;

/// How often to look for the first process of a session, and for how long.
const FIRST: Duration = Duration::from_millis(25);
const FIRST_FOR: Duration = Duration::from_secs(5);

/// How often to look at the processes of sessions that live.
const WATCH: Duration = Duration::from_secs(2);

/// From when on after its end what is there of a session came late.
const SETTLED: Duration = Duration::from_millis(200);

/// How often to look for that: most come soon.
const SOON: Duration = Duration::from_millis(50);
const FRESH: Duration = Duration::from_secs(3);
const LATER: Duration = Duration::from_millis(500);

/// What it is asked for.
#[derive(Debug)]
pub enum Job {
    /// Find out where the session's processes are, until its end.
    Trace { session: SessionId, known: Traces },
    /// End them; `powers` as in [`Leaving`].
    End { session: SessionId, known: Traces, powers: bool },
    /// From now on, end also what comes late, and who holds these groups.
    Late { session: Option<SessionId>, lost: BTreeSet<Lost> },
    /// These groups are given again: who holds them may.
    Granted(BTreeSet<Lost>),
    /// Look at once: somebody logged in.
    Look,
}

/// An end after which somebody may still come.
#[derive(Debug)]
struct Over {
    leaving: Leaving,
    since: Instant,
}

/// Works off jobs until nobody can ask any more.
pub struct Reaper<T: Fn(Event)> {
    pub paths: Paths,
    pub grace: Duration,
    pub systemd: Systemd,
    pub logins: Logins,
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
        let mut over: Vec<Over> = Vec::new();
        let mut looked = Instant::now();
        let services = Services::new(self.systemd);
        loop {
            let watch = how_often(&watched, &over);
            let pause = if endings.is_empty() { watch } else { Some(LOOK) };
            let first = match pause {
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(pause) => jobs.recv_timeout(pause),
            };
            match first {
                Err(RecvTimeoutError::Disconnected) if endings.is_empty() => return,
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            let jobs: Vec<Job> = first.ok().into_iter().chain(jobs.try_iter()).collect();
            // Endings look at /proc every few milliseconds; those who only watch need not, but
            // no end of others keeps them from it.
            let look = !jobs.is_empty() || watch.is_some_and(|watch| looked.elapsed() >= watch);
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
                    Job::End { session, mut known, powers } => {
                        // What is to be known of its logins must be known now.
                        self.logins.over(session);
                        if let Some(seen) = watched.remove(&session) {
                            add(&mut known, seen.traces);
                            // Too short for a look at its processes: it is no older than this.
                            known.since.get_or_insert_with(|| ticks_before(seen.since));
                        }
                        let lost = over.iter().filter(|over| over.leaving.session == Some(session));
                        let lost = lost.flat_map(|over| over.leaving.lost.clone()).collect();
                        let leaving = Leaving { session: Some(session), known, lost, powers };
                        endings.push(Ending::new(leaving, self.grace, Instant::now()));
                    }
                    Job::Late { session, lost } => {
                        let leaving = Leaving { session, lost, ..Leaving::default() };
                        over.push(Over { leaving, since: Instant::now() });
                    }
                    Job::Granted(groups) => {
                        let lost = over.iter_mut().map(|over| &mut over.leaving.lost);
                        lost.for_each(|lost| lost.retain(|lost| !groups.contains(lost)));
                        endings.iter_mut().for_each(|ending| ending.granted(&groups));
                    }
                    Job::Look => {}
                }
            }
            let mut table = Table::read(&self.paths).asking(&services);
            if !endings.is_empty() {
                table.settle(|process| endings.iter_mut().for_each(|ending| ending.seize(process)));
            }
            table.believe(&self.logins);
            self.logins.tick();
            if look {
                looked = Instant::now();
                for (session, watched) in &mut watched {
                    self.look_at(&table, *session, watched);
                }
                self.find_clients(&table, &watched);
                over.retain(|over| over.since.elapsed() < LATEST);
                endings.extend(self.late(&table, &over, &endings));
            }
            endings.iter_mut().for_each(|ending| ending.learn(&self.logins));
            endings.retain_mut(|ending| match ending.look(&table, Instant::now()) {
                Some(reaped) => {
                    let its = over.iter_mut().filter(|over| over.leaving.session == ending.session());
                    its.for_each(|over| over.leaving.look_for_more_of(ending.leaving()));
                    self.ended(ending, reaped);
                    false
                }
                None => true,
            });
            endings
                .iter_mut()
                .flat_map(Ending::take_services)
                .for_each(|service| (self.systemd.stop)(&service));
        }
    }

    /// Endings of what came late, one for each end that nothing is done for yet.
    fn late(&self, table: &Table, over: &[Over], endings: &[Ending]) -> Vec<Ending> {
        let all: BTreeSet<Lost> = over.iter().flat_map(|over| over.leaving.lost.clone()).collect();
        let held = !table.holding(&all).is_empty();
        let due = over.iter().filter(|over| over.since.elapsed() >= SETTLED);
        let of = |over: &Over| endings.iter().any(|ending| ending.session() == over.leaving.session);
        let leaving = due.filter(|over| !of(over)).map(|over| {
            let lost = if held { over.leaving.lost.clone() } else { BTreeSet::new() };
            let mut leaving = Leaving { lost, ..over.leaving.clone() };
            let known = &mut leaving.known;
            over.leaving.session.into_iter().for_each(|session| self.logins.add_to(session, known));
            leaving
        });
        let late = leaving.filter(|leaving| !table.of(leaving).is_empty());
        late.map(|leaving| Ending::of_late(leaving, self.grace, Instant::now())).collect()
    }

    /// The end of a session is told once; what came late is for the log.
    fn ended(&self, ending: &Ending, reaped: Reaped) {
        match ending.session().filter(|_| !ending.is_late()) {
            Some(session) => (self.tell)(Event::ProcessesEnded { session, reaped }),
            None => {
                for Leftover { pid, comm, .. } in reaped.leftovers {
                    tracing::warn!(session = ?ending.session(), pid, comm, "a process that came late was ended");
                }
            }
        }
    }

    /// Logins whose client is a process of a session, which only the table knows as such.
    fn find_clients(&self, table: &Table, watched: &BTreeMap<SessionId, Watched>) {
        let clients = self.logins.clients();
        if clients.is_empty() {
            return;
        }
        for (session, watched) in watched {
            let found = table.of_session(*session, &watched.traces);
            for client in clients.iter().filter(|(pid, _)| found.contains(pid)) {
                self.logins.belongs(*session, *client);
            }
        }
    }

    fn look_at(&self, table: &Table, session: SessionId, watched: &mut Watched) {
        let before = watched.traces.clone();
        self.logins.add_to(session, &mut watched.traces);
        watched.traces = trace(table, session, std::mem::take(&mut watched.traces));
        // Nobody joins a login that has no process any more.
        watched.traces.audit.retain(|ses| table.has_login(*ses));
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

/// How often to look at what lives and what may come late; `None` where there is neither.
fn how_often(watched: &BTreeMap<SessionId, Watched>, over: &[Over]) -> Option<Duration> {
    let unseen = |watched: &Watched| watched.traces.since.is_none() && watched.since.elapsed() < FIRST_FOR;
    let fresh = |over: &Over| over.since.elapsed() < FRESH;
    match (watched.is_empty(), over.is_empty()) {
        _ if watched.values().any(unseen) => Some(FIRST),
        _ if over.iter().any(fresh) => Some(SOON),
        (_, false) => Some(LATER),
        (false, _) => Some(WATCH),
        (true, true) => None,
    }
}

/// That moment, in clock ticks since boot.
fn ticks_before(at: Instant) -> u64 {
    let passed = at.elapsed().as_millis() / u128::from(1000 / TICKS);
    now().saturating_sub(u64::try_from(passed).unwrap_or_default())
}

impl Leaving {
    /// What an ending has learnt and still says something later: a login's scope and audit
    /// session are not used again.
    fn look_for_more_of(&mut self, ended: &Self) {
        self.known.scopes.extend(ended.known.scopes.clone());
        self.known.audit.extend(&ended.known.audit);
    }
}

fn add(to: &mut Traces, more: Traces) {
    to.scopes.extend(more.scopes);
    to.audit.extend(more.audit);
    to.processes.extend(more.processes);
    to.since = to.since.into_iter().chain(more.since).min();
}
