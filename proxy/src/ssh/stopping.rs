//! The gate's stop, for the commands that run on its consoles: each gives its terminal back first.

use tokio::sync::{RwLock, RwLockReadGuard, watch};

use crate::relay;

/// Whether the gate stops, and which commands run until then.
#[derive(Debug)]
pub struct Stopping {
    now: watch::Sender<bool>,
    /// Held for reading by every command.
    running: RwLock<()>,
}

impl Default for Stopping {
    fn default() -> Self {
        Self { now: watch::Sender::new(false), running: RwLock::new(()) }
    }
}

impl Stopping {
    /// Cuts every command off, and waits until each has given its terminal back; no longer for one whose
    /// user takes nothing.
    pub async fn stop(&self) {
        self.now.send_replace(true);
        let _ = tokio::time::timeout(relay::FAREWELL * 2, self.running.write()).await;
    }

    /// Held by a command while it runs.
    pub(super) async fn running(&self) -> RwLockReadGuard<'_, ()> {
        self.running.read().await
    }

    /// Returns when the gate stops.
    pub(super) async fn begun(&self) {
        let mut now = self.now.subscribe();
        // Its sender is here.
        let _ = now.wait_for(|now| *now).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_stop_waits_for_a_command_to_give_its_terminal_back_and_no_longer_than_a_farewell() {
        for (takes, waited) in [(1, 1), (60, relay::FAREWELL.as_secs() * 2)] {
            let stopping = Arc::new(Stopping::default());
            let command = {
                let stopping = Arc::clone(&stopping);
                tokio::spawn(async move {
                    let _running = stopping.running().await;
                    stopping.begun().await;
                    tokio::time::sleep(Duration::from_secs(takes)).await;
                })
            };
            tokio::task::yield_now().await;
            let begun = Instant::now();
            stopping.stop().await;
            assert_eq!(begun.elapsed().as_secs(), waited);
            command.await.unwrap();
        }
    }
}
