//! The thread that listens to the kernel and tells the proxy. While no session
//! lives it sleeps, and nothing of ours is in the kernel.

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use serde::{Deserialize, Serialize};
use tidegate_common::id::SessionId;
use tidegate_common::wire::FromAgent;

use super::Order;
use super::assembler::{Assembler, Seen};
use super::book::{Book, Told};
use super::events::{self, Change};
use super::hold::Found;
use super::kernel::{Heard, PAYLOAD};
use super::post::{KEEP, Left, Post};
use super::record;
use super::spool::Spool;
use crate::logins::{Login, Logins};
use crate::marker::marker_in_login;
use crate::paths::Paths;
use crate::shell::Link;
use crate::shell::clock;

/// Messages read at one go before orders and pages have their turn.
const AT_ONE_GO: usize = 2048;

/// How often that much is read at a stop, at most.
const MOST_GOES_AT_END: usize = 32;

/// No record is longer (the kernel's MAX_AUDIT_MESSAGE_LENGTH), in bytes.
const MOST_MESSAGE: usize = 16 * 1024;

/// In microseconds: how often to ask the kernel for its losses, and how soon to look at
/// rules that changed.
const ASK: u64 = 1_000_000;
const ASK_AT_END: u64 = 50_000;
const LOOK: u64 = 50_000;

/// While execs come, the kernel's records are read so often, in microseconds, and not one
/// by one: to wake up for each costs whoever makes them.
const PAUSE: u64 = 50_000;

/// What the thread works with.
pub struct Watcher {
    pub paths: Paths,
    pub link: Link,
    pub spool: Spool,
    pub wake: Arc<EventFd>,
    pub linked: bool,
    pub book: Book,
    pub logins: Logins,
    pub assembler: Assembler,
    pub listening: Listening,
}

/// Whether the kernel tells.
pub enum Listening {
    Not,
    Yes(Box<Post>),
}

/// What the next agent's witness goes on with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Carried {
    pub book: Book,
    pub assembler: Assembler,
    pub post: Option<Left>,
}

/// How much was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// There was nothing.
    Nothing,
    /// All that there was.
    All,
    /// There may be more.
    Enough,
}

impl Watcher {
    /// The thread's whole life. Returns what the next agent has to know, when it shall go on.
    pub fn work(mut self, orders: &Receiver<Order>) -> Option<Carried> {
        let mut buffer = vec![0; MOST_MESSAGE];
        loop {
            self.wait();
            let stops = loop {
                match orders.try_recv() {
                    Ok(Order::Stop) | Err(TryRecvError::Disconnected) => break true,
                    Ok(Order::HandOver) => return self.hand_over(),
                    Ok(order) => self.obey(order),
                    Err(TryRecvError::Empty) => break false,
                }
            };
            self.hear_of_logins(&mut buffer);
            self.logins.tick();
            let read = self.hear(&mut buffer);
            if read != Read::Enough {
                self.settle();
            }
            self.pause(read);
            self.look_after_post();
            if stops {
                self.stop(&mut buffer);
                return None;
            }
            let now = clock::now().boot;
            let due = self.book.due(now);
            self.tell(due);
        }
    }

    fn wait(&self) {
        let now = clock::now().boot;
        let post = match &self.listening {
            Listening::Yes(post) => Some(&**post),
            Listening::Not => None,
        };
        let times = [
            self.book.next(),
            self.logins.next(),
            (!self.assembler.is_idle()).then(|| now.saturating_add(ASK)),
            post.and_then(Post::next),
        ];
        let timeout = times.into_iter().flatten().min().map_or(PollTimeout::NONE, |at| {
            let millis = at.saturating_sub(now).div_ceil(1000);
            PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
        });
        let mut waiting = vec![PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        waiting.extend(post.into_iter().flat_map(Post::ears));
        let _ = poll(&mut waiting, timeout);
        let woken = waiting.first().and_then(PollFd::any).unwrap_or_default();
        if woken {
            let _ = self.wake.read();
        }
    }

    fn obey(&mut self, order: Order) {
        let now = clock::now().boot;
        match order {
            Order::Watch { session, account } => {
                let user = nix::unistd::User::from_name(account.as_str()).ok().flatten();
                self.book.watch(session, user.map(|user| user.uid.as_raw()), now);
                self.listen(session, now);
            }
            Order::Claim { session, logins } => {
                logins.into_iter().for_each(|ses| self.book.claim(session, ses, now));
            }
            Order::Missed { session, why } => self.book.lose(session, 1, &why, now),
            Order::Heed(heeded) => {
                let _ = heeded.send(());
            }
            Order::Over { session } => {
                self.book.over(session, now);
                if let Listening::Yes(post) = &mut self.listening {
                    // What was asked before it says nothing of it.
                    (post.ask, post.drained) = (Some(now.saturating_add(ASK_AT_END)), false);
                }
            }
            Order::Linked => {
                self.linked = true;
                self.spool.again();
            }
            Order::Unlinked => self.linked = false,
            Order::Noted { number } => self.spool.noted(number),
            Order::Stop | Order::HandOver => {}
        }
    }

    fn listen(&mut self, session: SessionId, now: u64) {
        if let Listening::Yes(post) = &mut self.listening {
            post.idle = None;
            // Nobody looked after the rules while no session lived.
            (post.look, post.ask) = (Some(now), Some(now));
            post.stands.iter().for_each(|why| self.book.lose(Some(session), 1, why, now));
            return;
        }
        match Post::take(&self.paths) {
            Ok(post) => self.listening = Listening::Yes(Box::new(post)),
            Err(why) => {
                tracing::warn!(%session, "nobody sees what runs: {why}");
                self.book.remark(session, &format!("nobody saw what ran: {why}"), now);
            }
        }
    }

    /// Whatever the kernel had at the end of a session has been read.
    fn settle(&mut self) {
        let drained = match &mut self.listening {
            Listening::Yes(post) => std::mem::take(&mut post.drained),
            Listening::Not => true,
        };
        if drained {
            self.book.settle(clock::now().boot);
        }
    }

    /// Leaves the kernel alone for a while, when it has told something; not while a login
    /// is so new that its processes have to be looked at as they come.
    fn pause(&mut self, read: Read) {
        let now = clock::now().boot;
        let curious = self.book.is_curious(now);
        if let Listening::Yes(post) = &mut self.listening {
            post.pause = (read == Read::All && !curious).then(|| now.saturating_add(PAUSE));
        }
    }

    fn hear_of_logins(&mut self, buffer: &mut [u8]) {
        let Listening::Yes(post) = &self.listening else { return };
        let now = clock::now().boot;
        for _ in 0..AT_ONE_GO {
            // Whatever else it hears, the execs' ear will tell of it too.
            let Ok(Heard::Message(_, length)) = post.logins.hear(buffer) else { return };
            let payload = buffer.get(PAYLOAD..PAYLOAD + length).unwrap_or_default();
            match events::login(payload) {
                Some(events::Login { ses: Some(ses), pid, before }) => {
                    self.logins.made(Login { ses: Some(ses), pid, before });
                    if self.logins.session_of(ses).is_none() {
                        self.book.login(ses, now);
                    }
                }
                Some(events::Login { ses: None, pid, before: Some(before) }) => {
                    self.logins.left(before, pid);
                }
                _ => {}
            }
        }
    }

    /// Reads what the kernel has told.
    fn hear(&mut self, buffer: &mut [u8]) -> Read {
        let mut read = Read::Nothing;
        for _ in 0..AT_ONE_GO {
            let Listening::Yes(post) = &mut self.listening else { return read };
            let now = clock::now().boot;
            let heard = post.ear.hear(buffer);
            if matches!(heard, Ok(Heard::Nothing)) {
                return read;
            }
            read = Read::All;
            match heard {
                Ok(Heard::Message(record::CONFIG_CHANGE, length)) => {
                    let soon = now.saturating_add(LOOK);
                    post.look = post.look.map(|at| at.min(soon)).or(Some(soon));
                    match events::change(buffer.get(PAYLOAD..PAYLOAD + length).unwrap_or_default()) {
                        Change::Removed => post.changes.removed = post.changes.removed.saturating_add(1),
                        Change::Off => post.changes.off = true,
                        Change::LostReset(from) => {
                            let lost = post.hold.lost_reset(from);
                            self.book.lose(None, lost, "the kernel lost audit records", now);
                        }
                        Change::Other => {}
                    }
                }
                Ok(Heard::Message(kind, length)) => {
                    let payload = buffer.get(PAYLOAD..PAYLOAD + length).unwrap_or_default();
                    if let Some(seen) = self.assembler.take(kind, payload, now) {
                        self.enter(seen, now);
                    }
                }
                Ok(Heard::Overrun) => {
                    self.book.lose(
                        None,
                        1,
                        "the host was faster than the agent; the kernel left out events",
                        now,
                    );
                }
                Ok(Heard::Nothing) => {}
                Err(error) => {
                    tracing::error!(%error, "the kernel's audit cannot be heard any more");
                    self.book.lose(None, 1, "the kernel's audit could not be heard any more", now);
                    self.leave_post();
                }
            }
        }
        Read::Enough
    }

    fn enter(&mut self, seen: Seen, now: u64) {
        let (pid, ses, auid) = (seen.exec.pid, seen.ses, seen.auid);
        if !self.book.is_claimed(ses) {
            // What turned out a moment ago may not have been heard yet.
            match self.logins.session_of(ses) {
                Some(session) => self.book.claim(session, ses, now),
                None if self.logins.is_foreign(ses, auid) => return,
                None => {}
            }
        }
        if let Some(ses) = self.book.see(seen, now)
            && let Some(session) = marker_in_login(&self.paths.proc, pid, ses)
        {
            self.logins.marked(session, ses, pid);
        }
    }

    fn look_after_post(&mut self) {
        let now = clock::now().boot;
        for seen in self.assembler.give_up(now) {
            self.enter(seen, now);
        }
        let Listening::Yes(post) = &mut self.listening else { return };
        if self.book.is_empty() {
            (post.ask, post.look) = (None, None);
            let since = *post.idle.get_or_insert(now);
            if since.saturating_add(KEEP) <= now {
                self.leave_post();
            }
            return;
        }
        if post.look.is_some_and(|at| at <= now) {
            post.look = Some(now.saturating_add(ASK));
            let found = post.hold.look(std::mem::take(&mut post.changes)).unwrap_or_else(|error| {
                let why =
                    format!("the kernel's audit does not answer any more, or keeps the agent out: {error}");
                Found { gone: Vec::new(), stands: BTreeSet::from([why]) }
            });
            let fresh = found.stands.difference(&post.stands).chain(&found.gone);
            for why in fresh {
                tracing::error!("{why}");
                self.book.lose(None, 1, why, now);
            }
            post.stands = found.stands;
        }
        if let Listening::Yes(post) = &mut self.listening
            && post.ask.is_some_and(|at| at <= now)
        {
            post.ask = Some(now.saturating_add(ASK));
            let tally = post.hold.tally();
            if let Some(lost) = tally.map(|tally| tally.lost).filter(|lost| *lost > 0) {
                self.book.lose(None, lost, "the kernel lost audit records", now);
            }
            if self.book.is_settling() {
                post.drained = tally.is_some_and(|tally| tally.waiting == 0);
                post.ask = Some(now.saturating_add(ASK_AT_END));
            }
        }
    }

    fn leave_post(&mut self) {
        if let Listening::Yes(post) = std::mem::replace(&mut self.listening, Listening::Not) {
            post.hold.release();
        }
    }

    /// Keeps what is told, and sends what the proxy can take.
    fn tell(&mut self, told: Vec<Told>) {
        told.into_iter().for_each(|one| self.spool.push(one));
        while self.linked
            && let Some(message) = self.spool.next()
        {
            self.link.send(FromAgent::Witnessed(message));
        }
    }

    /// What is written goes to the spool; what the kernel tells from here on waits in the
    /// ear for the next agent.
    fn hand_over(mut self) -> Option<Carried> {
        let told = self.book.written(clock::now().boot);
        self.tell(told);
        self.book.keep_connections(self.logins.open_connections());
        let post = match self.listening {
            Listening::Yes(post) => {
                let left = post.leave();
                left.inspect_err(|error| tracing::error!(%error, "the next agent will not hear the kernel"))
                    .ok()
            }
            Listening::Not => None,
        };
        Some(Carried { book: self.book, assembler: self.assembler, post })
    }

    fn stop(mut self, buffer: &mut [u8]) {
        for _ in 0..MOST_GOES_AT_END {
            if self.hear(buffer) != Read::Enough {
                break;
            }
        }
        let told = self.book.all(clock::now().boot);
        self.tell(told);
        self.leave_post();
    }
}
