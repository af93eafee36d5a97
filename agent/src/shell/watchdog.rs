//! Signs of life to systemd, as often as it asks for them (sd_watchdog_enabled(3)).
//!
//! A thread of its own counts the time: it wakes for a sign and for nothing else, where a
//! timer in the runtime's wheel wakes twice before, to be moved closer.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc;

use super::reloads::notify;

/// Nobody waits for signs of life where this is empty.
#[derive(Debug)]
pub struct Watchdog(Option<mpsc::Receiver<()>>);

impl Watchdog {
    /// Three signs in the time that systemd allows for one; the first at once.
    ///
    /// # Errors
    /// When the host has no thread left.
    pub fn start() -> io::Result<Self> {
        sd_notify::watchdog_enabled().map(|allowed| every(allowed / 3)).transpose().map(Self)
    }

    /// Returns when the next sign is due; never where nobody waits. Cancel safe.
    pub async fn due(&mut self) {
        let due = match &mut self.0 {
            Some(signs) => signs.recv().await,
            None => None,
        };
        if due.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// The agent lives.
    pub fn alive(&self) {
        notify(&[sd_notify::NotifyState::Watchdog]);
    }
}

/// A loop that is stuck is asked no more than it can answer.
fn every(pause: Duration) -> io::Result<mpsc::Receiver<()>> {
    let (due, signs) = mpsc::channel(1);
    let thread = std::thread::Builder::new().name("watchdog".to_owned());
    thread.spawn(move || {
        while due.blocking_send(()).is_ok() {
            std::thread::sleep(pause);
        }
    })?;
    Ok(signs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn signs_are_due_at_once_and_then_as_often_as_asked_and_never_where_nobody_waits() {
        let pause = Duration::from_millis(20);
        let began = std::time::Instant::now();
        let mut watchdog = Watchdog(Some(every(pause).unwrap()));
        watchdog.due().await;
        for _ in 0..3 {
            watchdog.due().await;
        }
        // The thread may be one sign ahead.
        assert!(began.elapsed() >= pause * 2, "{:?}", began.elapsed());
        let mut nobody = Watchdog(None);
        tokio::select! {
            () = nobody.due() => panic!("nobody waits"),
            () = watchdog.due() => {}
        }
    }
}
