//! The end of one session's processes, a look at a time.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidegate_common::grant::Leftover;
use tidegate_common::id::SessionId;

use super::table::{Process, Table};
use super::trace;
use crate::core::Traces;

/// What ends by itself within this time is no leftover: the login's own end.
const BY_ITSELF: Duration = Duration::from_millis(25);

/// How long to wait for the kernel after SIGKILL before giving up on a process.
const KILLED: Duration = Duration::from_millis(500);

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
    session: SessionId,
    known: Traces,
    grace: Duration,
    stage: Stage,
    since: Instant,
    ended: Vec<Leftover>,
}

impl Ending {
    pub fn new(session: SessionId, known: Traces, grace: Duration, now: Instant) -> Self {
        Self { session, known, grace, stage: Stage::Waiting, since: now, ended: Vec::new() }
    }

    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Does what is due, and says what was ended once nothing is left to do.
    pub fn look(&mut self, table: &Table, now: Instant) -> Option<Vec<Leftover>> {
        let left: Vec<&Process> =
            table.of_session(self.session, &self.known).iter().filter_map(|pid| table.get(*pid)).collect();
        if left.is_empty() {
            return Some(std::mem::take(&mut self.ended));
        }
        // A child that cleans itself up between two looks is known by its parent's traces.
        self.known = trace(table, self.session, std::mem::take(&mut self.known));
        let waited = now.saturating_duration_since(self.since);
        match self.stage {
            Stage::Waiting if waited >= BY_ITSELF => self.next(&left, Stage::Termed, now),
            Stage::Termed if waited >= self.grace => self.next(&left, Stage::Killed, now),
            Stage::Termed => self.signal_new(&left, Signal::SIGTERM),
            Stage::Killed if waited >= KILLED => {
                tracing::warn!(session = %self.session, "processes outlive SIGKILL; does a device hang?");
                return Some(std::mem::take(&mut self.ended));
            }
            Stage::Killed => self.kill(&left),
            Stage::Waiting => {}
        }
        None
    }

    fn next(&mut self, left: &[&Process], stage: Stage, now: Instant) {
        self.stage = stage;
        self.since = now;
        match stage {
            Stage::Termed => self.signal_new(left, Signal::SIGTERM),
            Stage::Killed => self.kill(left),
            Stage::Waiting => {}
        }
    }

    /// Asks those that were not asked before.
    fn signal_new(&mut self, left: &[&Process], with: Signal) {
        for process in left {
            if !self.ended.iter().any(|leftover| leftover.pid == process.pid) {
                signal(process, with);
                self.ended.push(Leftover { pid: process.pid, comm: process.comm.clone(), killed: false });
            }
        }
    }

    fn kill(&mut self, left: &[&Process]) {
        for process in left {
            signal(process, Signal::SIGKILL);
            self.ended.retain(|leftover| leftover.pid != process.pid);
            self.ended.push(Leftover { pid: process.pid, comm: process.comm.clone(), killed: true });
        }
    }
}

fn signal(process: &Process, signal: Signal) {
    let Ok(pid) = i32::try_from(process.pid) else { return };
    if pid > 1
        && let Err(error) = kill(Pid::from_raw(pid), signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(pid, %error, "a process of an ended session could not be ended");
    }
}
