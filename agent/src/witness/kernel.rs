//! The kernel's audit over netlink: asking, telling, and listening.
//!
//! Listening is by the multicast group, which any number of programs may join, so
//! that an audit daemon keeps what it has. The agent never makes itself the daemon.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};

use super::record;
use crate::files::keep_open;
use crate::sys;

/// Message types (linux/audit.h).
const GET: u16 = 1000;
const SET: u16 = 1001;
const ADD_RULE: u16 = 1011;
const DEL_RULE: u16 = 1012;
const LIST_RULES: u16 = 1013;
/// Message types (linux/netlink.h).
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;

/// A netlink message's header, in bytes.
const HEADER: usize = 16;

/// The multicast group AUDIT_NLGRP_READLOG, as a mask.
const READLOG: u32 = 1;

/// What the kernel may keep for us while the agent does not run, in bytes. It needs
/// the room for some ten thousand records, because it never waits for a listener.
const ROOM: usize = 16 * 1024 * 1024;

/// No answer is longer, in bytes.
const MOST: usize = 16 * 1024;

/// How many answers to one question are read, at most.
const MOST_ANSWERS: usize = 4096;

/// audit's state (struct audit_status).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// 0 off, 1 on, 2 on and locked until the next boot.
    pub enabled: u32,
    /// The audit daemon; 0 when none runs.
    pub daemon: u32,
    /// Records a second at most; 0 is no limit.
    pub rate_limit: u32,
    pub backlog_limit: u32,
    /// Records lost since boot.
    pub lost: u32,
    /// Records that the kernel has not handed out yet.
    pub backlog: u32,
}

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    Enabled(u32),
    BacklogLimit(u32),
}

/// For questions and orders.
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
    /// The number of the last question.
    asked: Cell<u32>,
}

/// What a question waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// That it is done.
    Done,
    One,
    List,
}

impl Control {
    /// # Errors
    /// When the host has no audit, or not for us.
    pub fn open() -> io::Result<Self> {
        let socket = open(SockFlag::SOCK_CLOEXEC)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // The kernel answers at once; whatever else is there must not hold us for ever.
        let patience = nix::sys::time::TimeVal::new(2, 0);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
        Ok(Self { socket, asked: Cell::new(0) })
    }

    /// # Errors
    /// When the kernel refuses.
    pub fn status(&self) -> io::Result<Status> {
        let answers = self.ask(GET, &[], Answer::One)?;
        let word = |place: usize| {
            let bytes = answers.first()?.get(place * 4..place * 4 + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let short = || io::Error::new(io::ErrorKind::InvalidData, "audit's status is cut short");
        let status = || {
            Some(Status {
                enabled: word(1)?,
                daemon: word(3)?,
                rate_limit: word(4)?,
                backlog_limit: word(5)?,
                lost: word(6)?,
                backlog: word(7)?,
            })
        };
        status().ok_or_else(short)
    }

    /// # Errors
    /// When the kernel refuses.
    pub fn set(&self, setting: Setting) -> io::Result<()> {
        let mut words = [0u32; 10];
        let [mask, enabled, _, _, _, backlog_limit, ..] = &mut words;
        match setting {
            Setting::Enabled(value) => (*mask, *enabled) = (0x01, value),
            Setting::BacklogLimit(value) => (*mask, *backlog_limit) = (0x10, value),
        }
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.ask(SET, &body, Answer::Done).map(drop)
    }

    /// Adds a rule; one that is there already is fine.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add(&self, rule: &[u8]) -> io::Result<()> {
        match self.ask(ADD_RULE, rule, Answer::Done) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Removes a rule once; tells whether it was there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&self, rule: &[u8]) -> io::Result<bool> {
        match self.ask(DEL_RULE, rule, Answer::Done) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            other => other.map(|_| true),
        }
    }

    /// Every rule that is loaded.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn rules(&self) -> io::Result<Vec<Vec<u8>>> {
        self.ask(LIST_RULES, &[], Answer::List)
    }

    /// One question and what answers it: an acknowledgement, one message of the same
    /// kind, or a list of them.
    fn ask(&self, kind: u16, body: &[u8], answer: Answer) -> io::Result<Vec<Vec<u8>>> {
        let number = self.asked.get().wrapping_add(1);
        self.asked.set(number);
        let flags = if answer == Answer::Done { REQUEST | ACK } else { REQUEST };
        let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(number.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(body);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; MOST];
        for _ in 0..MOST_ANSWERS {
            let count = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let message = buffer.get(..count).unwrap_or_default();
            let to = message.get(8..12).and_then(|word| word.first_chunk::<4>());
            let Some((of, payload)) = split(message).filter(|_| to == Some(&number.to_ne_bytes())) else {
                continue;
            };
            if of == ERROR {
                let code = payload.first_chunk::<4>().map_or(0, |code| i32::from_ne_bytes(*code));
                return match code {
                    0 => Ok(answers),
                    code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
                };
            }
            if of == DONE {
                return Ok(answers);
            }
            if of == kind {
                answers.push(payload.to_vec());
                if answer == Answer::One {
                    return Ok(answers);
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "audit's answer never ends"))
    }
}

/// What a listener hears.
#[derive(Debug)]
pub enum Heard {
    /// A message in the buffer: its kind, and how many bytes its payload has.
    Message(u16, usize),
    /// Nothing now.
    Nothing,
    /// The kernel had to leave out messages, because they came faster than we read.
    Overrun,
}

/// Listens to what audit logs.
#[derive(Debug)]
pub struct Ear(OwnedFd);

/// Of execs and of changed rules.
pub const EXECS: [u16; 6] =
    [record::SYSCALL, record::EXECVE, record::CWD, record::PATH, record::END, record::CONFIG_CHANGE];

/// Of logins.
pub const LOGINS: [u16; 1] = [record::LOGIN];

impl Ear {
    /// For records of these kinds: the kernel copies and wakes for nothing else.
    ///
    /// # Errors
    /// When the kernel does not let us listen.
    pub fn open(kinds: &[u16]) -> io::Result<Self> {
        let ear = open(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
        if let Err(error) = setsockopt(&ear, sockopt::RcvBufForce, &ROOM) {
            tracing::warn!(%error, "the kernel gives the witness little room; without CAP_NET_ADMIN it may lose events");
            setsockopt(&ear, sockopt::RcvBuf, &ROOM)?;
        }
        sys::attach_filter(&ear, &mut only(kinds))?;
        bind(ear.as_raw_fd(), &NetlinkAddr::new(0, READLOG))?;
        Ok(Self(ear))
    }

    /// The ear of the agent before this one, with what the kernel has told since.
    ///
    /// # Errors
    /// When it is not there.
    pub fn adopt(left: RawFd) -> io::Result<Self> {
        sys::adopt(left).map(Self)
    }

    /// Leaves it to the agent after this one; the kernel goes on telling.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn leave(self) -> io::Result<RawFd> {
        keep_open(Box::new(self.0))
    }

    /// The next message, its payload at [`PAYLOAD`] in `buffer`.
    ///
    /// # Errors
    /// When the socket breaks.
    pub fn hear(&self, buffer: &mut [u8]) -> io::Result<Heard> {
        match recv(self.0.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(count) => Ok(match split(buffer.get(..count).unwrap_or_default()) {
                Some((kind, payload)) => Heard::Message(kind, payload.len()),
                None => Heard::Message(0, 0),
            }),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(Heard::Nothing),
            Err(nix::errno::Errno::ENOBUFS) => Ok(Heard::Overrun),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Where a payload begins.
pub const PAYLOAD: usize = HEADER;

fn open(flags: SockFlag) -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkAudit)?)
}

/// A message's kind and payload. Audit's own length leaves out the header in places
/// (audit_make_reply and multicast differ), so the datagram's counts.
fn split(message: &[u8]) -> Option<(u16, &[u8])> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    Some((kind, message.get(HEADER..)?))
}

/// Lets through records of these kinds only (linux/filter.h).
fn only(kinds: &[u16]) -> Vec<libc::sock_filter> {
    const LOAD_HALF: u16 = 0x28;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let code = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    // The type is the host's own byte order; the machine of the filter loads the network's.
    let mut program = vec![code(LOAD_HALF, 0, 4)];
    for (place, kind) in kinds.iter().enumerate() {
        let left = u8::try_from(kinds.len() - place).unwrap_or(u8::MAX);
        program.push(code(JUMP_EQUAL, left, u32::from(kind.to_be())));
    }
    program.push(code(RETURN, 0, 0));
    program.push(code(RETURN, 0, u32::MAX));
    program
}
