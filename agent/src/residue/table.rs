//! The host's processes at one moment, and which of them belong to a session.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tidegate_common::id::SessionId;

use super::process::{self, Process, is_sshd, uid_of};
use super::{Leaving, Lost};
use crate::core::Traces;
use crate::logins::Logins;
use crate::paths::Paths;

/// All processes.
#[derive(Debug, Default)]
pub struct Table {
    proc: PathBuf,
    all: BTreeMap<u32, Process>,
}

impl Table {
    /// Reads /proc. A process that ends meanwhile is left out.
    #[must_use]
    pub fn read(paths: &Paths) -> Self {
        let proc = paths.proc.clone();
        let Ok(entries) = std::fs::read_dir(&proc) else { return Self::default() };
        let processes = entries.flatten().filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, process::read(&entry.path(), pid)?))
        });
        let all = processes.collect();
        Self { proc, all }
    }

    /// Takes no marker for true that the process's login gives the lie to.
    pub fn believe(&mut self, logins: &Logins) {
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
        found.extend(self.holding(&leaving.lost));
        found
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
        let mut uids: BTreeSet<u32> = scopes.iter().filter_map(|scope| uid_of(scope)).collect();
        let others = self.all.values().filter_map(|process| process.scope.as_ref());
        for other in others.filter(|scope| !scopes.contains(*scope)).filter_map(|scope| uid_of(scope)) {
            uids.remove(&other);
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

    /// Not process 1, a kernel thread, the agent or one above it, or sshd's listener.
    fn touchable(&self, process: &Process) -> bool {
        let kernels = process.pid <= 2 || process.parent == 2;
        !(kernels || self.ours(process.pid) || self.is_listener(process))
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

    fn is_listener(&self, process: &Process) -> bool {
        process.server && !self.parent(process.pid).is_some_and(|parent| is_sshd(&parent.comm))
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
        process.pid <= 2 || process.pid == std::process::id() || self.is_listener(process)
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::Manager;
    use super::*;

    fn mine() -> SessionId {
        SessionId::new(1, 1)
    }

    fn other() -> SessionId {
        SessionId::new(2, 2)
    }

    fn process(pid: u32, parent: u32, comm: &str, marker: Option<SessionId>) -> Process {
        let comm = comm.to_owned();
        let server = comm == "sshd" && pid == 100;
        let start = u64::from(pid);
        Process { pid, parent, start, comm, scope: None, manager: None, audit: None, marker, server }
    }

    fn table(processes: impl IntoIterator<Item = Process>) -> Table {
        let all = processes.into_iter().map(|process| (process.pid, process)).collect();
        Table { proc: "/nonexistent".into(), all }
    }

    /// A session (202) with its login, another's (302), and a daemon (400).
    fn host() -> Table {
        table([
            process(1, 0, "systemd", None),
            process(100, 1, "sshd", None),
            process(200, 100, "sshd", None),
            process(201, 200, "sshd", None),
            process(202, 201, "bash", Some(mine())),
            process(203, 202, "sudo", None),
            process(204, 203, "sh", None),
            process(300, 100, "sshd", None),
            process(301, 300, "sshd", None),
            process(302, 301, "bash", Some(other())),
            process(400, 1, "cron", None),
        ])
    }

    fn scope(uid: u32, number: u32) -> Option<String> {
        Some(format!("/user.slice/user-{uid}.slice/session-{number}.scope"))
    }

    fn found(table: &Table) -> BTreeSet<u32> {
        table.of_session(mine(), &Traces::default())
    }

    #[test]
    fn a_login_is_found_with_its_sshd_and_its_children_and_nothing_else() {
        let mut table = host();
        assert_eq!(found(&table), BTreeSet::from([200, 201, 202, 203, 204]));
        let serving = table.all.values().filter(|process| table.serves_login(process));
        assert_eq!(serving.map(|process| process.pid).collect::<Vec<_>>(), [200, 201, 300, 301]);
        // One that left its parents is found by its scope, unless the listener is in it.
        for pid in [202, 400] {
            table.all.get_mut(&pid).unwrap().scope = scope(7, 1);
        }
        assert!(found(&table).contains(&400));
        table.all.get_mut(&100).unwrap().scope = scope(7, 1);
        assert!(!found(&table).contains(&400));
    }

    #[test]
    fn a_process_that_calls_itself_sshd_is_ended_and_the_listener_is_not() {
        let mut table = host();
        let mut false_one = process(205, 1, "sshd", Some(mine()));
        false_one.scope = scope(7, 1);
        table.all.insert(205, false_one);
        table.all.get_mut(&202).unwrap().scope = scope(7, 1);
        let found = found(&table);
        assert!(found.contains(&205) && found.contains(&202), "{found:?}");
        assert!(!found.contains(&100));
    }

    #[test]
    fn anothers_name_in_the_environment_saves_no_process_of_this_login() {
        let mut table = host();
        for pid in [202, 302] {
            table.all.get_mut(&pid).unwrap().scope = scope(7, pid);
        }
        let mut liar = process(206, 1, "sleep", Some(other()));
        liar.scope = scope(7, 202);
        table.all.insert(206, liar);
        let found = found(&table);
        assert!(found.contains(&206), "{found:?}");
        assert!(!found.contains(&302));
    }

    #[test]
    fn what_the_accounts_systemd_started_goes_when_nobody_else_of_it_is_logged_in() {
        let mut table = host();
        table.all.get_mut(&202).unwrap().scope = scope(7, 1);
        let of = |pid: u32, uid: u32, itself: bool| {
            let manager = Some(Manager { uid, itself });
            Process { manager, ..process(pid, 1, "some", None) }
        };
        for one in [of(210, 7, true), of(211, 7, false), of(150, 7, false), of(212, 8, false)] {
            table.all.insert(one.pid, one);
        }
        let mine = found(&table);
        assert!(mine.contains(&211) && mine.contains(&210), "{mine:?}");
        assert!(!mine.contains(&150), "it is older than the session");
        assert!(!mine.contains(&212), "it is another account's");
        table.all.get_mut(&302).unwrap().scope = scope(7, 2);
        assert!(!found(&table).contains(&211), "the other login may have started it");
    }

    #[test]
    fn an_idle_systemd_of_the_account_is_left_alone() {
        let mut table = host();
        table.all.get_mut(&202).unwrap().scope = scope(7, 1);
        let manager = Some(Manager { uid: 7, itself: true });
        table.all.insert(210, Process { manager, ..process(210, 1, "systemd", None) });
        assert!(!found(&table).contains(&210));
    }
}
