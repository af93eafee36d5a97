//! What a client sent on one channel and the device has not taken yet.
//!
//! russh grants a peer new window as soon as data arrives, whoever has consumed
//! it or not, and hands messages over on the connection's only task. Blocking
//! that task until the device reads would also stop the window adjustments that
//! let the device's output drain: an echoing program on the device and a client
//! that is slow to read would wait for each other for ever. So the task never
//! waits here. The inbox takes everything, and keeps the peer from sending more
//! by the one lever there is: the target that russh tops the window up to.
//!
//! - A channel opens with [`FIRST`] bytes, and has the target from its first data on.
//! - Below [`SOFT`] bytes of backlog the target is the whole [`WINDOW`], as long as what was
//!   granted beyond that to all channels, and what waits, is less than [`ALL`]; then it is what is
//!   left of that, and [`FIRST`] at least.
//! - Above it the target is [`TRICKLE`] bytes: the peer may use up what it was
//!   granted and then sends two bytes a round trip, each held back for at most
//!   [`PAUSE`]. Those are what wakes us to open the window again: russh asks
//!   for a new target only when it adjusts.
//!
//! The target is one value for all channels of a connection, so a second channel
//! can lend a stalled one some window. [`HARD`] bounds that: a channel above it
//! keeps the target down for all, as many small ones together do above [`ALL`].
//!
//! Nothing grows without a bound whatever the peer sends: data by its window, requests
//! by their number, and the end of data comes once (RFC 4254, 5.3). A peer that goes
//! beyond is cut off ([`Breach`]).

mod reader;

pub use reader::Reader;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

/// The window a channel is topped up to, in bytes.
pub const WINDOW: u32 = 2 * 1024 * 1024;
/// The window a client's channel is opened with, in bytes: what a session may have of channels
/// opens with [`ALL`] bytes together.
pub const FIRST: u32 = 128 * 1024;
/// The smallest target at which russh still adjusts: half of it is not zero.
const TRICKLE: u32 = 2;
/// Backlog from which a channel is held back, in bytes.
const SOFT: usize = 1024 * 1024;
/// Backlog from which a channel holds its whole connection back, in bytes.
const HARD: usize = 6 * 1024 * 1024;
/// Backlog of all channels of a connection from which all are held back, and how much they may
/// have waiting and be granted together before each is granted less, in bytes.
const ALL: usize = 16 * 1024 * 1024;
/// Backlog that no peer reaches that keeps to its window, in bytes.
const MOST: usize = 12 * 1024 * 1024;
/// Pieces smaller than this are gathered into one, in bytes.
const GATHER: usize = 32 * 1024;
/// How long one trickle may hold up its connection.
const PAUSE: Duration = Duration::from_millis(10);
/// Requests that may wait on one channel.
const MOST_CONTROLS: usize = 1024;

/// What a peer did that no peer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// It ignores its window.
    #[error("sent more data than the channel's window allows")]
    Window,
    /// It repeats what comes once.
    #[error("ended the data of a channel twice")]
    EofTwice,
    /// It does not wait for what it asked for.
    #[error("asked for more on one channel than is kept waiting")]
    Requests,
}

/// One thing the client did on a channel, in the order it did them.
#[derive(Debug)]
pub enum Event<C> {
    /// Data for the program's input.
    Data(Bytes),
    /// No more data.
    Eof,
    /// The client closed the channel, or its connection ended.
    Closed,
    /// Anything else, as the owner of the inbox defines it.
    Control(C),
}

#[derive(Debug)]
enum Item<C> {
    Data(BytesMut),
    Eof,
    Control(C),
}

#[derive(Debug)]
struct State<C> {
    items: VecDeque<Item<C>>,
    backlog: usize,
    /// What the peer may still send.
    window: usize,
    /// The window was topped up for the data that comes next, which is counted in it.
    topped_up: bool,
    controls: usize,
    ended: bool,
    closed: bool,
    reader: Option<Waker>,
}

/// The queue of one channel. Clones share it.
#[derive(Debug)]
pub struct Inbox<C> {
    state: Arc<Mutex<State<C>>>,
    drained: Arc<Notify>,
}

impl<C> Clone for Inbox<C> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), drained: Arc::clone(&self.drained) }
    }
}

impl<C> Default for Inbox<C> {
    fn default() -> Self {
        let state = State {
            items: VecDeque::new(),
            backlog: 0,
            window: bytes(FIRST),
            topped_up: false,
            controls: 0,
            ended: false,
            closed: false,
            reader: None,
        };
        Self { state: Arc::new(Mutex::new(state)), drained: Arc::new(Notify::new()) }
    }
}

impl<C> Inbox<C> {
    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes data from the client; in a trickle, waits up to [`PAUSE`] for the reader.
    ///
    /// # Errors
    /// When the client ignores its window.
    pub async fn push_data(&self, data: &[u8]) -> Result<(), Breach> {
        let held = {
            let mut state = self.state();
            state.arrives(data.len());
            if state.closed || data.is_empty() {
                return Ok(());
            }
            if state.backlog + data.len() > MOST {
                return Err(Breach::Window);
            }
            state.add(data);
            state.backlog > SOFT && data.len() <= TRICKLE as usize
        };
        if held {
            let _ = tokio::time::timeout(PAUSE, self.drained.notified()).await;
        }
        Ok(())
    }

    /// Takes data from a peer whose window can't be held down: waits for room, or for
    /// the end of the channel. What comes after that is dropped.
    pub async fn push_when_room(&self, data: &[u8]) {
        loop {
            let mut drained = std::pin::pin!(self.drained.notified());
            drained.as_mut().enable();
            {
                let mut state = self.state();
                if state.closed || data.is_empty() {
                    return;
                }
                if state.backlog <= SOFT {
                    state.add(data);
                    return;
                }
            }
            drained.await;
        }
    }

    /// Takes anything else from the client, whose size its owner has bounded.
    ///
    /// # Errors
    /// When more than [`MOST_CONTROLS`] wait.
    pub fn push_control(&self, control: C) -> Result<(), Breach> {
        let mut state = self.state();
        if state.controls >= MOST_CONTROLS {
            return Err(Breach::Requests);
        }
        if !state.closed {
            state.controls += 1;
            state.items.push_back(Item::Control(control));
            state.wake();
        }
        Ok(())
    }

    /// The client sends no more data.
    ///
    /// # Errors
    /// When it has said so before.
    pub fn push_eof(&self) -> Result<(), Breach> {
        let mut state = self.state();
        if std::mem::replace(&mut state.ended, true) {
            return Err(Breach::EofTwice);
        }
        if !state.closed {
            state.items.push_back(Item::Eof);
            state.wake();
        }
        Ok(())
    }

    /// The channel is gone: what waits is still read, then [`Event::Closed`].
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.wake();
        self.drained.notify_one();
    }

    /// Whether the channel is gone.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// How much there may be of it.
    pub fn load(&self) -> Load {
        let state = self.state();
        Load { backlog: state.backlog, window: state.window }
    }

    /// The peer's window is topped up to so much; the data that made it come next.
    pub fn tops_up(&self, window: u32) {
        let mut state = self.state();
        (state.window, state.topped_up) = (bytes(window), true);
    }

    /// Waits until the channel is gone, or until `byte` is in the data that waits; takes
    /// nothing. Says whether it is the byte. Cancel safe.
    pub async fn closed_or_holds(&self, byte: Option<u8>) -> bool {
        // What was looked at is not looked at again: nobody takes anything meanwhile.
        let mut looked = Looked::default();
        std::future::poll_fn(|context| {
            let mut state = self.state();
            if byte.is_some_and(|byte| state.holds(byte, &mut looked)) {
                return Poll::Ready(true);
            }
            if state.closed {
                return Poll::Ready(false);
            }
            state.reader = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn poll_event(&self, context: &mut Context<'_>) -> Poll<Event<C>> {
        let mut state = self.state();
        let Some(item) = state.items.pop_front() else {
            if state.closed {
                return Poll::Ready(Event::Closed);
            }
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        Poll::Ready(match item {
            Item::Data(data) => {
                state.take(data.len(), &self.drained);
                Event::Data(data.freeze())
            }
            Item::Eof => Event::Eof,
            Item::Control(control) => {
                state.controls -= 1;
                Event::Control(control)
            }
        })
    }

    /// The next thing the client did. Cancel safe.
    pub async fn next(&self) -> Event<C> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }
}

impl<C> State<C> {
    fn add(&mut self, data: &[u8]) {
        self.backlog += data.len();
        match self.items.back_mut() {
            Some(Item::Data(last)) if last.len() + data.len() <= GATHER => last.extend_from_slice(data),
            _ => self.items.push_back(Item::Data(data.into())),
        }
        self.wake();
    }

    /// Whether the byte is in what came after `looked`, which goes on to the end.
    fn holds(&self, byte: u8, looked: &mut Looked) -> bool {
        let mut from = looked.bytes;
        for item in self.items.range(looked.last.min(self.items.len())..) {
            let new = match item {
                Item::Data(data) => data.get(from..).unwrap_or_default(),
                Item::Eof | Item::Control(_) => &[],
            };
            if memchr::memchr(byte, new).is_some() {
                return true;
            }
            from = 0;
        }
        looked.last = self.items.len().saturating_sub(1);
        looked.bytes = match self.items.back() {
            Some(Item::Data(data)) => data.len(),
            _ => 0,
        };
        false
    }

    /// The peer has used up so much of its window.
    fn arrives(&mut self, length: usize) {
        if !std::mem::take(&mut self.topped_up) {
            self.window = self.window.saturating_sub(length);
        }
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn take(&mut self, length: usize, drained: &Notify) {
        let before = self.backlog;
        self.backlog -= length;
        if before > SOFT && self.backlog <= SOFT {
            drained.notify_one();
        }
    }
}

/// How much of what waits was looked at: all before the last item, and so many bytes of that, to
/// which data may be added.
#[derive(Debug, Default)]
struct Looked {
    last: usize,
    bytes: usize,
}

/// What a channel has waiting and may still be sent, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    backlog: usize,
    window: usize,
}

/// The target that russh shall top windows up to, given the load of the
/// channel that is adjusted now and those of all the connection's.
#[must_use]
pub fn window_target(own: Load, all: impl Iterator<Item = Load>) -> u32 {
    let (mut largest, mut backlog, mut sum) = (0, 0, 0);
    for one in all {
        largest = one.backlog.max(largest);
        backlog += one.backlog;
        sum += one.backlog + one.window.saturating_sub(bytes(FIRST));
    }
    if own.backlog >= SOFT || largest >= HARD || backlog >= ALL {
        return TRICKLE;
    }
    u32::try_from(ALL.saturating_sub(sum)).unwrap_or(WINDOW).clamp(FIRST, WINDOW)
}

fn bytes(window: u32) -> usize {
    usize::try_from(window).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
