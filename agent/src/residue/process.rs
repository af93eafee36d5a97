//! One process as /proc shows it (proc(5), cgroups(7)).

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use tidegate_common::id::SessionId;
use tidegate_common::wire::SESSION_VARIABLE;

use super::Lost;

/// How much of an environment is searched, in bytes; the kernel allows more.
const MOST_ENVIRONMENT: u64 = 256 * 1024;

/// How much of a command line is kept, in bytes.
const MOST_COMMAND: usize = 160;

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
    /// Whose systemd runs it, outside any login.
    pub manager: Option<Manager>,
    pub audit: Option<u32>,
    /// The session its environment names.
    pub marker: Option<SessionId>,
    /// sshd as root runs it outside of any login. The name alone proves nothing,
    /// because every process can choose its own.
    pub server: bool,
}

/// A place below an account's `user@UID.service`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manager {
    pub uid: u32,
    /// The account's systemd itself.
    pub itself: bool,
}

/// Reads one; `None` when it has ended.
pub fn read(directory: &Path, pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(directory.join("stat")).ok()?;
    let (parent, start, comm) = parse_stat(&stat)?;
    let cgroup = std::fs::read_to_string(directory.join("cgroup")).unwrap_or_default();
    let audit = std::fs::read_to_string(directory.join("sessionid")).unwrap_or_default();
    let mut environment = Vec::new();
    if let Ok(file) = std::fs::File::open(directory.join("environ")) {
        let _ = file.take(MOST_ENVIRONMENT).read_to_end(&mut environment);
    }
    let (scope, manager) = (scope_of(&cgroup), manager_of(&cgroup));
    let server = is_sshd(&comm) && scope.is_none() && manager.is_none() && is_roots(directory);
    Some(Process {
        pid,
        parent,
        start,
        comm,
        scope,
        manager,
        audit: audit.trim().parse().ok().filter(|audit| *audit != NO_AUDIT),
        marker: marker_of(&environment),
        server,
    })
}

/// Also `sshd-session`, as OpenSSH calls it since 9.8.
pub fn is_sshd(comm: &str) -> bool {
    comm == "sshd" || comm == "sshd-session"
}

/// When a process started; `None` when there is none, or it has ended.
pub fn start_of(proc: &Path, pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
    parse_stat(&stat).map(|(_, start, _)| start)
}

/// Its command line on one line, cut; empty for one that has ended.
pub fn command_of(proc: &Path, pid: u32) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(proc.join(pid.to_string()).join("cmdline")) {
        let _ = file.take(MOST_COMMAND as u64).read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    text.trim_end().chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// By its saved ids: the owner of /proc/PID is root's also for what an account hides.
fn is_roots(directory: &Path) -> bool {
    let status = std::fs::read_to_string(directory.join("status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.is_some_and(|ids| ids.split_whitespace().nth(2) == Some("0"))
}

/// Whether it runs as one of these accounts, by any of its user ids, and is in the group
/// that the account has lost.
pub fn holds(directory: &Path, lost: &BTreeSet<Lost>) -> bool {
    let status = std::fs::read_to_string(directory.join("status")).unwrap_or_default();
    let numbers = |name: &str| -> BTreeSet<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.into_iter().flat_map(str::split_whitespace).filter_map(|number| number.parse().ok()).collect()
    };
    let (uids, mut groups) = (numbers("Uid:"), numbers("Groups:"));
    groups.extend(numbers("Gid:"));
    lost.iter().any(|lost| uids.contains(&lost.uid) && groups.contains(&lost.gid))
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

fn groups(cgroup: &str) -> impl Iterator<Item = &str> {
    cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2))
}

fn scope_of(cgroup: &str) -> Option<String> {
    let is_login = |part: &str| part.starts_with("session-") && part.ends_with(".scope");
    // A scope of that name below an account's own systemd is the account's invention.
    let mut logins = groups(cgroup).filter(|path| path.split('/').any(is_login));
    logins.find(|path| manager_in(path).is_none()).map(str::to_owned)
}

fn manager_of(cgroup: &str) -> Option<Manager> {
    groups(cgroup).find_map(manager_in)
}

fn manager_in(path: &str) -> Option<Manager> {
    let mut parts = path.split('/').skip_while(|part| !part.starts_with("user@"));
    let uid = parts.next()?.strip_prefix("user@")?.strip_suffix(".service")?.parse().ok()?;
    Some(Manager { uid, itself: matches!(parts.next(), None | Some("init.scope")) })
}

/// The account of a login's scope: `/user.slice/user-1000.slice/session-4.scope`.
pub fn uid_of(scope: &str) -> Option<u32> {
    let part = scope.split('/').find(|part| part.starts_with("user-") && part.ends_with(".slice"))?;
    part.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok()
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
    fn a_group_is_held_by_the_account_that_lost_it_only() {
        let scratch = crate::test::Scratch::new();
        let status =
            "Name:\tsystemd\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t4 1000 \n";
        std::fs::write(scratch.path().join("status"), status).unwrap();
        let holds = |uid, gid| holds(scratch.path(), &BTreeSet::from([Lost { uid, gid }]));
        assert!(holds(1000, 4));
        assert!(!holds(1000, 6) && !holds(1001, 4));
    }

    #[test]
    fn only_logins_scopes_count() {
        let scope = "/user.slice/user-0.slice/session-4.scope";
        assert_eq!(scope_of(&format!("0::{scope}\n")), Some(scope.to_owned()));
        assert_eq!(scope_of("0::/system.slice/ssh.service\n"), None);
        let own = "/user.slice/user-7.slice/user@7.service/app.slice/session-4.scope";
        assert_eq!(scope_of(&format!("0::{own}\n")), None, "one that an account made for itself");
    }

    #[test]
    fn an_accounts_own_units_are_told_from_its_systemd() {
        let of = |path: &str| manager_of(&format!("0::{path}\n"));
        let base = "/user.slice/user-7.slice/user@7.service";
        assert_eq!(of(&format!("{base}/app.slice/x.service")), Some(Manager { uid: 7, itself: false }));
        assert_eq!(of(&format!("{base}/init.scope")), Some(Manager { uid: 7, itself: true }));
        assert_eq!(of("/user.slice/user-7.slice/session-4.scope"), None);
        assert_eq!(uid_of("/user.slice/user-7.slice/session-4.scope"), Some(7));
    }

    #[test]
    fn the_marker_is_read_from_an_environment() {
        let session = SessionId::new(5, 5);
        let environment = format!("A=1\0{SESSION_VARIABLE}={session}\0B=2");
        assert_eq!(marker_of(environment.as_bytes()), Some(session));
        assert_eq!(marker_of(b"TIDEGATE_SESSION=x\0"), None);
        assert_eq!(marker_of(b"NOT_TIDEGATE_SESSION=01"), None);
    }
}
