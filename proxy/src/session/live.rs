//! The sessions that live now, each by its handle: what is known of it, ended, its keyboard
//! locked, who watches it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::id::SessionId;
use tidegate_common::policy::Permit;
use tokio::sync::{Notify, mpsc, watch};

use super::End;

/// People who may watch one session at the same time: each has its screen in memory.
pub const MOST_WATCHERS: usize = 8;

/// Whether what is typed reaches the device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Keyboard {
    /// It does.
    #[default]
    Free,
    /// It is held back, on the order of somebody.
    Locked(Arc<str>),
}

/// What others do with a session while it lives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Oversight {
    /// Whether its keyboard is locked.
    pub keyboard: Keyboard,
    /// Who watches it.
    pub watchers: Vec<Arc<str>>,
}

impl Oversight {
    /// Whether what is typed is held back.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.keyboard != Keyboard::Free
    }
}

/// What is known of a live session beside its row in the store.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Since when it lives.
    pub since: Timestamp,
    /// Channels that are open, forwards included.
    pub channels: usize,
    /// Bytes from the user's side so far; those of a forward once it is over.
    pub bytes_in: u64,
    /// Bytes to it.
    pub bytes_out: u64,
    /// What others do with it.
    pub oversight: Oversight,
}

/// A live session, for whoever may touch it; clones are the same.
#[derive(Clone)]
pub struct LiveSession(Arc<State>);

struct State {
    id: SessionId,
    permit: Arc<Permit>,
    origin: IpAddr,
    since: Timestamp,
    end: mpsc::Sender<End>,
    oversight: watch::Sender<Oversight>,
    channels: AtomicUsize,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl LiveSession {
    /// A session that begins. `end` is where it hears that it shall end.
    pub fn new(id: SessionId, permit: Arc<Permit>, origin: IpAddr, end: mpsc::Sender<End>) -> Self {
        Self(Arc::new(State {
            id,
            permit,
            origin,
            since: Timestamp::now(),
            end,
            oversight: watch::Sender::default(),
            channels: AtomicUsize::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        }))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// What it was permitted when it began.
    pub fn permit(&self) -> &Permit {
        &self.0.permit
    }

    /// From where its user came.
    #[must_use]
    pub fn origin(&self) -> IpAddr {
        self.0.origin
    }

    /// How it stands now.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let state = &self.0;
        Facts {
            since: state.since,
            channels: state.channels.load(Ordering::Relaxed),
            bytes_in: state.bytes_in.load(Ordering::Relaxed),
            bytes_out: state.bytes_out.load(Ordering::Relaxed),
            oversight: state.oversight.borrow().clone(),
        }
    }

    /// Ends it. The first end counts.
    pub fn end(&self, end: End) {
        // A full queue holds an end already.
        let _ = self.0.end.try_send(end);
    }

    /// Holds back what is typed from now on, or no longer.
    ///
    /// # Errors
    /// How the keyboard stands, where that is so already.
    pub fn set_keyboard(&self, wanted: Keyboard) -> Result<(), Keyboard> {
        let mut stands = Keyboard::Free;
        let changed = self.0.oversight.send_if_modified(|now| {
            stands.clone_from(&now.keyboard);
            let changes = now.is_locked() != (wanted != Keyboard::Free);
            if changes {
                now.keyboard.clone_from(&wanted);
            }
            changes
        });
        if changed { Ok(()) } else { Err(stands) }
    }

    /// What others do with it, now and later.
    #[must_use]
    pub fn oversight(&self) -> watch::Receiver<Oversight> {
        self.0.oversight.subscribe()
    }

    /// Somebody watches it, until what this gives is dropped; none where as many do as may.
    #[must_use]
    pub fn watched_by(&self, who: &str) -> Option<Watching> {
        let who: Arc<str> = who.into();
        let taken = self.0.oversight.send_if_modified(|now| {
            let room = now.watchers.len() < MOST_WATCHERS;
            if room {
                now.watchers.push(Arc::clone(&who));
            }
            room
        });
        taken.then(|| Watching { session: self.clone(), who })
    }

    /// A channel of it is open, until what this gives is dropped.
    #[must_use]
    pub fn has_channel(&self) -> OpenChannel {
        self.0.channels.fetch_add(1, Ordering::Relaxed);
        OpenChannel(self.clone())
    }

    /// So many bytes more came from the user's side, and went to it.
    pub fn count(&self, bytes_in: u64, bytes_out: u64) {
        self.0.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.0.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
    }
}

/// Somebody who watches.
pub struct Watching {
    session: LiveSession,
    who: Arc<str>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.session.0.oversight.send_if_modified(|now| {
            let place = now.watchers.iter().position(|watcher| *watcher == self.who);
            place.map(|place| now.watchers.remove(place)).is_some()
        });
    }
}

/// An open channel.
pub struct OpenChannel(LiveSession);

impl Drop for OpenChannel {
    fn drop(&mut self) {
        self.0.0.channels.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The register of live sessions; clones share it.
#[derive(Clone, Default)]
pub struct LiveSessions {
    sessions: Arc<Mutex<HashMap<SessionId, LiveSession>>>,
    left: Arc<Notify>,
}

/// A session's entry in the register, given up when dropped.
pub struct Entry {
    register: LiveSessions,
    id: SessionId,
}

impl LiveSessions {
    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, LiveSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a session that begins.
    pub fn enter(&self, session: LiveSession) -> Entry {
        let id = session.id();
        self.sessions().insert(id, session);
        Entry { register: self.clone(), id }
    }

    /// One of them, if it lives.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<LiveSession> {
        self.sessions().get(&id).cloned()
    }

    /// Whether it lives.
    #[must_use]
    pub fn holds(&self, id: SessionId) -> bool {
        self.sessions().contains_key(&id)
    }

    /// Waits until it has ended and its recording is sealed, for so long at most; `false` when
    /// it still lives.
    pub async fn gone(&self, id: SessionId, within: Duration) -> bool {
        let gone = async {
            loop {
                let mut left = pin!(self.left.notified());
                left.as_mut().enable();
                if !self.holds(id) {
                    return;
                }
                left.await;
            }
        };
        tokio::time::timeout(within, gone).await.is_ok()
    }

    /// Ends all of them.
    pub fn end_all(&self, end: &End) {
        for session in self.sessions().values() {
            session.end(end.clone());
        }
    }

    /// Waits until none is left.
    pub async fn empty(&self) {
        loop {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if self.sessions().is_empty() {
                return;
            }
            left.await;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.register.sessions().remove(&self.id);
        self.register.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
