//! The end of one session's processes, a look at a time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidegate_common::grant::Leftover;
use tidegate_common::id::SessionId;

use super::process::{Manager, Process};
use super::table::Table;
use super::{Leaving, Lost, trace};
use crate::logins::Logins;
use crate::sys;

/// What ends by itself within this time is no leftover: the login's own end.
const BY_ITSELF: Duration = Duration::from_millis(25);

/// How long to wait for the kernel after SIGKILL before giving up on a process.
const KILLED: Duration = Duration::from_millis(500);

/// Ended processes listed at most; a report must fit a frame.
const MOST_LISTED: usize = 256;

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
    ended: Vec<Leftover>,
    /// Those that were asked to end, listed or not.
    asked: BTreeSet<(u32, u64)>,
}

impl Ending {
    pub fn new(leaving: Leaving, grace: Duration, now: Instant) -> Self {
        Self {
            leaving,
            late: false,
            grace,
            stage: Stage::Waiting,
            since: now,
            ended: Vec::new(),
            asked: BTreeSet::new(),
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

    /// These groups are given again: who holds them may.
    pub fn granted(&mut self, groups: &BTreeSet<Lost>) {
        self.leaving.lost.retain(|lost| !groups.contains(lost));
    }

    /// Does what is due, and says what was ended once nothing is left to do.
    pub fn look(&mut self, table: &Table, now: Instant) -> Option<Vec<Leftover>> {
        let left: Vec<&Process> = table.of(&self.leaving).iter().filter_map(|pid| table.get(*pid)).collect();
        if left.is_empty() {
            return Some(std::mem::take(&mut self.ended));
        }
        // A child that cleans itself up between two looks is known by its parent's traces.
        if let Some(session) = self.leaving.session {
            self.leaving.known = trace(table, session, std::mem::take(&mut self.leaving.known));
        }
        // Nothing to stop, and no session's end shall wait for its targets. Killed, its unit
        // would have failed and the next logins would be without one.
        for process in left.iter().filter(|process| is_idle_manager(process, &left)) {
            heed(process, sys::exit_user_manager(process.pid));
        }
        let waited = now.saturating_duration_since(self.since);
        match self.stage {
            Stage::Waiting if waited >= BY_ITSELF => self.next(table, &left, Stage::Termed, now),
            Stage::Termed if waited >= self.grace => self.next(table, &left, Stage::Killed, now),
            Stage::Termed => self.ask(table, &left),
            Stage::Killed if waited >= KILLED => {
                tracing::warn!(session = ?self.leaving.session, "processes outlive SIGKILL; does a device hang?");
                return Some(std::mem::take(&mut self.ended));
            }
            Stage::Killed => self.kill(table, &left),
            Stage::Waiting => {}
        }
        None
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
        for process in fresh {
            self.asked.insert((process.pid, process.start));
            signal(process, Signal::SIGTERM);
        }
    }

    fn kill(&mut self, table: &Table, left: &[&Process]) {
        for process in left {
            self.list(table, process, true);
            signal(process, Signal::SIGKILL);
        }
    }

    fn list(&mut self, table: &Table, process: &Process, killed: bool) {
        if let Some(listed) = self.ended.iter_mut().find(|listed| listed.pid == process.pid) {
            listed.killed |= killed;
            return;
        }
        let hosts_own = process.manager.is_some_and(|at| at.itself) || table.serves_login(process);
        if self.ended.len() < MOST_LISTED && !hosts_own {
            let (pid, comm) = (process.pid, process.comm.clone());
            self.ended.push(Leftover { pid, comm, command: table.command(pid), killed });
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
