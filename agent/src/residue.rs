//! What a session leaves behind on the host: its processes.
//!
//! A process belongs to the session when its environment carries the session's
//! marker, when it descends from such a process, or when it lives in the same
//! logind scope or audit session as one. A heuristic: a process that cleaned its
//! environment, left its parents and was never seen is missed where the host has
//! neither logind nor kernel audit.
//!
//! Never touched: process 1, the agent, sshd's listener, kernel threads, and scopes
//! or audit sessions that hold one of these.

mod table;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidegate_common::grant::Leftover;
use tidegate_common::id::SessionId;

use crate::core::Traces;
use crate::paths::Paths;
use table::{Process, Table};

/// What ends by itself within this time is no leftover: the login's own end.
const BY_ITSELF: Duration = Duration::from_millis(25);

/// How often to look whether processes are gone.
const LOOK: Duration = Duration::from_millis(3);

/// How long to wait for the kernel after SIGKILL.
const KILLED: Duration = Duration::from_millis(500);

/// Traces of one session kept at most; a session with more is found by its marker.
const MOST_TRACES: usize = 512;

/// Where the session's processes are now, added to what was known.
#[must_use]
pub fn trace(paths: &Paths, session: SessionId, known: Traces) -> Traces {
    trace_in(&Table::read(paths), session, known)
}

fn trace_in(table: &Table, session: SessionId, mut known: Traces) -> Traces {
    let found = table.of_session(session, &known);
    for process in found.iter().filter_map(|pid| table.get(*pid)) {
        if let Some(scope) = process.scope.as_ref().filter(|scope| !table.shared_scope(scope)) {
            known.scopes.insert(scope.clone());
        }
        if let Some(audit) = process.audit.filter(|audit| !table.shared_audit(*audit)) {
            known.audit.insert(audit);
        }
        if known.processes.len() < MOST_TRACES {
            known.processes.insert((process.pid, process.start));
        }
    }
    known
}

/// Ends the session's processes: TERM, and KILL after `grace`. Returns what did
/// not end by itself.
#[must_use]
pub fn end(paths: &Paths, session: SessionId, known: Traces, grace: Duration) -> Vec<Leftover> {
    let table = Table::read(paths);
    if table.of_session(session, &known).is_empty() {
        return Vec::new();
    }
    let known = trace_in(&table, session, known);
    let mut ended: Vec<Leftover> = Vec::new();
    let left = wait_gone(paths, session, &known, BY_ITSELF);
    for process in &left {
        signal(process, Signal::SIGTERM);
        ended.push(Leftover { pid: process.pid, comm: process.comm.clone(), killed: false });
    }
    if left.is_empty() {
        return ended;
    }
    // Those that came meanwhile are found too: each look starts from the whole table.
    let deaf = wait_gone(paths, session, &known, grace);
    kill_all(&deaf, &mut ended);
    for process in wait_gone(paths, session, &known, KILLED) {
        kill_all(std::slice::from_ref(&process), &mut ended);
    }
    ended
}

fn kill_all(processes: &[Process], ended: &mut Vec<Leftover>) {
    for process in processes {
        signal(process, Signal::SIGKILL);
        ended.retain(|leftover| leftover.pid != process.pid);
        ended.push(Leftover { pid: process.pid, comm: process.comm.clone(), killed: true });
    }
}

/// What is left of the session after at most `patience`.
fn wait_gone(paths: &Paths, session: SessionId, known: &Traces, patience: Duration) -> Vec<Process> {
    let started = Instant::now();
    loop {
        let table = Table::read(paths);
        let left: BTreeSet<u32> = table.of_session(session, known);
        if left.is_empty() || started.elapsed() >= patience {
            return left.iter().filter_map(|pid| table.get(*pid).cloned()).collect();
        }
        std::thread::sleep(LOOK);
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

#[cfg(test)]
mod tests;
