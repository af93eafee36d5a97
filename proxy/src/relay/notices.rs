//! What a person reads of their session beside what it shows: that its time is over soon, that
//! its keyboard is locked, who watches it.
//!
//! A notice goes the way of the device's output, so that the recording holds what the
//! person saw and in that order; it is no output of the device only in that it begins
//! with the gate's name. It waits while a program has the alternate screen, but for the
//! keyboard's: a person whose keys do nothing has to know why, so it is written over the
//! last row there. Without a terminal it goes to standard error, and warnings of time to nobody.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use russh::ChannelMsg;
use tokio::sync::watch;

use super::STDERR;
use super::alternate::AlternateScreen;
use crate::session::{Keyboard, LiveSession, Oversight, Warning};

/// The notices of one channel.
pub struct Notices {
    oversight: watch::Receiver<Oversight>,
    /// What of it is told so far; whoever watched before the channel began is told, too.
    told: Oversight,
    /// Whether the group has the user told of watchers.
    tells_of_watchers: bool,
    terminal: Option<OnTerminal>,
}

struct OnTerminal {
    due: watch::Receiver<Option<Warning>>,
    shown: Option<Warning>,
    screen: AlternateScreen,
}

impl Notices {
    /// For a channel of this session, on a terminal when there are warnings.
    pub fn new(live: &LiveSession, warnings: Option<watch::Receiver<Option<Warning>>>) -> Self {
        let screen = AlternateScreen::default();
        Self {
            oversight: live.oversight(),
            told: Oversight::default(),
            tells_of_watchers: live.permit().tells_of_watchers(),
            terminal: warnings.map(|due| OnTerminal { due, shown: None, screen }),
        }
    }

    /// Takes note of what the terminal is sent; tells whether a program has the alternate
    /// screen then.
    pub fn see(&mut self, bytes: &[u8]) -> bool {
        self.terminal.as_mut().is_some_and(|terminal| {
            terminal.screen.feed(bytes);
            terminal.screen.is_alternate()
        })
    }

    /// The next one, as the device would send it, once it is due and the screen is free; for ever
    /// where that never comes. Cancel safe; ask again after each [`Self::see`].
    pub async fn due(&mut self) -> ChannelMsg {
        loop {
            if let Some(data) = self.next() {
                let stderr = |data| ChannelMsg::ExtendedData { data, ext: STDERR };
                return if self.terminal.is_some() { ChannelMsg::Data { data } } else { stderr(data) };
            }
            let Self { oversight, terminal, .. } = self;
            let warned = async {
                match terminal.as_mut().filter(|terminal| terminal.screen.is_free()) {
                    Some(terminal) => terminal.due.changed().await,
                    None => std::future::pending().await,
                }
            };
            let changed = tokio::select! {
                changed = oversight.changed() => changed,
                changed = warned => changed,
            };
            if changed.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        let screen = self.terminal.as_ref().map(|terminal| terminal.screen).unwrap_or_default();
        let now = self.oversight.borrow_and_update();
        if now.is_locked() != self.told.is_locked() && screen.is_whole() {
            self.told.keyboard.clone_from(&now.keyboard);
            let sentence = keyboard(&now.keyboard);
            return Some(if screen.is_alternate() { over_last_row(&sentence) } else { line(&sentence) });
        }
        if !screen.is_free() {
            return None;
        }
        if self.tells_of_watchers && now.watchers != self.told.watchers {
            let sentences = watchers(&self.told.watchers, &now.watchers);
            self.told.watchers.clone_from(&now.watchers);
            return (!sentences.is_empty()).then(|| line(&sentences));
        }
        drop(now);
        let terminal = self.terminal.as_mut()?;
        let due = *terminal.due.borrow_and_update();
        let warning = due.filter(|_| due != terminal.shown)?;
        terminal.shown = due;
        Some(line(&warning.sentence(Timestamp::now())))
    }
}

fn line(sentence: &str) -> Bytes {
    Bytes::from(format!("\r\ntidegate: {sentence}\r\n"))
}

/// In reverse video, with the cursor back where it was (DECSC, CUP, SGR, EL, DECRC).
fn over_last_row(sentence: &str) -> Bytes {
    Bytes::from(format!("\x1b7\x1b[999;1H\x1b[0;7mtidegate: {sentence}\x1b[K\x1b[0m\x1b8"))
}

fn keyboard(keyboard: &Keyboard) -> String {
    match keyboard {
        Keyboard::Free => "the keyboard is unlocked; what you typed meanwhile goes on".to_owned(),
        Keyboard::Locked(by) => {
            format!("{by} locked the keyboard; what you type is held back until it is unlocked")
        }
    }
}

/// Who has come and who has gone; nothing of one who did both.
fn watchers(before: &[Arc<str>], now: &[Arc<str>]) -> String {
    let without = |some: &[Arc<str>], others: &[Arc<str>]| {
        let mut rest: Vec<_> = some.to_vec();
        for other in others {
            if let Some(place) = rest.iter().position(|one| one == other) {
                rest.remove(place);
            }
        }
        rest
    };
    let come = without(now, before).into_iter().map(|who| format!("{who} watches this session"));
    let gone = without(before, now).into_iter().map(|who| format!("{who} no longer watches this session"));
    come.chain(gone).collect::<Vec<_>>().join("; ")
}
