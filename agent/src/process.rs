//! One process as /proc shows it (proc(5), cgroups(7)). All of it is bytes: names, command
//! lines, environments and control groups hold whatever somebody wrote there.

mod groups;
mod own;

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc;
use serde::{Deserialize, Serialize};
use tidegate_common::id::SessionId;

use self::groups::{manager_of, scope_of, service_of, unified};
use crate::files::read_up_to;
use crate::marker::{MOST_ENVIRONMENT, marker_of};

pub use self::groups::{Manager, uid_of};
pub use self::own::{Own, is_own};

/// How much of a command line is kept, in bytes; a byte that is no text takes four of them.
const MOST_COMMAND: usize = 160;

/// The most of a status or stat that is read, in bytes: one may list 65,536 groups.
const MOST_STATUS: u64 = 1024 * 1024;

/// The kernel's way to say that a process is in no audit session.
const NO_AUDIT: u32 = u32::MAX;

/// A thread of the kernel's own, among the flags of stat (the kernel's `PF_KTHREAD`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Below these are the programs that a host installs.
const INSTALLED: [&[u8]; 6] = [b"/usr/", b"/opt/", b"/sbin/", b"/lib", b"/nix/", b"/gnu/"];

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    /// Its process group (setpgid(2)).
    pub group: u32,
    /// When it started, in clock ticks since boot: with `pid`, unique.
    pub start: u64,
    pub comm: Vec<u8>,
    /// A thread of the kernel.
    pub kernels: bool,
    /// Its logind scope, as a path below the cgroup root.
    pub scope: Option<String>,
    /// Whose systemd runs it, outside any login.
    pub manager: Option<Manager>,
    /// The service of the host's systemd that it is in.
    pub service: Option<String>,
    /// Where it is in the tree of cgroup2, below the root.
    pub cgroup: Option<Vec<u8>>,
    pub audit: Option<u32>,
    /// The session its environment names.
    pub marker: Option<SessionId>,
    /// sshd as root runs it outside of any login. The name alone proves nothing,
    /// because every process can choose its own.
    pub server: bool,
}

/// What /proc/PID/stat says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stat {
    Of(Line),
    /// It has ended and waits for its parent.
    Over,
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    parent: u32,
    group: u32,
    flags: u64,
    start: u64,
    comm: Vec<u8>,
    /// Its first thread has ended, others go on.
    headless: bool,
}

/// What became of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    Process(Process),
    /// It has ended and waits for its parent.
    Over,
    /// It is not there any more.
    Gone,
}

/// Reads one. What of it cannot be read, though it is there, goes to `unread`.
pub fn read(directory: &Path, pid: u32, unread: &mut BTreeSet<String>) -> Read {
    match read_all(directory, pid, unread) {
        Some(Some(process)) => Read::Process(process),
        Some(None) => Read::Over,
        None => Read::Gone,
    }
}

fn read_all(directory: &Path, pid: u32, unread: &mut BTreeSet<String>) -> Option<Option<Process>> {
    let mut file = |name: &str| match read_up_to(&directory.join(name), MOST_ENVIRONMENT) {
        Ok(bytes) => Some(bytes),
        Err(error) if is_gone(&error) => None,
        Err(error) => {
            let of = name.rsplit('/').next().unwrap_or_default();
            unread.insert(format!("/proc/PID/{of} of a process: {error}"));
            Some(Vec::new())
        }
    };
    let stat = match parse_stat(&file("stat")?) {
        Stat::Of(stat) => stat,
        Stat::Over => return Some(None),
        Stat::Unknown => {
            unread.insert("/proc/PID/stat of a process: it is not as the kernel writes it".to_owned());
            return Some(None);
        }
    };
    let (cgroup, audit) = (file("cgroup")?, file("sessionid")?);
    let thread = stat.headless.then(|| other_thread(directory, pid)).flatten();
    let kernels = stat.flags & KERNEL_THREAD != 0;
    let environment = match &thread {
        // Nobody's: the kernel's have none, and nobody marks the first.
        _ if kernels || pid == 1 => Vec::new(),
        Some(thread) => file(&format!("task/{thread}/environ"))?,
        None => file("environ")?,
    };
    let (scope, manager) = (scope_of(&cgroup), manager_of(&cgroup));
    let outside = scope.is_none() && manager.is_none();
    let server = outside && is_sshd(&stat.comm) && is_roots(directory) && runs_installed(directory);
    Some(Some(Process {
        pid,
        parent: stat.parent,
        group: stat.group,
        start: stat.start,
        comm: stat.comm,
        kernels,
        service: service_of(&cgroup).filter(|_| outside),
        scope,
        manager,
        cgroup: unified(&cgroup).map(<[u8]>::to_vec),
        audit: number(&audit).filter(|audit| *audit != NO_AUDIT),
        marker: marker_of(&environment),
        server,
    }))
}

/// Also `sshd-session`, as OpenSSH calls it since 9.8.
pub fn is_sshd(comm: &[u8]) -> bool {
    comm == b"sshd" || comm == b"sshd-session"
}

/// When a process started; `None` when there is none, or it has ended.
pub fn start_of(proc: &Path, pid: u32) -> Option<u64> {
    match parse_stat(&read_up_to(&proc.join(pid.to_string()).join("stat"), MOST_STATUS).ok()?) {
        Stat::Of(line) => Some(line.start),
        Stat::Over | Stat::Unknown => None,
    }
}

/// Its command line on one line, cut; empty for one that has ended.
pub fn command_of(proc: &Path, pid: u32) -> String {
    let path = proc.join(pid.to_string()).join("cmdline");
    let bytes = read_up_to(&path, MOST_COMMAND as u64).unwrap_or_default();
    let mut text = shown(&bytes).trim_end().to_owned();
    text.truncate(text.floor_char_boundary(MOST_COMMAND));
    text
}

/// Bytes as text on one line: what is no text is told as `\xff`.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.extend(chunk.valid().chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// A group that was taken from an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    pub uid: u32,
    pub gid: u32,
}

/// Whether it runs as one of these accounts, by any of its user ids, and is in the group
/// that the account has lost.
pub fn holds(directory: &Path, lost: &BTreeSet<Lost>) -> bool {
    let Some(status) = Status::read(directory) else { return false };
    lost.iter().any(|lost| status.uids.contains(&lost.uid) && status.groups.contains(&lost.gid))
}

/// Whether a read failed because there is no such process any more.
pub fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// What status in /proc says of whose a process is.
#[derive(Debug)]
pub struct Status {
    pub name: Vec<u8>,
    /// Real, effective, saved and of the file system, in this order.
    pub uids: Vec<u32>,
    /// All of its groups.
    pub groups: BTreeSet<u32>,
    /// It has ended, every thread of it, and waits for its parent.
    pub over: bool,
}

impl Status {
    /// `None` when it has ended, or cannot be read.
    pub fn read(directory: &Path) -> Option<Self> {
        Self::parse(&read_up_to(&directory.join("status"), MOST_STATUS).ok()?)
    }

    /// The kernel writes a name's line feed as `\n`, so no name can feign a line.
    pub fn parse(status: &[u8]) -> Option<Self> {
        let field = |name: &[u8]| {
            status
                .split(|byte| *byte == b'\n')
                .find_map(|line| line.strip_prefix(name))
                .map(<[u8]>::trim_ascii)
        };
        let numbers = |name: &[u8]| -> Vec<u32> {
            let words = field(name).unwrap_or_default().split(u8::is_ascii_whitespace);
            words.filter_map(number).collect()
        };
        let dead = field(b"State:").is_some_and(|state| matches!(state.first(), Some(b'Z' | b'X')));
        let threads = field(b"Threads:").and_then(number).unwrap_or_default();
        let uids = numbers(b"Uid:");
        Some(Self {
            name: field(b"Name:").unwrap_or_default().to_vec(),
            groups: numbers(b"Gid:").into_iter().chain(numbers(b"Groups:")).collect(),
            over: dead && threads <= 1,
            uids: (!uids.is_empty()).then_some(uids)?,
        })
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

/// By its saved ids: the owner of /proc/PID is root's also for what an account hides.
fn is_roots(directory: &Path) -> bool {
    Status::read(directory).is_some_and(|status| status.uids.get(2) == Some(&0))
}

/// Whether its program is where programs are installed, or cannot be known.
fn runs_installed(directory: &Path) -> bool {
    std::fs::read_link(directory.join("exe"))
        .map_or(true, |program| is_installed(program.as_os_str().as_bytes()))
}

/// Whether that is where programs are installed.
pub fn is_installed(program: &[u8]) -> bool {
    INSTALLED.iter().any(|place| program.starts_with(place))
}

/// Another of its threads than the first.
fn other_thread(directory: &Path, pid: u32) -> Option<u32> {
    let mut threads = std::fs::read_dir(directory.join("task")).ok()?.flatten();
    threads.find_map(|thread| thread.file_name().to_str()?.parse().ok().filter(|thread| *thread != pid))
}

fn parse_stat(stat: &[u8]) -> Stat {
    let of = line_of(stat);
    match of {
        Some((line, threads)) if line.headless && threads <= 1 => Stat::Over,
        Some((line, _)) => Stat::Of(line),
        None => Stat::Unknown,
    }
}

fn line_of(stat: &[u8]) -> Option<(Line, u64)> {
    // The name may hold anything, also brackets and spaces: it ends at the last `)`.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let begin = stat.iter().position(|byte| *byte == b'(')?;
    let comm = stat.get(begin + 1..end)?.to_vec();
    let fields: Vec<&str> = std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_whitespace().collect();
    // proc(5) counts from 1, and the state is the third.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let short = |number: usize| u32::try_from(field(number)?).ok();
    let headless = matches!(*fields.first()?, "Z" | "X" | "x");
    let (parent, group) = (short(4)?, short(5)?);
    let line = Line { parent, group, flags: field(9)?, start: field(22)?, comm, headless };
    Some((line, field(20)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let stat = b"12 (a) (b\xff ) S 7 9 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        let Stat::Of(read) = parse_stat(stat) else { panic!() };
        assert_eq!((read.parent, read.group, read.start), (7, 9, 4242));
        assert_eq!((read.comm.as_slice(), read.headless), (&b"a) (b\xff "[..], false));
        let ended = |threads: &str| {
            let line = format!("12 (a) Z 7 9 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 {threads} 0 4242 1 1");
            parse_stat(line.as_bytes())
        };
        assert_eq!(ended("1"), Stat::Over);
        assert!(matches!(ended("2"), Stat::Of(line) if line.headless), "only its first thread has ended");
        assert_eq!(parse_stat(b"12 (a) S 7"), Stat::Unknown);
    }

    #[test]
    fn what_is_no_text_is_told_byte_by_byte_and_on_one_line() {
        assert_eq!(shown(b"/tmp/y\xff\0905\n\xc3\xa4"), "/tmp/y\\xff 905 ä");
        let scratch = crate::test::Scratch::new();
        std::fs::create_dir(scratch.path().join("7")).unwrap();
        std::fs::write(scratch.path().join("7/cmdline"), vec![0xff; 1000]).unwrap();
        assert_eq!(command_of(scratch.path(), 7).len(), MOST_COMMAND);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_and_one_of_a_process_that_has_gone_is_not() {
        let scratch = crate::test::Scratch::new();
        let stat = "12 (a) S 7 9 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        std::fs::write(scratch.path().join("stat"), stat).unwrap();
        let mut unread = BTreeSet::new();
        assert_eq!(read(scratch.path(), 12, &mut unread), Read::Gone, "the others are gone");
        assert!(unread.is_empty());
        for directory in ["cgroup", "sessionid", "environ"] {
            std::fs::create_dir(scratch.path().join(directory)).unwrap();
        }
        assert!(matches!(read(scratch.path(), 12, &mut unread), Read::Process(one) if one.start == 4242));
        assert_eq!(unread.len(), 3, "{unread:?}");
    }

    #[test]
    fn a_group_is_held_by_the_account_that_lost_it_only() {
        let scratch = crate::test::Scratch::new();
        let status =
            b"Name:\tsystem\xff\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t4 1000 \n";
        std::fs::write(scratch.path().join("status"), status).unwrap();
        let holds = |uid, gid| holds(scratch.path(), &BTreeSet::from([Lost { uid, gid }]));
        assert!(holds(1000, 4));
        assert!(!holds(1000, 6) && !holds(1001, 4));
    }
}
