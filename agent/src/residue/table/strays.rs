//! Processes that began while a session lived and that nothing is known of: neither a login, nor a
//! service, nor any process that was there before has them. Root's leave their login, their
//! control group and their parents behind, and no kernel says whose they were. They are told, not
//! ended: a daemon's helper that goes on by itself looks the same.
//!
//! It fails where a service of which systemd knows no main process is started in the session, for
//! what begins beside it; where a process of the host's is made to start another (ptrace(2)); where
//! something other than systemd runs the host; and what comes from outside of a container is not
//! its host's.

use std::collections::BTreeSet;

use super::super::{Leaving, TICKS, now};
use super::Table;
use crate::process::{Process, is_own, shown, uid_of};

/// How many are told of which nobody can say who asked for them.
const MOST_UNCLEAR: usize = 8;

/// So young a process may be one that systemd is about to start, in clock ticks.
const YOUNG: u64 = TICKS / 2;

/// How long a control group may be that is told, in bytes.
const MOST_PLACE: usize = 120;

impl Table {
    /// What began while the session lived and is not known to be the session's or anybody's, one
    /// sentence each.
    #[must_use]
    pub fn unclear(&self, leaving: &Leaving) -> BTreeSet<String> {
        let Some(session) = leaving.session else { return BTreeSet::new() };
        let found = self.of_session(session, &leaving.known);
        let jobs = self.unclear_jobs(leaving, &found);
        let Some(strays) = self.strays(leaving, &jobs) else {
            return ["whose processes are that began meanwhile: systemd does not say what it runs".to_owned()].into();
        };
        let strays: Vec<&Process> =
            strays.into_iter().filter(|process| !jobs.contains(&process.pid)).collect();
        let rest = (jobs.len() + strays.len()).saturating_sub(MOST_UNCLEAR);
        let jobs = jobs.iter().filter_map(|pid| self.get(*pid)).map(|process| {
            let (pid, command) = (process.pid, self.command(process.pid));
            format!("who asked for process {pid} ({command}): it began meanwhile, and others were logged in")
        });
        let strays = strays.iter().map(|process| {
            let (pid, command, place) = (process.pid, self.command(process.pid), place_of(process));
            format!(
                "who asked for process {pid} ({command}): it began meanwhile in {place}, and neither a login nor a service has it"
            )
        });
        let mut told: BTreeSet<String> = strays.chain(jobs).take(MOST_UNCLEAR).collect();
        if rest > 0 {
            told.insert(format!("who asked for {rest} more processes that began meanwhile"));
        }
        told
    }

    /// Whether one of them has just come, so that a moment later more is known of it.
    #[must_use]
    pub fn has_young_strays(&self, leaving: &Leaving) -> bool {
        let strays = self.strays(leaving, &BTreeSet::new()).unwrap_or_default();
        strays.iter().any(|process| process.start + YOUNG > now())
    }

    /// The uppermost of each. `None` where systemd would have to say more and does not.
    pub(super) fn strays(&self, leaving: &Leaving, jobs: &BTreeSet<u32>) -> Option<Vec<&Process>> {
        let Some(session) = leaving.session.filter(|_| leaving.powers && self.is_systemds()) else {
            return Some(Vec::new());
        };
        let its = self.of_session(session, &leaving.known);
        let Some(since) = self.since(&its, &leaving.known) else { return Some(Vec::new()) };
        let scopes = self.scopes_of(leaving, &its);
        let mut found = self.of(leaving);
        found.extend(jobs);
        let others = self.other_logins(&scopes, since);
        let logins: BTreeSet<u32> = others.values().flat_map(|login| login.processes.clone()).collect();
        let own_managers = self.own_managers(&scopes);
        let is_loose = |process: &&Process| {
            process.start >= since
                && process.parent == 1
                && !process.kernels
                && !is_outside(process)
                && !found.contains(&process.pid)
                && !logins.contains(&process.pid)
                && !own_managers.contains(&process.pid)
                && !self.ours(process.pid)
                && !process.service.as_ref().is_some_and(|unit| is_own(unit))
        };
        let loose: Vec<&Process> = self.all.values().filter(is_loose).collect();
        if loose.is_empty() {
            return Some(loose);
        }
        let mains = self.services.mains()?;
        // One that was asked for and is in its place would have been found.
        let is_services = |process: &Process| {
            mains.unit_of(process.pid).is_some_and(|unit| !self.was_asked_for(unit))
                || process.service.as_ref().is_some_and(|unit| mains.was_starting(unit, process.start))
        };
        Some(loose.into_iter().filter(|process| !is_services(process)).collect())
    }

    /// The systemd of each account that these scopes are of: where only one can be it, it need not
    /// be asked for.
    fn own_managers(&self, scopes: &BTreeSet<String>) -> BTreeSet<u32> {
        let uids: BTreeSet<u32> = scopes.iter().filter_map(|scope| uid_of(scope)).collect();
        let mut managers = BTreeSet::new();
        for uid in uids {
            let is_it = |process: &&Process| {
                process.parent == 1 && process.manager.is_some_and(|at| at.uid == uid && at.itself)
            };
            let mut those = self.all.values().filter(is_it);
            if let (Some(only), None) = (those.next(), those.next()) {
                managers.insert(only.pid);
            }
        }
        managers
    }
}

/// Whether it is in a control group outside of what this host sees of them (cgroup_namespaces(7)).
fn is_outside(process: &Process) -> bool {
    process.cgroup.as_ref().is_some_and(|group| group.starts_with(b"/.."))
}

fn place_of(process: &Process) -> String {
    let group = process.cgroup.as_deref().unwrap_or_default();
    let mut place = if group.is_empty() { "no control group".to_owned() } else { shown(group) };
    place.truncate(place.floor_char_boundary(MOST_PLACE));
    place
}
