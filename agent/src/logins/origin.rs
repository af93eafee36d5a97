//! Where a login comes from, asked of the process that made it while it is there.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Login;
use super::known::Process;
use super::sockets::{self, Ends};
use super::terminal;

/// How far up the parents of a process are followed.
const MOST_PARENTS: usize = 64;

/// How long to wait until whoever asked for a terminal holds it, and how often to look: it is
/// handed over by who made it (systemd-machined(8)).
const SHOWN: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(5);

/// The kernel's way to say that a process is in no audit session.
const NO_SESSION: u32 = u32::MAX;

/// What was found out about a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The other ends of its connections.
    pub from: Vec<SocketAddr>,
    pub origin: Origin,
    /// Whether it is in a container, whose logins are not this host's.
    pub contained: bool,
    /// The process that made it, if it is still there.
    pub leader: Option<Process>,
}

/// Where a login comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On a connection from there, which is not this host.
    Elsewhere(SocketAddr),
    /// One of these processes of this host is its client, or made it.
    Clients(Vec<Client>),
    /// From this host, by somebody who cannot be seen.
    Hidden(String),
    /// Nothing is known.
    Unknown,
}

/// A process at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub process: Process,
    /// Its audit session.
    pub ses: Option<u32>,
}

impl Origin {
    /// What to tell where it stays unknown whose it is. A client that is in another login
    /// is that login's.
    pub fn doubt(&self) -> Option<String> {
        match self {
            Self::Hidden(what) => Some(what.clone()),
            Self::Clients(clients) => {
                let alone = clients.iter().all(|client| client.ses.is_none());
                let (pid, _) = clients.first()?.process;
                alone.then(|| format!("on the host itself, through process {pid}, which is in no login"))
            }
            Self::Elsewhere(_) | Self::Unknown => None,
        }
    }
}

/// Looks where a login comes from; `dialled` says which connections are the proxy's.
pub fn of(proc: &Path, login: Login, dialled: impl Fn(SocketAddr) -> bool) -> Made {
    let start = start_of(proc, login.pid);
    let leader = start.map(|start| (login.pid, start));
    let ends = sockets::of_process(proc, login.pid);
    let from = ends.iter().filter_map(Ends::peer).collect();
    let contained = !shares_our_processes(proc, login.pid);
    Made { from, origin: origin(proc, login, &ends, dialled), contained, leader }
}

fn origin(proc: &Path, login: Login, ends: &[Ends], dialled: impl Fn(SocketAddr) -> bool) -> Origin {
    let peers = || ends.iter().filter_map(Ends::peer);
    if let Some(from) = peers().find(|peer| dialled(*peer)) {
        return Origin::Elsewhere(from);
    }
    let mut pids: BTreeSet<u32> = BTreeSet::new();
    for ends in ends {
        match ends {
            Ends::Network { peer, own } => pids.extend(sockets::clients(proc, *peer, *own)),
            Ends::Local { pid } => pids.extend(pid),
        }
    }
    // Not the process itself: it may hold both ends of something.
    pids.remove(&login.pid);
    let mut clients: Vec<Client> = pids.iter().filter_map(|pid| client(proc, *pid)).collect();
    if let Some(peer) = peers().next() {
        return match (clients.is_empty(), sockets::is_ours(peer)) {
            (false, _) => Origin::Clients(clients),
            (true, true) => {
                Origin::Hidden(format!("from {peer}, which is this host, by a process that cannot be seen"))
            }
            (true, _) => Origin::Elsewhere(peer),
        };
    }
    // Without a connection it was made by whoever is above it.
    clients.extend(login.before.and(client(proc, login.pid)).map(|it| Client { ses: login.before, ..it }));
    clients
        .extend(parents(proc, login.pid).filter_map(|pid| client(proc, pid)).filter(|it| it.ses.is_some()));
    if !clients.is_empty() {
        return Origin::Clients(clients);
    }
    let by_init = parents(proc, login.pid).next() == Some(1);
    let is_manager = cgroup(proc, login.pid).contains("/user@");
    if by_init && !is_manager {
        let shown_by = shown_by(proc, login);
        if !shown_by.is_empty() {
            return Origin::Clients(shown_by);
        }
        let comm = fs::read(proc.join(login.pid.to_string()).join("comm")).unwrap_or_default();
        let comm = String::from_utf8_lossy(&comm).trim().escape_debug().to_string();
        return Origin::Hidden(format!(
            "on the host itself, without a connection (process {}, {comm})",
            login.pid
        ));
    }
    Origin::Unknown
}

/// Who shows the login's terminal, of those that are in a login themselves where the kernel
/// keeps logins.
fn shown_by(proc: &Path, login: Login) -> Vec<Client> {
    let since = Instant::now();
    loop {
        let holders = terminal::holders(proc, login.pid);
        let all: Vec<Client> = holders.iter().filter_map(|pid| client(proc, *pid)).collect();
        let clients: Vec<Client> =
            all.iter().filter(|it| login.ses.is_none() || it.ses.is_some()).copied().collect();
        if all.is_empty() || !clients.is_empty() || since.elapsed() >= SHOWN {
            return clients;
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether its numbers of processes are ours: it is in no container.
fn shares_our_processes(proc: &Path, pid: u32) -> bool {
    let of = |who: &str| fs::read_link(proc.join(who).join("ns/pid")).ok();
    of(&pid.to_string()) == of("self")
}

fn client(proc: &Path, pid: u32) -> Option<Client> {
    Some(Client { process: (pid, start_of(proc, pid)?), ses: ses_of(proc, pid) })
}

fn parents(proc: &Path, pid: u32) -> impl Iterator<Item = u32> {
    let parent = |pid: &u32| stat(proc, *pid).map(|(parent, _)| parent).filter(|pid| *pid > 0);
    let all: Vec<u32> = std::iter::successors(parent(&pid), parent).take(MOST_PARENTS).collect();
    all.into_iter()
}

/// When a process started; `None` when there is none.
pub fn start_of(proc: &Path, pid: u32) -> Option<u64> {
    stat(proc, pid).map(|(_, start)| start)
}

/// The audit session that a process is in.
pub fn ses_of(proc: &Path, pid: u32) -> Option<u32> {
    number(proc, pid, "sessionid")
}

/// Who logged in, as the kernel notes it.
pub fn auid_of(proc: &Path, pid: u32) -> Option<u32> {
    number(proc, pid, "loginuid")
}

/// The account of the logind scope that it is in.
pub fn scope_uid(proc: &Path, pid: u32) -> Option<u32> {
    let cgroup = cgroup(proc, pid);
    let at = cgroup.split('/').find(|part| part.starts_with("user-") && part.ends_with(".slice"))?;
    at.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok()
}

fn cgroup(proc: &Path, pid: u32) -> String {
    let bytes = fs::read(proc.join(pid.to_string()).join("cgroup")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn number(proc: &Path, pid: u32, file: &str) -> Option<u32> {
    let text = fs::read_to_string(proc.join(pid.to_string()).join(file)).ok()?;
    text.trim().parse().ok().filter(|number| *number != NO_SESSION)
}

/// Its parent and its start (proc(5)); the name before them may hold anything.
fn stat(proc: &Path, pid: u32) -> Option<(u32, u64)> {
    let bytes = fs::read(proc.join(pid.to_string()).join("stat")).ok()?;
    let rest = bytes.get(bytes.iter().rposition(|byte| *byte == b')')? + 1..)?;
    let text = std::str::from_utf8(rest).ok()?;
    let mut fields = text.split_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    Some((parent, fields.nth(17)?.parse().ok()?))
}

/// Whether a link below /proc/PID/fd is of a socket.
pub fn is_socket(link: &Path) -> bool {
    link.as_os_str().as_bytes().starts_with(b"socket:")
}
