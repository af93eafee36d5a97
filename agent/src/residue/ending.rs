//! The end of one session's processes, a look at a time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tidegate_common::grant::{Leftover, MOST_LEFTOVERS};
use tidegate_common::id::SessionId;

use super::table::Table;
use super::{Leaving, trace};
use crate::core::Reaped;
use crate::logins::Logins;
use crate::process::Lost;
use crate::process::{Manager, Process, shown};
use crate::sys;

/// What ends by itself within this time is no leftover: the login's own end.
const BY_ITSELF: Duration = Duration::from_millis(25);

/// How long to wait for the kernel after SIGKILL before giving up on a process.
const KILLED: Duration = Duration::from_millis(500);

/// And on processes that others come after, however many are killed.
const HUNTED: Duration = Duration::from_secs(2);

/// How long to look for a moment in which nobody comes or goes, where nobody of the session
/// is seen.
const SURE: Duration = Duration::from_millis(500);

/// So many who came after the first look make no clean end: they are killed, not asked.
const HOPS: usize = 16;

/// Of processes with the same command line, so many are listed.
const SAME: usize = 8;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// They may still end by themselves.
    Waiting,
    /// Asked to end.
    Termed,
    /// Killed; whatever comes meanwhile is killed too.
    Killed,
}

/// One session's processes on their way out.
#[derive(Debug)]
pub struct Ending {
    leaving: Leaving,
    /// The session's end was told before.
    late: bool,
    grace: Duration,
    stage: Stage,
    since: Instant,
    reaped: Reaped,
    /// Those that were asked to end, listed or not.
    asked: BTreeSet<(u32, u64)>,
    /// Those that are listed, or counted among the rest.
    counted: BTreeSet<(u32, u64)>,
    /// All that were ever seen; how many of them came after the first look.
    seen: BTreeSet<(u32, u64)>,
    hops: usize,
    /// From when on nobody was seen, though it was not certain that nobody was there.
    unsure: Option<Instant>,
    /// By which a newcomer is known at once: what of its traces says something, and process
    /// groups that were nobody else's.
    scopes: BTreeSet<String>,
    audit: BTreeSet<u32>,
    groups: BTreeSet<u32>,
    /// Scopes in which all stand still until they are killed.
    frozen: BTreeSet<String>,
    /// Services that systemd is still to be told to stop, and those that it was.
    stops: BTreeSet<String>,
    stopped: BTreeSet<String>,
}

impl Ending {
    pub fn new(leaving: Leaving, grace: Duration, now: Instant) -> Self {
        Self {
            leaving,
            late: false,
            grace,
            stage: Stage::Waiting,
            since: now,
            reaped: Reaped::default(),
            asked: BTreeSet::new(),
            counted: BTreeSet::new(),
            seen: BTreeSet::new(),
            hops: 0,
            unsure: None,
            scopes: BTreeSet::new(),
            audit: BTreeSet::new(),
            groups: BTreeSet::new(),
            frozen: BTreeSet::new(),
            stops: BTreeSet::new(),
            stopped: BTreeSet::new(),
        }
    }

    /// Of what came after the end.
    pub fn of_late(leaving: Leaving, grace: Duration, now: Instant) -> Self {
        Self { late: true, ..Self::new(leaving, grace, now) }
    }

    pub fn is_late(&self) -> bool {
        self.late
    }

    pub fn session(&self) -> Option<SessionId> {
        self.leaving.session
    }

    /// Takes in what is known of the session's logins.
    pub fn learn(&mut self, logins: &Logins) {
        if let Some(session) = self.leaving.session {
            logins.add_to(session, &mut self.leaving.known);
        }
    }

    /// Where its processes were, for whoever looks for those that come late.
    pub fn leaving(&self) -> &Leaving {
        &self.leaving
    }

    /// These groups are given again: who holds them may.
    pub fn granted(&mut self, groups: &BTreeSet<Lost>) {
        self.leaving.lost.retain(|lost| !groups.contains(lost));
    }

    /// Services that systemd has to stop now; each once.
    pub fn take_services(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.stops)
    }

    /// Somebody has just come. Once its session's are killed, one of them lives no longer than
    /// this takes: by the next look it could have made another and be gone.
    pub fn seize(&mut self, process: &Process) {
        let its = process.audit.is_some_and(|audit| self.audit.contains(&audit))
            || process.scope.as_ref().is_some_and(|scope| self.scopes.contains(scope))
            // Where there are audit sessions, a marker is looked into before it is believed.
            || (process.audit.is_none() && process.marker.is_some() && process.marker == self.leaving.session)
            || self.groups.contains(&process.group);
        let hosts =
            process.kernels || process.server || process.pid == 1 || process.pid == std::process::id();
        if self.stage == Stage::Killed && its && !hosts {
            signal(process, Signal::SIGKILL);
        }
    }

    /// Does what is due, and says what was ended once nothing is left to do.
    pub fn look(&mut self, table: &Table, now: Instant) -> Option<Reaped> {
        let found = table.of(&self.leaving);
        let left: Vec<&Process> = found.iter().filter_map(|pid| table.get(*pid)).collect();
        // A child that cleans itself up between two looks is known by its parent's traces.
        if let Some(session) = self.leaving.session.filter(|_| !left.is_empty()) {
            self.leaving.known = trace(table, session, std::mem::take(&mut self.leaving.known));
        }
        (self.scopes, self.audit) = table.telling(&self.leaving.known);
        self.groups = table.own_process_groups(&found);
        let waited = now.saturating_duration_since(self.since);
        let unseen = self.scopes.iter().any(|scope| table.groups().is_populated(scope.as_bytes()));
        if left.is_empty() && !unseen {
            let since = *self.unsure.get_or_insert(now);
            if !table.is_steady() && now.saturating_duration_since(since) < SURE {
                return None;
            }
            // What systemd has just begun may not be known to it as a service's yet.
            if now.saturating_duration_since(since) < SURE && table.has_young_strays(&self.leaving) {
                return None;
            }
            if !table.is_steady() {
                self.reaped.unseen.insert(
                    "whether none of its processes is left: too many come and go on the host to look at each"
                        .to_owned(),
                );
            }
            return Some(self.tell(table));
        }
        self.unsure = None;
        if left.is_empty() && self.stage != Stage::Killed && self.hops < HOPS && waited >= BY_ITSELF {
            // They are never there when they are looked at: they stand still for the next look.
            let frozen = |scope: &&String| table.groups().freeze(scope.as_bytes()).is_ok();
            self.frozen.extend(self.scopes.iter().filter(frozen).cloned());
            self.hops = HOPS;
            return None;
        }
        let first = self.seen.is_empty();
        let before = self.seen.len();
        self.seen.extend(left.iter().map(|process| (process.pid, process.start)));
        self.hops += if first { 0 } else { self.seen.len() - before };
        // Nothing to stop, and no session's end shall wait for its targets. Killed, its unit
        // would have failed and the next logins would be without one.
        for process in left.iter().filter(|process| is_idle_manager(process, &left)) {
            heed(process, sys::exit_user_manager(process.pid));
        }
        match self.stage {
            Stage::Waiting | Stage::Termed if self.hops >= HOPS => {
                self.next(table, &left, Stage::Killed, now);
            }
            Stage::Waiting if waited >= BY_ITSELF => self.next(table, &left, Stage::Termed, now),
            Stage::Termed if waited >= self.grace => self.next(table, &left, Stage::Killed, now),
            Stage::Termed => self.ask(table, &left),
            Stage::Killed if waited >= if self.hops >= HOPS { HUNTED } else { KILLED } => {
                tracing::warn!(session = ?self.leaving.session, "processes outlive SIGKILL; does a device hang?");
                self.reaped.unseen.insert(format!(
                    "the end of {} of its processes: they outlive SIGKILL, or others come after them",
                    left.len().max(1)
                ));
                return Some(self.tell(table));
            }
            Stage::Killed => self.kill(table, &left),
            Stage::Waiting => {}
        }
        None
    }

    fn tell(&mut self, table: &Table) -> Reaped {
        let unread = table.unread().iter().map(|what| format!("whose processes some are: {what}"));
        self.reaped.unseen.extend(unread);
        self.reaped.unseen.extend(table.unclear(&self.leaving));
        std::mem::take(&mut self.reaped)
    }

    fn next(&mut self, table: &Table, left: &[&Process], stage: Stage, now: Instant) {
        self.stage = stage;
        self.since = now;
        match stage {
            Stage::Termed => self.ask(table, left),
            Stage::Killed => self.kill(table, left),
            Stage::Waiting => {}
        }
    }

    /// Asks those to end that were not asked before.
    fn ask(&mut self, table: &Table, left: &[&Process]) {
        let fresh = |process: &&&Process| !self.asked.contains(&(process.pid, process.start));
        let fresh: Vec<&Process> = left.iter().filter(fresh).copied().collect();
        // All are listed before the first is asked: one that goes with another could no
        // longer tell its command line.
        fresh.iter().for_each(|process| self.list(table, process, false));
        self.stop_services(table, &fresh);
        for process in fresh {
            self.asked.insert((process.pid, process.start));
            signal(process, Signal::SIGTERM);
        }
    }

    fn kill(&mut self, table: &Table, left: &[&Process]) {
        left.iter().for_each(|process| self.list(table, process, true));
        self.stop_services(table, left);
        // Whole groups first: who forks as it is looked at does not get out of them.
        let found = left.iter().map(|process| process.pid).collect();
        let mut groups = table.own_groups(&found);
        groups.extend(self.scopes.iter().map(|scope| scope.as_bytes().to_vec()));
        for group in groups.iter().filter(|group| table.groups().is_populated(group)) {
            if let Err(error) = table.groups().kill(group) {
                tracing::debug!(group = shown(group), %error, "the processes of a control group end one by one");
            }
        }
        for scope in std::mem::take(&mut self.frozen) {
            table.groups().thaw(scope.as_bytes());
        }
        for group in &self.groups {
            let _ = i32::try_from(*group).map(|group| killpg(Pid::from_raw(group), Signal::SIGKILL));
        }
        left.iter().for_each(|process| signal(process, Signal::SIGKILL));
    }

    fn stop_services(&mut self, table: &Table, left: &[&Process]) {
        let found = left.iter().map(|process| process.pid).collect();
        for service in table.services_of(&self.leaving, &found) {
            if self.stopped.insert(service.clone()) {
                self.stops.insert(service);
            }
        }
    }

    fn list(&mut self, table: &Table, process: &Process, killed: bool) {
        if let Some(listed) = self.reaped.leftovers.iter_mut().find(|listed| listed.pid == process.pid) {
            listed.killed |= killed;
            return;
        }
        if process.manager.is_some_and(|at| at.itself) || table.serves_login(process) {
            return;
        }
        if !self.counted.insert((process.pid, process.start)) {
            return;
        }
        if self.reaped.leftovers.len() >= MOST_LEFTOVERS {
            self.reaped.more += 1;
            return;
        }
        let (pid, comm, command) = (process.pid, shown(&process.comm), table.command(process.pid));
        let same = self.reaped.leftovers.iter().filter(|one| one.comm == comm && one.command == command);
        if same.count() >= SAME {
            self.reaped.more += 1;
        } else {
            self.reaped.leftovers.push(Leftover { pid, comm, command, killed });
        }
    }
}

/// Whether it is an account's own systemd, with nothing that it runs among those that go.
/// Its child that keeps its PAM session open goes by itself once it is gone.
fn is_idle_manager(process: &Process, left: &[&Process]) -> bool {
    let Some(Manager { uid, itself: true }) = process.manager else { return false };
    let keeps = |other: &&Process| {
        let at_it = other.manager.filter(|at| at.uid == uid);
        at_it.is_some_and(|at| !at.itself || other.pid == process.parent)
    };
    !left.iter().any(keeps)
}

fn signal(process: &Process, signal: Signal) {
    if let Some(pid) = i32::try_from(process.pid).ok().filter(|pid| *pid > 1) {
        heed(process, kill(Pid::from_raw(pid), signal));
    }
}

fn heed(process: &Process, sent: nix::Result<()>) {
    if let Err(error) = sent
        && error != Errno::ESRCH
    {
        tracing::warn!(pid = process.pid, %error, "a process of an ended session could not be ended");
    }
}
