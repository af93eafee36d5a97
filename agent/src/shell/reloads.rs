//! The loop's side of reloads: one at a time, asked for, found possible or refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::reload::{self, ReloadError, Running, Successor};
use super::{Inbox, Message};
use crate::core::Event;
use crate::paths::Paths;

/// How long a handover may wait for what is under way to be finished.
const SETTLE: Duration = Duration::from_secs(15);

/// The reload that is under way, if one is.
#[derive(Debug)]
enum Stage {
    None,
    /// The program now installed is being asked.
    Asked,
    /// It can; as soon as nothing else is under way it does.
    Fit(Successor, Instant),
}

/// Reloads of this process.
#[derive(Debug)]
pub struct Reloads {
    paths: Paths,
    /// The configuration that was named.
    file: Option<PathBuf>,
    inbox: Inbox,
    running: Running,
    stage: Stage,
}

impl Reloads {
    /// `count` is how often this process was asked before.
    #[must_use]
    pub fn new(paths: &Paths, file: Option<&Path>, inbox: Inbox, count: u64) -> Self {
        let running = Running::this(paths, count);
        let file = file.map(Path::to_path_buf);
        Self { paths: paths.clone(), file, inbox, running, stage: Stage::None }
    }

    /// How often it was asked.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.running.reloads
    }

    /// The agent runs.
    pub fn ready(&self) {
        notify(&[sd_notify::NotifyState::Ready]);
        reload::settled(&self.paths);
        self.running.keep(&self.paths);
    }

    /// A reload is wanted: asks the program now installed, beside the loop.
    pub fn asked(&mut self) {
        let Stage::None = self.stage else { return };
        self.stage = Stage::Asked;
        let since = sd_notify::NotifyState::monotonic_usec_now().ok();
        notify(&std::iter::once(sd_notify::NotifyState::Reloading).chain(since).collect::<Vec<_>>());
        let (paths, file, inbox) = (self.paths.clone(), self.file.clone(), self.inbox.clone());
        let asking = move || {
            let prepared = reload::prepare(&paths, file.as_deref());
            let _ = inbox.blocking_send(Message::Prepared(prepared));
        };
        if let Err(error) = std::thread::Builder::new().name("reload".to_owned()).spawn(asking) {
            self.refuse(&ReloadError::Lost(error));
        }
    }

    /// What it has answered; with a yes the core is to hand over.
    pub fn prepared(&mut self, prepared: Result<Successor, ReloadError>) -> Option<Event> {
        match prepared {
            Ok(successor) => {
                self.stage = Stage::Fit(successor, Instant::now() + SETTLE);
                Some(Event::HandOver)
            }
            Err(why) => {
                self.refuse(&why);
                None
            }
        }
    }

    /// Till when the core has to have handed over.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        match self.stage {
            Stage::Fit(_, by) => Some(by),
            Stage::None | Stage::Asked => None,
        }
    }

    /// Who takes over, now that the core has handed over.
    pub fn successor(&mut self) -> Option<Successor> {
        match std::mem::replace(&mut self.stage, Stage::None) {
            Stage::Fit(successor, _) => Some(successor),
            Stage::None | Stage::Asked => None,
        }
    }

    /// Everything stays as it is.
    pub fn refuse(&mut self, why: &ReloadError) {
        tracing::error!("{why}; this agent stays, and its grants with it");
        self.stage = Stage::None;
        self.running.refuse(why);
        self.ready();
    }
}

/// Tells systemd, where it listens.
pub fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
