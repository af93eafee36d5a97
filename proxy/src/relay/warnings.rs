//! What a person reads on a terminal before the session's time is over.
//!
//! A warning goes the way of the device's output, so that the recording holds what the
//! person saw and in that order; it is no output of the device only in that it begins
//! with the gate's name. It waits while a program has the alternate screen.

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

use super::alternate::AlternateScreen;
use crate::session::{Open, Warning};

/// The warnings of one channel; nothing without a terminal.
pub struct Warnings(Option<OnTerminal>);

struct OnTerminal {
    due: watch::Receiver<Option<Warning>>,
    shown: Option<Warning>,
    screen: AlternateScreen,
}

impl Warnings {
    /// For a channel of this session.
    pub fn new(open: &Open, has_terminal: bool) -> Self {
        Self(has_terminal.then(|| OnTerminal {
            due: open.warnings.subscribe(),
            shown: None,
            screen: AlternateScreen::default(),
        }))
    }

    /// Takes note of what the terminal is sent; tells whether a program has the alternate
    /// screen then.
    pub fn see(&mut self, bytes: &[u8]) -> bool {
        self.0.as_mut().is_some_and(|terminal| {
            terminal.screen.feed(bytes);
            terminal.screen.is_alternate()
        })
    }

    /// The next line to show, once it is due and the screen is free; for ever where
    /// that never comes. Cancel safe; ask again after each [`Self::see`].
    pub async fn due(&mut self) -> Bytes {
        let Some(terminal) = self.0.as_mut().filter(|terminal| terminal.screen.is_free()) else {
            return std::future::pending().await;
        };
        loop {
            let due = *terminal.due.borrow_and_update();
            if let Some(warning) = due.filter(|_| due != terminal.shown) {
                terminal.shown = due;
                return Bytes::from(format!("\r\ntidegate: {}\r\n", warning.sentence(Timestamp::now())));
            }
            if terminal.due.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
