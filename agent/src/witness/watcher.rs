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
use super::attribution::{Attribution, Told};
use super::events::{self, Change};
use super::kernel::{Heard, PAYLOAD};
use super::listener::{KEEP, Left, Listener};
use super::loaded_rules::Found;
use super::record;
use super::spool::Spool;
use crate::clock;
use crate::link::Link;
use crate::logins::{Login, Logins};
use crate::marker::marker_in_login;
use crate::paths::Paths;

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
    pub attribution: Attribution,
    pub logins: Logins,
    pub assembler: Assembler,
    pub listening: Listening,
}

/// Whether the kernel tells.
pub enum Listening {
    Not,
    Yes(Box<Listener>),
}

/// What the next agent's witness goes on with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Carried {
    #[serde(alias = "book")]
    pub attribution: Attribution,
    pub assembler: Assembler,
    #[serde(alias = "post")]
    pub listener: Option<Left>,
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
            self.look_after_listener();
            if stops {
                self.stop(&mut buffer);
                return None;
            }
            let now = clock::now().boot;
            let due = self.attribution.due(now);
            self.tell(due);
        }
    }

    fn wait(&self) {
        let now = clock::now().boot;
        let listener = match &self.listening {
            Listening::Yes(listener) => Some(&**listener),
            Listening::Not => None,
        };
        let times = [
            self.attribution.next(),
            self.logins.next(),
            (!self.assembler.is_idle()).then(|| now.saturating_add(ASK)),
            listener.and_then(Listener::next),
        ];
        let timeout = times.into_iter().flatten().min().map_or(PollTimeout::NONE, |at| {
            let millis = at.saturating_sub(now).div_ceil(1000);
            PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
        });
        let mut waiting = vec![PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        waiting.extend(listener.into_iter().flat_map(Listener::ears));
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
                self.attribution.watch(session, user.map(|user| user.uid.as_raw()), now);
                self.listen(session, now);
            }
            Order::Claim { session, logins } => {
                logins.into_iter().for_each(|ses| self.attribution.claim(session, ses, now));
            }
            Order::Missed { session, why } => self.attribution.lose(session, 1, &why, now),
            Order::Heed(heeded) => {
                let _ = heeded.send(());
            }
            Order::Over { session } => {
                self.attribution.over(session, now);
                if let Listening::Yes(listener) = &mut self.listening {
                    // What was asked before it says nothing of it.
                    (listener.ask, listener.drained) = (Some(now.saturating_add(ASK_AT_END)), false);
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
        if let Listening::Yes(listener) = &mut self.listening {
            listener.idle = None;
            // Nobody looked after the rules while no session lived.
            (listener.look, listener.ask) = (Some(now), Some(now));
            listener.stands.iter().for_each(|why| self.attribution.lose(Some(session), 1, why, now));
            return;
        }
        match Listener::take(&self.paths) {
            Ok(listener) => self.listening = Listening::Yes(Box::new(listener)),
            Err(why) => {
                tracing::warn!(%session, "nobody sees what runs: {why}");
                self.attribution.remark(session, &format!("nobody saw what ran: {why}"), now);
            }
        }
    }

    /// Whatever the kernel had at the end of a session has been read.
    fn settle(&mut self) {
        let drained = match &mut self.listening {
            Listening::Yes(listener) => std::mem::take(&mut listener.drained),
            Listening::Not => true,
        };
        if drained {
            self.attribution.settle(clock::now().boot);
        }
    }

    /// Leaves the kernel alone for a while, when it has told something; not while a login
    /// is so new that its processes have to be looked at as they come.
    fn pause(&mut self, read: Read) {
        let now = clock::now().boot;
        let curious = self.attribution.is_curious(now);
        if let Listening::Yes(listener) = &mut self.listening {
            listener.pause = (read == Read::All && !curious).then(|| now.saturating_add(PAUSE));
        }
    }

    fn hear_of_logins(&mut self, buffer: &mut [u8]) {
        let Listening::Yes(listener) = &self.listening else { return };
        let now = clock::now().boot;
        for _ in 0..AT_ONE_GO {
            // Whatever else it hears, the execs' ear will tell of it too.
            let Ok(Heard::Message(_, length)) = listener.logins.hear(buffer) else { return };
            let payload = buffer.get(PAYLOAD..PAYLOAD + length).unwrap_or_default();
            match events::login(payload) {
                Some(events::Login { ses: Some(ses), pid, before }) => {
                    self.logins.made(Login { ses: Some(ses), pid, before });
                    if self.logins.session_of(ses).is_none() {
                        self.attribution.login(ses, now);
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
            let Listening::Yes(listener) = &mut self.listening else { return read };
            let now = clock::now().boot;
            let heard = listener.ear.hear(buffer);
            if matches!(heard, Ok(Heard::Nothing)) {
                return read;
            }
            read = Read::All;
            match heard {
                Ok(Heard::Message(record::CONFIG_CHANGE, length)) => {
                    let soon = now.saturating_add(LOOK);
                    listener.look = listener.look.map(|at| at.min(soon)).or(Some(soon));
                    match events::change(buffer.get(PAYLOAD..PAYLOAD + length).unwrap_or_default()) {
                        Change::Removed => {
                            listener.changes.removed = listener.changes.removed.saturating_add(1)
                        }
                        Change::Off => listener.changes.off = true,
                        Change::LostReset(from) => {
                            let lost = listener.loaded.lost_reset(from);
                            self.attribution.lose(None, lost, "the kernel lost audit records", now);
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
                    self.attribution.lose(
                        None,
                        1,
                        "the host was faster than the agent; the kernel left out events",
                        now,
                    );
                }
                Ok(Heard::Nothing) => {}
                Err(error) => {
                    tracing::error!(%error, "the kernel's audit cannot be heard any more");
                    self.attribution.lose(None, 1, "the kernel's audit could not be heard any more", now);
                    self.stop_listening();
                }
            }
        }
        Read::Enough
    }

    fn enter(&mut self, seen: Seen, now: u64) {
        let (pid, ses, auid) = (seen.exec.pid, seen.ses, seen.auid);
        if !self.attribution.is_claimed(ses) {
            // What turned out a moment ago may not have been heard yet.
            match self.logins.session_of(ses) {
                Some(session) => self.attribution.claim(session, ses, now),
                None if self.logins.is_foreign(ses, auid) => return,
                None => {}
            }
        }
        if let Some(ses) = self.attribution.see(seen, now)
            && let Some(session) = marker_in_login(&self.paths.proc, pid, ses)
        {
            self.logins.marked(session, ses, pid);
        }
    }

    fn look_after_listener(&mut self) {
        let now = clock::now().boot;
        for seen in self.assembler.give_up(now) {
            self.enter(seen, now);
        }
        let Listening::Yes(listener) = &mut self.listening else { return };
        if self.attribution.is_empty() {
            (listener.ask, listener.look) = (None, None);
            let since = *listener.idle.get_or_insert(now);
            if since.saturating_add(KEEP) <= now {
                self.stop_listening();
            }
            return;
        }
        if listener.look.is_some_and(|at| at <= now) {
            listener.look = Some(now.saturating_add(ASK));
            let found = listener.loaded.look(std::mem::take(&mut listener.changes)).unwrap_or_else(|error| {
                let why =
                    format!("the kernel's audit does not answer any more, or keeps the agent out: {error}");
                Found { gone: Vec::new(), stands: BTreeSet::from([why]) }
            });
            let fresh = found.stands.difference(&listener.stands).chain(&found.gone);
            for why in fresh {
                tracing::error!("{why}");
                self.attribution.lose(None, 1, why, now);
            }
            listener.stands = found.stands;
        }
        if let Listening::Yes(listener) = &mut self.listening
            && listener.ask.is_some_and(|at| at <= now)
        {
            listener.ask = Some(now.saturating_add(ASK));
            let tally = listener.loaded.tally();
            if let Some(lost) = tally.map(|tally| tally.lost).filter(|lost| *lost > 0) {
                self.attribution.lose(None, lost, "the kernel lost audit records", now);
            }
            if self.attribution.is_settling() {
                listener.drained = tally.is_some_and(|tally| tally.waiting == 0);
                listener.ask = Some(now.saturating_add(ASK_AT_END));
            }
        }
    }

    fn stop_listening(&mut self) {
        if let Listening::Yes(listener) = std::mem::replace(&mut self.listening, Listening::Not) {
            listener.loaded.release();
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
        let told = self.attribution.written(clock::now().boot);
        self.tell(told);
        self.attribution.keep_connections(self.logins.open_connections());
        let listener = match self.listening {
            Listening::Yes(listener) => {
                let left = listener.leave();
                left.inspect_err(|error| tracing::error!(%error, "the next agent will not hear the kernel"))
                    .ok()
            }
            Listening::Not => None,
        };
        Some(Carried { attribution: self.attribution, assembler: self.assembler, listener })
    }

    fn stop(mut self, buffer: &mut [u8]) {
        for _ in 0..MOST_GOES_AT_END {
            if self.hear(buffer) != Read::Enough {
                break;
            }
        }
        let told = self.attribution.all(clock::now().boot);
        self.tell(told);
        self.stop_listening();
    }
}
