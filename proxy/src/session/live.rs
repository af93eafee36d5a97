//! The sessions that live now: listed, and ended by those who may.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tidegate_common::id::SessionId;
use tidegate_common::name::{AccessGroupName, CredentialName, UserName};
use tokio::sync::{Notify, mpsc};

use super::End;

/// What is shown of a live session.
#[derive(Debug, Clone)]
pub struct LiveInfo {
    /// The session.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserName,
    /// Where it goes.
    pub target: CredentialName,
    /// The access group that permits it.
    pub group: AccessGroupName,
    /// Where the user comes from.
    pub origin: IpAddr,
    /// When it was admitted.
    pub since: Timestamp,
}

struct Entry {
    info: LiveInfo,
    end: mpsc::Sender<End>,
}

/// The register of live sessions; clones share it.
#[derive(Clone, Default)]
pub struct LiveSessions {
    entries: Arc<Mutex<HashMap<SessionId, Entry>>>,
    left: Arc<Notify>,
}

/// A session's place in the register, given up when dropped.
pub struct Place {
    register: LiveSessions,
    id: SessionId,
}

impl LiveSessions {
    fn entries(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, info: LiveInfo, end: mpsc::Sender<End>) -> Place {
        let id = info.id;
        self.entries().insert(id, Entry { info, end });
        Place { register: self.clone(), id }
    }

    /// All of them, oldest first.
    pub fn list(&self) -> Vec<LiveInfo> {
        let mut list: Vec<_> = self.entries().values().map(|entry| entry.info.clone()).collect();
        list.sort_by_key(|info| info.id);
        list
    }

    /// Ends one; `false` when it does not live.
    pub fn end(&self, id: SessionId, end: End) -> bool {
        // A full queue holds an end already.
        self.entries().get(&id).map(|entry| entry.end.try_send(end)).is_some()
    }

    /// Waits until none is left.
    pub async fn empty(&self) {
        loop {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if self.entries().is_empty() {
                return;
            }
            left.await;
        }
    }

    /// Ends all of them.
    pub fn end_all(&self, end: &End) {
        for entry in self.entries().values() {
            let _ = entry.end.try_send(end.clone());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.register.entries().remove(&self.id);
        self.register.left.notify_waiters();
    }
}
