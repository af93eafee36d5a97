//! The host's processes at one moment, from /proc (proc(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use tidegate_common::id::SessionId;
use tidegate_common::wire::SESSION_VARIABLE;

use crate::core::Traces;
use crate::paths::Paths;

/// How much of an environment is searched, in bytes; the kernel allows more.
const MOST_ENVIRONMENT: u64 = 256 * 1024;

/// The kernel's way to say that a process is in no audit session.
const NO_AUDIT: u32 = u32::MAX;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    /// When it started, in clock ticks since boot: with `pid`, unique.
    pub start: u64,
    pub comm: String,
    /// Its logind scope, as a path below the cgroup root.
    pub scope: Option<String>,
    pub audit: Option<u32>,
    /// The session its environment names.
    pub marker: Option<SessionId>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Table(BTreeMap<u32, Process>);

impl Table {
    /// Reads /proc. A process that ends meanwhile is left out.
    #[must_use]
    pub fn read(paths: &Paths) -> Self {
        let Ok(entries) = std::fs::read_dir(&paths.proc) else { return Self::default() };
        let processes = entries.flatten().filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, read_process(&entry.path(), pid)?))
        });
        Self(processes.collect())
    }

    #[must_use]
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.0.get(&pid)
    }

    /// The session's processes: marked, known, of the same scope or audit session,
    /// their descendants, and the sshd processes that serve just this login.
    #[must_use]
    pub fn of_session(&self, session: SessionId, known: &Traces) -> BTreeSet<u32> {
        let marked = |process: &&Process| {
            process.marker == Some(session) || known.processes.contains(&(process.pid, process.start))
        };
        let mut found: BTreeSet<u32> = self.0.values().filter(marked).map(|process| process.pid).collect();
        let mut scopes = known.scopes.clone();
        let mut audit = known.audit.clone();
        for process in found.iter().filter_map(|pid| self.0.get(pid)) {
            scopes.extend(process.scope.clone());
            audit.extend(process.audit);
        }
        scopes.retain(|scope| !self.shared_scope(scope));
        audit.retain(|audit| !self.shared_audit(*audit));
        let together = |process: &&Process| {
            process.scope.as_ref().is_some_and(|scope| scopes.contains(scope))
                || process.audit.is_some_and(|id| audit.contains(&id))
        };
        found.extend(self.0.values().filter(together).map(|process| process.pid));
        let logins: Vec<u32> = found.iter().flat_map(|pid| self.login_of(*pid)).collect();
        found.extend(logins);
        self.add_descendants(&mut found);
        found.retain(|pid| !self.untouchable(*pid, session));
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
        self.0.get(&pid).and_then(|process| self.0.get(&process.parent))
    }

    fn add_descendants(&self, found: &mut BTreeSet<u32>) {
        let mut more = true;
        while more {
            let children: Vec<u32> = self
                .0
                .values()
                .filter(|process| found.contains(&process.parent) && !found.contains(&process.pid))
                .map(|process| process.pid)
                .collect();
            more = !children.is_empty();
            found.extend(children);
        }
    }

    /// Process 1, kernel threads, the agent and those above it, sshd's listener, and
    /// processes that carry another session's marker.
    fn untouchable(&self, pid: u32, session: SessionId) -> bool {
        let Some(process) = self.0.get(&pid) else { return true };
        let others = process.marker.is_some_and(|marker| marker != session);
        pid <= 2 || process.parent == 2 || others || self.ours(pid) || self.is_listener(process)
    }

    fn ours(&self, pid: u32) -> bool {
        let mut at = self.0.get(&std::process::id());
        for _ in 0..64 {
            match at {
                Some(process) if process.pid == pid => return true,
                Some(process) => at = self.0.get(&process.parent),
                None => return false,
            }
        }
        false
    }

    fn is_listener(&self, process: &Process) -> bool {
        is_sshd(&process.comm) && !self.parent(process.pid).is_some_and(|parent| is_sshd(&parent.comm))
    }

    /// Whether a scope also holds what is never touched, so that it says nothing.
    #[must_use]
    pub fn shared_scope(&self, scope: &str) -> bool {
        self.0.values().any(|process| process.scope.as_deref() == Some(scope) && self.guards(process))
    }

    /// The same of an audit session.
    #[must_use]
    pub fn shared_audit(&self, audit: u32) -> bool {
        self.0.values().any(|process| process.audit == Some(audit) && self.guards(process))
    }

    fn guards(&self, process: &Process) -> bool {
        process.pid <= 2 || process.pid == std::process::id() || self.is_listener(process)
    }
}

/// Also `sshd-session`, as OpenSSH calls it since 9.8.
fn is_sshd(comm: &str) -> bool {
    comm == "sshd" || comm == "sshd-session"
}

/// When a process started; `None` when there is none, or it has ended.
pub fn start_of(proc: &Path, pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
    parse_stat(&stat).map(|(_, start, _)| start)
}

fn read_process(directory: &Path, pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(directory.join("stat")).ok()?;
    let (parent, start, comm) = parse_stat(&stat)?;
    let cgroup = std::fs::read_to_string(directory.join("cgroup")).unwrap_or_default();
    let audit = std::fs::read_to_string(directory.join("sessionid")).unwrap_or_default();
    let mut environment = Vec::new();
    if let Ok(file) = std::fs::File::open(directory.join("environ")) {
        let _ = file.take(MOST_ENVIRONMENT).read_to_end(&mut environment);
    }
    Some(Process {
        pid,
        parent,
        start,
        comm,
        scope: scope_of(&cgroup),
        audit: audit.trim().parse().ok().filter(|audit| *audit != NO_AUDIT),
        marker: marker_of(&environment),
    })
}

/// `None` for a process that has ended and waits for its parent.
fn parse_stat(stat: &str) -> Option<(u32, u64, String)> {
    // The name may hold anything, also brackets and spaces: it ends at the last `)`.
    let (head, rest) = stat.rsplit_once(')')?;
    let comm = head.split_once('(')?.1.to_owned();
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    // proc(5): starttime is field 22; the parent was field 4.
    let start = fields.nth(17)?.parse().ok()?;
    Some((parent, start, comm))
}

fn scope_of(cgroup: &str) -> Option<String> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        let scope = path.split('/').any(|part| part.starts_with("session-") && part.ends_with(".scope"));
        scope.then(|| path.to_owned())
    })
}

fn marker_of(environment: &[u8]) -> Option<SessionId> {
    environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(SESSION_VARIABLE.as_bytes())?.strip_prefix(b"=")?;
        std::str::from_utf8(value).ok()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let stat = "12 (a) (b ) S 7 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        assert_eq!(parse_stat(stat), Some((7, 4242, "a) (b ".to_owned())));
        assert_eq!(parse_stat(&stat.replace(" S ", " Z ")), None, "one that has ended");
    }

    #[test]
    fn only_logins_scopes_count() {
        let scope = "/user.slice/user-0.slice/session-4.scope";
        assert_eq!(scope_of(&format!("0::{scope}\n")), Some(scope.to_owned()));
        assert_eq!(scope_of("0::/system.slice/ssh.service\n"), None);
    }

    #[test]
    fn the_marker_is_read_from_an_environment() {
        let session = SessionId::new(5, 5);
        let environment = format!("A=1\0{SESSION_VARIABLE}={session}\0B=2");
        assert_eq!(marker_of(environment.as_bytes()), Some(session));
        assert_eq!(marker_of(b"TIDEGATE_SESSION=x\0"), None);
        assert_eq!(marker_of(b"NOT_TIDEGATE_SESSION=01"), None);
    }

    fn process(pid: u32, parent: u32, comm: &str, marker: Option<SessionId>) -> (u32, Process) {
        let comm = comm.to_owned();
        (pid, Process { pid, parent, start: u64::from(pid), comm, scope: None, audit: None, marker })
    }

    #[test]
    fn a_login_is_found_with_its_sshd_and_its_children_and_nothing_else() {
        let (mine, other) = (Some(SessionId::new(1, 1)), Some(SessionId::new(2, 2)));
        let mut table = Table(BTreeMap::from([
            process(1, 0, "systemd", None),
            process(100, 1, "sshd", None),
            process(200, 100, "sshd", None),
            process(201, 200, "sshd", None),
            process(202, 201, "bash", mine),
            process(203, 202, "sudo", None),
            process(204, 203, "sh", None),
            process(300, 100, "sshd", None),
            process(301, 300, "sshd", None),
            process(302, 301, "bash", other),
            process(400, 1, "cron", None),
        ]));
        let found = table.of_session(SessionId::new(1, 1), &Traces::default());
        assert_eq!(found, BTreeSet::from([200, 201, 202, 203, 204]));
        // One that left its parents is found by its scope, unless the listener is in it.
        let scope = Some("/user.slice/session-1.scope".to_owned());
        for pid in [202, 400] {
            table.0.get_mut(&pid).unwrap().scope = scope.clone();
        }
        assert!(table.of_session(SessionId::new(1, 1), &Traces::default()).contains(&400));
        table.0.get_mut(&100).unwrap().scope = scope;
        assert!(!table.of_session(SessionId::new(1, 1), &Traces::default()).contains(&400));
    }
}
