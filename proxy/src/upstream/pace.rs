//! How many log-ins to one device are under way at once. sshd drops connections at random
//! once ten have not logged in yet (sshd_config(5), `MaxStartups`), whoever's they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most at once; others than we log in as well.
const MOST: usize = 8;
/// How long a log-in may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(60);

/// The turns of each device, by its address and port.
type Turns = HashMap<(String, u16), Weak<Semaphore>>;

/// The turns of all devices. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Pace(Arc<Mutex<Turns>>);

/// A log-in's turn; the next one's when dropped.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "its drop is what it is for")] OwnedSemaphorePermit);

impl Pace {
    /// Waits for a turn; `None` when it takes too long.
    pub async fn turn(&self, address: &str, port: u16) -> Option<Turn> {
        let turns = self.turns(address, port);
        let permit = tokio::time::timeout(PATIENCE, turns.acquire_owned()).await;
        permit.ok()?.ok().map(Turn)
    }

    fn turns(&self, address: &str, port: u16) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (address.to_owned(), port);
        if let Some(turns) = all.get(&key).and_then(Weak::upgrade) {
            return turns;
        }
        all.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(MOST));
        all.insert(key, Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_log_in_to_a_device_at_once_and_the_next_when_one_is_done() {
        let pace = Pace::default();
        let mut held = Vec::new();
        for _ in 0..MOST {
            held.push(pace.turn("192.0.2.1", 22).await.unwrap());
        }
        assert!(pace.turn("192.0.2.1", 22).await.is_none(), "it has waited long enough");
        assert!(pace.turn("192.0.2.2", 22).await.is_some(), "another device has turns of its own");
        held.pop();
        assert!(pace.turn("192.0.2.1", 22).await.is_some());
    }
}
