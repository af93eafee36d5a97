//! What a session leaves behind on the host: its processes, which are ended, and
//! changes, which are reported ([`Comparer`]).
//!
//! A process belongs to the session when its environment carries the session's
//! marker, when it descends from such a process, when it lives in the same logind
//! scope or audit session as one, or when the account's own systemd runs it, was
//! asked to during the session, and nobody else of the account is logged in. What holds a
//! group that was taken from its account goes with it, whoever started it, and for half a
//! minute whatever comes late ([`Late`]). A heuristic: where the host has neither logind nor kernel audit, a process that
//! cleaned its environment and left its parents within [`Reaper`]'s looks is missed;
//! where it has no kernel audit, one that root moved out of its scope is only told of, as one
//! that nobody has. Services that
//! a systemd was asked for while the session lived, and jobs of at(1) and cron(8), are the
//! session's where nobody else was logged in who could have asked; what has a unit file is the
//! host's: the file is reported instead.
//!
//! Sessions end by control group where they can: those that fork as they are looked at are
//! in none of two looks. And none is taken to be over before every process that was there
//! could be looked at, twice in a row; where no such moment comes, the report says so.
//!
//! Never touched: process 1, the agent, what it runs itself, sshd's listener, kernel threads,
//! and scopes or audit sessions that hold one of these.

mod cgroup;
mod changes;
mod ending;
mod late;
mod reaper;
mod systemd;
mod table;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tidegate_common::id::SessionId;

use crate::core::{Reaped, Traces};
use crate::paths::Paths;
use crate::process::{self, Lost};
use ending::Ending;
use systemd::Services;
use table::Table;

pub use changes::{Beginning, Comparer, Notes, missed};
pub use late::{Late, Lates};
pub use reaper::{Job, Reaper};
pub use systemd::Systemd;

/// How often to look whether processes are gone.
const LOOK: Duration = Duration::from_millis(3);

/// Clock ticks in a second, as /proc counts them on every Linux (`USER_HZ`).
const TICKS: u64 = 100;

/// Traces of one session kept at most; a session with more is found by its marker.
const MOST_TRACES: usize = 512;

/// Whose processes have to end.
#[derive(Debug, Clone, Default)]
pub struct Leaving {
    pub session: Option<SessionId>,
    pub known: Traces,
    /// Whoever holds one of these goes too.
    pub lost: BTreeSet<Lost>,
    /// Whether the session could have asked the host's systemd for something: it was given a
    /// privilege, or is root's.
    pub powers: bool,
}

/// Ends the processes of several sessions side by side: TERM, and KILL after
/// `grace`. Returns for each what did not end by itself.
#[must_use]
pub fn end_all(
    paths: &Paths,
    leaving: impl IntoIterator<Item = Leaving>,
    grace: Duration,
    systemd: Systemd,
) -> Vec<(Option<SessionId>, Reaped)> {
    let now = Instant::now();
    let mut endings: Vec<Ending> =
        leaving.into_iter().map(|leaving| Ending::new(leaving, grace, now)).collect();
    let mut ended = Vec::new();
    let services = Services::new(systemd);
    while !endings.is_empty() {
        let mut table = Table::read(paths).asking(&services);
        table.settle(|process| endings.iter_mut().for_each(|ending| ending.seize(process)));
        endings.retain_mut(|ending| match ending.look(&table, Instant::now()) {
            Some(reaped) => {
                ended.push((ending.session(), reaped));
                false
            }
            None => true,
        });
        endings.iter_mut().flat_map(Ending::take_services).for_each(|service| (systemd.stop)(&service));
        if !endings.is_empty() {
            std::thread::sleep(LOOK);
        }
    }
    ended
}

/// The time by which processes start, in clock ticks since boot.
fn now() -> u64 {
    ticks(ClockId::CLOCK_BOOTTIME)
}

/// For how long of it the host slept.
fn asleep() -> u64 {
    now().saturating_sub(ticks(ClockId::CLOCK_MONOTONIC))
}

fn ticks(clock: ClockId) -> u64 {
    let since = clock_gettime(clock).map(Duration::from).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX) / (1000 / TICKS)
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
    let found = table.of_session(session, &known);
    let found: Vec<_> = found.iter().filter_map(|pid| table.get(*pid)).collect();
    // Each is asked for once, however many are in it.
    let scopes: BTreeSet<&String> = found.iter().filter_map(|process| process.scope.as_ref()).collect();
    let audit: BTreeSet<u32> = found.iter().filter_map(|process| process.audit).collect();
    known.scopes.extend(scopes.into_iter().filter(|scope| !table.shared_scope(scope)).cloned());
    known.audit.extend(audit.into_iter().filter(|audit| !table.shared_audit(*audit)));
    for process in found {
        if known.processes.len() < MOST_TRACES {
            known.processes.insert((process.pid, process.start));
        }
        known.since = Some(known.since.map_or(process.start, |since| since.min(process.start)));
    }
    known
}

#[cfg(test)]
mod tests;
