//! The host's processes at one moment, and which of them belong to a session.

mod jobs;
mod logins;
mod look;
mod strays;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tidegate_common::id::SessionId;

use super::Leaving;
use super::cgroup::Groups;
use super::systemd::Services;
use crate::core::Traces;
use crate::logins::Logins;
use crate::process::{self, Lost, Process, is_own, is_sshd};

/// All processes.
#[derive(Debug, Default)]
pub struct Table {
    proc: PathBuf,
    root: PathBuf,
    groups: Groups,
    all: BTreeMap<u32, Process>,
    /// Those that have ended and wait for their parents.
    over: BTreeSet<u32>,
    /// In how many looks, the last ones in a row, each who was listed could be read.
    whole: u32,
    unread: BTreeSet<String>,
    /// Audit sessions of logins that were seen to come over a connection.
    connected: BTreeSet<u32>,
    services: Services,
}

impl Table {
    /// Has systemd asked by these what it began, where that matters.
    #[must_use]
    pub fn asking(self, services: &Services) -> Self {
        Self { services: services.clone(), ..self }
    }

    /// What could not be read, but for what had ended meanwhile; one sentence each.
    #[must_use]
    pub fn unread(&self) -> &BTreeSet<String> {
        &self.unread
    }

    /// Whether nobody was missed in the last two looks: then whoever is not in it is not there.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.whole >= 2
    }

    /// The tree by which processes end together.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Takes no marker for true that the process's login gives the lie to.
    pub fn believe(&mut self, logins: &Logins) {
        self.connected = logins.connected();
        for process in self.all.values_mut() {
            if let (Some(session), Some(ses)) = (process.marker, process.audit)
                && !logins.marked(session, ses, process.pid)
            {
                process.marker = None;
            }
        }
    }

    /// Whether any process is in that audit session.
    pub fn has_login(&self, ses: u32) -> bool {
        self.all.values().any(|process| process.audit == Some(ses))
    }

    #[must_use]
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.all.get(&pid)
    }

    /// Its command line, read now.
    #[must_use]
    pub fn command(&self, pid: u32) -> String {
        process::command_of(&self.proc, pid)
    }

    /// The session's processes: marked, known, of the same scope or audit session,
    /// their descendants, the sshd processes that serve just this login, and what
    /// the account's own systemd runs for it.
    #[must_use]
    pub fn of_session(&self, session: SessionId, known: &Traces) -> BTreeSet<u32> {
        let marked = |process: &&Process| {
            process.marker == Some(session) || known.processes.contains(&(process.pid, process.start))
        };
        let mut found: BTreeSet<u32> = self.all.values().filter(marked).map(|process| process.pid).collect();
        let mut scopes = known.scopes.clone();
        let mut audit = known.audit.clone();
        for process in found.iter().filter_map(|pid| self.all.get(pid)) {
            scopes.extend(process.scope.clone());
            audit.extend(process.audit);
        }
        scopes.retain(|scope| !self.shared_scope(scope));
        audit.retain(|audit| !self.shared_audit(*audit));
        // What the kernel says goes before what the environment claims.
        let together = |process: &Process| {
            process.scope.as_ref().is_some_and(|scope| scopes.contains(scope))
                || process.audit.is_some_and(|id| audit.contains(&id))
        };
        found.extend(self.all.values().filter(|process| together(process)).map(|process| process.pid));
        let logins: Vec<u32> = found.iter().flat_map(|pid| self.login_of(*pid)).collect();
        found.extend(logins);
        found.extend(self.of_managers(&scopes, self.since(&found, known)));
        self.add_descendants(&mut found);
        found.retain(|pid| {
            self.all.get(pid).is_some_and(|process| {
                let others = process.marker.is_some_and(|marker| marker != session);
                self.touchable(process) && (!others || together(process))
            })
        });
        found
    }

    /// All that have to end: the session's processes, and those that hold a lost group.
    #[must_use]
    pub fn of(&self, leaving: &Leaving) -> BTreeSet<u32> {
        let session = leaving.session.map(|session| self.of_session(session, &leaving.known));
        let mut found = session.unwrap_or_default();
        if leaving.session.is_some() {
            let mut started = self.started_for(leaving, &found);
            self.add_descendants(&mut started);
            started.retain(|pid| self.get(*pid).is_some_and(|process| self.touchable(process)));
            found.extend(started);
        }
        found.extend(self.holding(&leaving.lost));
        found
    }

    /// Control groups that are nobody else's than these processes': they can end as a whole.
    #[must_use]
    pub fn own_groups(&self, found: &BTreeSet<u32>) -> BTreeSet<Vec<u8>> {
        let groups = found.iter().filter_map(|pid| self.get(*pid)?.cgroup.clone());
        let groups: BTreeSet<Vec<u8>> = groups.collect();
        let others = self.all.values().filter(|process| !found.contains(&process.pid));
        let others: BTreeSet<&[u8]> = others.filter_map(|process| process.cgroup.as_deref()).collect();
        let is_own = |group: &Vec<u8>| {
            let below = |other: &&[u8]| {
                other.strip_prefix(&group[..]).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
            };
            !others.iter().any(below)
        };
        groups.into_iter().filter(is_own).collect()
    }

    /// Process groups (setpgid(2)) that are nobody else's: one signal reaches all of one,
    /// whoever forks meanwhile.
    #[must_use]
    pub fn own_process_groups(&self, found: &BTreeSet<u32>) -> BTreeSet<u32> {
        let mut own: BTreeSet<u32> = found.iter().filter_map(|pid| Some(self.get(*pid)?.group)).collect();
        for other in self.all.values().filter(|process| !found.contains(&process.pid)) {
            own.remove(&other.group);
        }
        own.retain(|group| *group > 1);
        own
    }

    /// A session's scopes and audit sessions without those that say nothing.
    #[must_use]
    pub fn telling(&self, known: &Traces) -> (BTreeSet<String>, BTreeSet<u32>) {
        let scopes = known.scopes.iter().filter(|scope| !self.shared_scope(scope)).cloned();
        let audit = known.audit.iter().filter(|audit| !self.shared_audit(**audit)).copied();
        (scopes.collect(), audit.collect())
    }

    /// Processes of an account that hold a group which was taken from it.
    #[must_use]
    pub fn holding(&self, lost: &BTreeSet<Lost>) -> BTreeSet<u32> {
        if lost.is_empty() {
            return BTreeSet::new();
        }
        let holds = |process: &&Process| {
            self.touchable(process) && process::holds(&self.proc.join(process.pid.to_string()), lost)
        };
        self.all.values().filter(holds).map(|process| process.pid).collect()
    }

    /// Known processes that neither the kernel nor their environment gives away.
    #[must_use]
    pub fn astray(&self, session: SessionId, known: &Traces) -> BTreeSet<(u32, u64)> {
        let found_by_itself = |process: &Process| {
            process.marker == Some(session)
                || process.scope.as_ref().is_some_and(|scope| known.scopes.contains(scope))
                || process.audit.is_some_and(|audit| known.audit.contains(&audit))
        };
        let here = |(pid, _): &&(u32, u64)| self.get(*pid).is_some_and(|process| !found_by_itself(process));
        known.processes.iter().filter(here).copied().collect()
    }

    /// When the first process of the session started.
    fn since(&self, found: &BTreeSet<u32>, known: &Traces) -> Option<u64> {
        let now = found.iter().filter_map(|pid| self.all.get(pid)).map(|process| process.start);
        now.chain(known.since).min()
    }

    /// What the systemd of the session's account has started since the session began
    /// (`systemd-run --user`), where no other login of the account could have asked for
    /// it. With it goes that systemd itself, if it is no older: it would start again
    /// what is ended.
    fn of_managers(&self, scopes: &BTreeSet<String>, since: Option<u64>) -> Vec<u32> {
        let Some(since) = since else { return Vec::new() };
        let mut uids: BTreeSet<u32> = scopes.iter().filter_map(|scope| process::uid_of(scope)).collect();
        for other in self.other_logins(scopes, since).values() {
            uids.retain(|uid| Some(*uid) != other.uid);
        }
        let mut found = Vec::new();
        for uid in uids {
            let of = |itself: bool| {
                let own = self.all.values().filter(move |process| {
                    process.start >= since
                        && process.manager.is_some_and(|at| at.uid == uid && at.itself == itself)
                });
                own.map(|process| process.pid)
            };
            let started: Vec<u32> = of(false).collect();
            if !started.is_empty() {
                found.extend(of(true));
            }
            found.extend(started);
        }
        found
    }

    /// sshd's processes between a session's process and the listener.
    fn login_of(&self, pid: u32) -> Vec<u32> {
        let mut login = Vec::new();
        let mut at = self.parent(pid);
        while let Some(process) = at.filter(|process| is_sshd(&process.comm)) {
            if !self.parent(process.pid).is_some_and(|parent| is_sshd(&parent.comm)) {
                break;
            }
            login.push(process.pid);
            at = self.parent(process.pid);
        }
        login
    }

    fn parent(&self, pid: u32) -> Option<&Process> {
        self.all.get(&pid).and_then(|process| self.all.get(&process.parent))
    }

    fn add_descendants(&self, found: &mut BTreeSet<u32>) {
        let mut more = true;
        while more {
            let children: Vec<u32> = self
                .all
                .values()
                .filter(|process| found.contains(&process.parent) && !found.contains(&process.pid))
                .map(|process| process.pid)
                .collect();
            more = !children.is_empty();
            found.extend(children);
        }
    }

    /// Not process 1, a kernel thread, the agent, one above it or what it runs itself, or
    /// sshd's listener.
    pub fn touchable(&self, process: &Process) -> bool {
        let hosts = process.pid == 1 || process.kernels;
        let agents = self.ours(process.pid) || process.service.as_ref().is_some_and(|unit| is_own(unit));
        !(hosts || agents || self.is_listener(process))
    }

    fn ours(&self, pid: u32) -> bool {
        let mut at = self.all.get(&std::process::id());
        for _ in 0..64 {
            match at {
                Some(process) if process.pid == pid => return true,
                Some(process) => at = self.all.get(&process.parent),
                None => return false,
            }
        }
        false
    }

    /// Where systemd runs the host, it runs sshd too, in a unit and outside of any audit
    /// session: one that somebody started otherwise is that somebody's.
    fn is_listener(&self, process: &Process) -> bool {
        let hosts = !self.is_systemds() || (process.service.is_some() && process.audit.is_none());
        process.server && hosts && !self.parent(process.pid).is_some_and(|parent| is_sshd(&parent.comm))
    }

    /// Whether it is sshd's own end of a login: it goes with the connection, however long
    /// that takes, and nobody left it behind.
    #[must_use]
    pub fn serves_login(&self, process: &Process) -> bool {
        let served =
            |process: &Process| self.parent(process.pid).is_some_and(|parent| self.is_listener(parent));
        let parents =
            || self.parent(process.pid).is_some_and(|parent| is_sshd(&parent.comm) && served(parent));
        is_sshd(&process.comm) && (served(process) || parents())
    }

    /// Whether a scope also holds what is never touched, so that it says nothing.
    #[must_use]
    pub fn shared_scope(&self, scope: &str) -> bool {
        self.all.values().any(|process| process.scope.as_deref() == Some(scope) && self.guards(process))
    }

    /// The same of an audit session.
    #[must_use]
    pub fn shared_audit(&self, audit: u32) -> bool {
        self.all.values().any(|process| process.audit == Some(audit) && self.guards(process))
    }

    fn guards(&self, process: &Process) -> bool {
        process.pid == 1 || process.kernels || process.pid == std::process::id() || self.is_listener(process)
    }
}
