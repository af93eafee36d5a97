//! What a session leaves behind on the host: its processes, which are ended, and
//! changes, which are reported ([`Keeper`]).
//!
//! A process belongs to the session when its environment carries the session's
//! marker, when it descends from such a process, when it lives in the same logind
//! scope or audit session as one, or when the account's own systemd runs it, was
//! asked to during the session, and nobody else of the account is logged in. What holds a
//! group that was taken from its account goes with it, whoever started it, and for half a
//! minute whatever comes late ([`Late`]). A heuristic: where the host has neither logind nor kernel audit, a process that
//! cleaned its environment and left its parents within [`Reaper`]'s looks is missed;
//! where it has no kernel audit, so is one that root moved out of its scope. What
//! cron, at or the host's systemd start is no process of the session: its job or
//! unit is reported instead.
//!
//! Never touched: process 1, the agent, sshd's listener, kernel threads, and scopes
//! or audit sessions that hold one of these.

mod changes;
mod ending;
mod late;
mod process;
mod reaper;
mod table;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tidegate_common::grant::Leftover;
use tidegate_common::id::SessionId;

use crate::core::Traces;
use crate::paths::Paths;
use ending::Ending;
use table::Table;

pub use changes::{Granted, Keeper, Notes};
pub use late::{Late, Lates, Lost};
pub use process::command_of;
pub use reaper::{Job, Reaper};

/// How often to look whether processes are gone.
const LOOK: Duration = Duration::from_millis(3);

/// Traces of one session kept at most; a session with more is found by its marker.
const MOST_TRACES: usize = 512;

/// Whose processes have to end.
#[derive(Debug, Clone, Default)]
pub struct Leaving {
    pub session: Option<SessionId>,
    pub known: Traces,
    /// Whoever holds one of these goes too.
    pub lost: BTreeSet<Lost>,
}

/// Ends the processes of several sessions side by side: TERM, and KILL after
/// `grace`. Returns for each what did not end by itself.
#[must_use]
pub fn end_all(
    paths: &Paths,
    leaving: impl IntoIterator<Item = Leaving>,
    grace: Duration,
) -> Vec<(Option<SessionId>, Vec<Leftover>)> {
    let now = Instant::now();
    let mut endings: Vec<Ending> =
        leaving.into_iter().map(|leaving| Ending::new(leaving, grace, now)).collect();
    let mut ended = Vec::new();
    while !endings.is_empty() {
        let table = Table::read(paths);
        endings.retain_mut(|ending| match ending.look(&table, Instant::now()) {
            Some(leftovers) => {
                ended.push((ending.session(), leftovers));
                false
            }
            None => true,
        });
        if !endings.is_empty() {
            std::thread::sleep(LOOK);
        }
    }
    ended
}

/// When a process started, in clock ticks since boot; `None` when there is none.
#[must_use]
pub fn start_of(paths: &Paths, pid: u32) -> Option<u64> {
    process::start_of(&paths.proc, pid)
}

/// Where the session's processes are now, added to what was known. Processes that have
/// ended are forgotten.
fn trace(table: &Table, session: SessionId, mut known: Traces) -> Traces {
    known.processes.retain(|(pid, start)| table.get(*pid).is_some_and(|process| process.start == *start));
    for process in table.of_session(session, &known).iter().filter_map(|pid| table.get(*pid)) {
        if let Some(scope) = process.scope.as_ref().filter(|scope| !table.shared_scope(scope)) {
            known.scopes.insert(scope.clone());
        }
        if let Some(audit) = process.audit.filter(|audit| !table.shared_audit(*audit)) {
            known.audit.insert(audit);
        }
        if known.processes.len() < MOST_TRACES {
            known.processes.insert((process.pid, process.start));
        }
        known.since = Some(known.since.map_or(process.start, |since| since.min(process.start)));
    }
    known
}

#[cfg(test)]
mod tests;
