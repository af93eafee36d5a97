//! Where the kernel is listened to while sessions live: our rules in it, the ears, and
//! when to look after them. It can be left to the agent after this one.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, RawFd};

use nix::poll::{PollFd, PollFlags};
use serde::{Deserialize, Serialize};

use super::kernel::{EXECS, Ear, LOGINS};
use super::loaded_rules::{Changes, LoadedRules};
use crate::clock;
use crate::paths::Paths;

/// How long rules stay after the last session, in microseconds.
pub const KEEP: u64 = 5_000_000;

/// What is left of one whose agent has gone.
#[derive(Debug, Serialize, Deserialize)]
pub struct Left {
    ear: RawFd,
    logins: RawFd,
    lost: u32,
}

impl Left {
    /// Goes on listening where the agent before has stopped; nothing was missed then.
    ///
    /// # Errors
    /// When the listener is not there any more.
    pub fn take_over(self, paths: &Paths) -> io::Result<Listener> {
        let (ear, logins) = (Ear::adopt(self.ear)?, Ear::adopt(self.logins)?);
        let loaded = LoadedRules::resume(paths, self.lost)?;
        Ok(Listener::new(loaded, ear, logins))
    }
}

/// What listens to the kernel.
pub struct Listener {
    pub loaded: LoadedRules,
    /// Hears of execs.
    pub ear: Ear,
    /// Hears of logins only, so that they wake us also in a pause.
    pub logins: Ear,
    /// When to read again, while much comes.
    pub pause: Option<u64>,
    /// When to ask for losses; not while no session lives.
    pub ask: Option<u64>,
    /// When to look after our rules: soon when something changed, and every now and then,
    /// because a change can be made that is not told.
    pub look: Option<u64>,
    /// What was heard of changes since the last look.
    pub changes: Changes,
    /// What keeps the kernel from telling, as it was told to every session.
    pub stands: BTreeSet<String>,
    /// The kernel had nothing left when it was asked; what we have not read yet is the rest.
    pub drained: bool,
    /// Since when no session lives.
    pub idle: Option<u64>,
}

impl Listener {
    /// Listens, and makes the kernel tell.
    ///
    /// # Errors
    /// Why it does not, in a sentence; nothing is changed then.
    pub fn take(paths: &Paths) -> Result<Self, String> {
        let ears = Ear::open(&EXECS).and_then(|ear| Ok((ear, Ear::open(&LOGINS)?)));
        let (ear, logins) = ears.map_err(|error| error.to_string())?;
        let loaded = LoadedRules::take(paths).map_err(|error| error.to_string())?;
        Ok(Self::new(loaded, ear, logins))
    }

    fn new(loaded: LoadedRules, ear: Ear, logins: Ear) -> Self {
        let now = Some(clock::now().boot);
        let (changes, stands) = (Changes::default(), BTreeSet::new());
        Self {
            loaded,
            ear,
            logins,
            pause: None,
            ask: now,
            look: now,
            changes,
            stands,
            drained: false,
            idle: None,
        }
    }

    /// Leaves it to the next agent; the kernel goes on telling.
    ///
    /// # Errors
    /// When an ear can't stay open.
    pub fn leave(self) -> io::Result<Left> {
        let lost = self.loaded.lost();
        Ok(Left { ear: self.ear.leave()?, logins: self.logins.leave()?, lost })
    }

    /// When there is something to do, whatever is heard.
    pub fn next(&self) -> Option<u64> {
        let rest = self.idle.map(|since| since.saturating_add(KEEP));
        [self.pause, self.ask, self.look, rest].into_iter().flatten().min()
    }

    /// What to wait for.
    pub fn ears(&self) -> Vec<PollFd<'_>> {
        let execs = self.pause.is_none().then_some(&self.ear);
        let ears = [&self.logins].into_iter().chain(execs);
        ears.map(|ear| PollFd::new(ear.as_fd(), PollFlags::POLLIN)).collect()
    }
}
