//! The machine's kernel audit, as the tests look at it.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

const GET: u16 = 1000;
const SET: u16 = 1001;
const ADD_RULE: u16 = 1011;
const DEL_RULE: u16 = 1012;
const LIST_RULES: u16 = 1013;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// Whoever looks at the machine's audit waits here for the others, in whichever process.
const LOCK: &str = "/run/tidegate-tests-audit.lock";

/// Which of the settings a message sets (struct audit_status).
const ENABLED: u32 = 1;
const BACKLOG_LIMIT: u32 = 16;

/// Only one test at a time has it, on the whole machine. Whatever becomes of the test, it
/// is afterwards what it was.
pub struct Audit {
    socket: OwnedFd,
    before: Option<State>,
    _lock: Flock<File>,
}

/// What must be the same before and after.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    pub enabled: u32,
    pub daemon: u32,
    backlog_limit: u32,
    pub rules: Vec<Vec<u8>>,
}

impl Audit {
    /// None, with the reason printed, where the kernel's audit does not answer.
    pub fn take() -> Option<Self> {
        let file = match File::create(LOCK) {
            Ok(file) => file,
            Err(error) => {
                println!("SKIPPED: only root can look at the kernel's audit ({LOCK}: {error})");
                return None;
            }
        };
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap();
        let opened =
            socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkAudit);
        let answered = opened.map_err(|error| error.to_string()).and_then(|socket| {
            bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(|error| error.to_string())?;
            let mut audit = Self { socket, before: None, _lock: lock };
            audit.ask(GET, &[])?;
            audit.before = Some(audit.state());
            Ok(audit)
        });
        answered.map_err(|why| println!("SKIPPED: the kernel's audit does not answer here: {why}")).ok()
    }

    pub fn state(&self) -> State {
        let status = self.ask(GET, &[]).unwrap().pop().unwrap();
        let word = |place: usize| u32::from_ne_bytes(status[place * 4..place * 4 + 4].try_into().unwrap());
        let rules = self.ask(LIST_RULES, &[]).unwrap();
        State { enabled: word(1), daemon: word(3), backlog_limit: word(5), rules }
    }

    /// Removes every rule, as an audit daemon does when it starts.
    pub fn remove_rules(&self) {
        for rule in self.state().rules {
            self.ask(DEL_RULE, &rule).unwrap();
        }
    }

    /// Adds a rule.
    pub fn add(&self, rule: &[u8]) {
        self.ask(ADD_RULE, rule).unwrap();
    }

    /// Removes one.
    pub fn remove(&self, rule: &[u8]) {
        self.ask(DEL_RULE, rule).unwrap();
    }

    /// Turns audit on or off.
    pub fn enable(&self, enabled: u32) {
        self.set([ENABLED, enabled, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    fn set(&self, status: [u32; 10]) {
        let body: Vec<u8> = status.into_iter().flat_map(u32::to_ne_bytes).collect();
        self.ask(SET, &body).unwrap();
    }

    fn ask(&self, kind: u16, body: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let flags: u16 = if [SET, ADD_RULE, DEL_RULE].contains(&kind) { 5 } else { 1 };
        let mut message = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty()).map_err(|error| error.to_string())?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())
                .map_err(|error| error.to_string())?;
            let of = u16::from_ne_bytes([buffer[4], buffer[5]]);
            match of {
                ERROR => match i32::from_ne_bytes(buffer[16..20].try_into().unwrap()) {
                    0 => return Ok(answers),
                    code => return Err(std::io::Error::from_raw_os_error(-code).to_string()),
                },
                DONE => return Ok(answers),
                _ => {
                    answers.push(buffer[16..count].to_vec());
                    if kind == GET {
                        return Ok(answers);
                    }
                }
            }
        }
    }
}

/// The lists of rules (linux/audit.h), and the flag that puts a rule first.
pub const TASK: u32 = 1;
pub const EXIT: u32 = 4;
pub const EXCLUDE: u32 = 5;
pub const FIRST: u32 = 0x10;

/// A rule that says never, of all system calls, with one field that must be equal.
pub fn never(list: u32, field: Option<(u32, u32)>) -> Vec<u8> {
    const EQUAL: u32 = 0x4000_0000;
    let mut words = vec![0u32; 3 + 4 * 64 + 1];
    words[0] = list;
    words[3..3 + 64].fill(u32::MAX);
    if let Some((field, value)) = field {
        words[2] = 1;
        (words[3 + 64], words[3 + 2 * 64], words[3 + 3 * 64]) = (field, value, EQUAL);
    }
    words.into_iter().flat_map(u32::to_ne_bytes).collect()
}

impl Drop for Audit {
    fn drop(&mut self) {
        let Some(before) = self.before.take().filter(|before| *before != self.state()) else { return };
        self.remove_rules();
        before.rules.iter().for_each(|rule| drop(self.ask(ADD_RULE, rule).unwrap()));
        self.set([BACKLOG_LIMIT, 0, 0, 0, 0, before.backlog_limit, 0, 0, 0, 0]);
        self.enable(before.enabled);
    }
}
