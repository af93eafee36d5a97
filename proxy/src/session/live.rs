//! The sessions that live now, so that those who may can end them.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_common::id::SessionId;
use tokio::sync::{Notify, mpsc};

use super::End;

/// The register of live sessions; clones share it.
#[derive(Clone, Default)]
pub struct LiveSessions {
    ends: Arc<Mutex<HashMap<SessionId, mpsc::Sender<End>>>>,
    left: Arc<Notify>,
}

/// A session's place in the register, given up when dropped.
pub struct Place {
    register: LiveSessions,
    id: SessionId,
}

impl LiveSessions {
    fn ends(&self) -> MutexGuard<'_, HashMap<SessionId, mpsc::Sender<End>>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, id: SessionId, end: mpsc::Sender<End>) -> Place {
        self.ends().insert(id, end);
        Place { register: self.clone(), id }
    }

    /// Ends one; `false` when it does not live.
    pub fn end(&self, id: SessionId, end: End) -> bool {
        // A full queue holds an end already.
        self.ends().get(&id).map(|sender| sender.try_send(end)).is_some()
    }

    /// Whether it lives.
    pub fn holds(&self, id: SessionId) -> bool {
        self.ends().contains_key(&id)
    }

    /// Waits until it has ended and its recording is sealed, for so long at most; `false` when
    /// it still lives.
    pub async fn gone(self, id: SessionId, within: Duration) -> bool {
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
        for sender in self.ends().values() {
            let _ = sender.try_send(end.clone());
        }
    }

    /// Waits until none is left.
    pub async fn empty(&self) {
        loop {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if self.ends().is_empty() {
                return;
            }
            left.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.register.ends().remove(&self.id);
        self.register.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_for_an_end_hears_of_it_when_it_comes_and_of_none_in_time() {
        let register = LiveSessions::default();
        let (id, within) = (SessionId::new(1, 1), Duration::from_secs(3));
        assert!(register.clone().gone(id, within).await, "it was never there");
        let place = register.enter(id, mpsc::channel(1).0);
        assert!(!register.clone().gone(id, within).await, "it lives");
        let asked = tokio::spawn(register.clone().gone(id, within));
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(place);
        assert!(asked.await.unwrap());
    }
}
