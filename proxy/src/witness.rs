//! What the kernels of devices saw run in sessions, as their agents tell it: one file
//! a session beside its recording, `<session id>.commands.jsonl`.
//!
//! It is no part of the audit log, because a build in a session runs ten thousand
//! commands: each message of an agent is one line, on the disk before the agent is
//! told that it may forget it. Lines are chained; when the session's last message is there
//! the chain's end is signed, and goes to the audit log.
//!
//! Agents are hostile: a line is bounded by the link's frames, a file by
//! [`MOST_BYTES`], and an agent speaks for sessions on its own device only.

mod check;
mod file;
mod marks;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_common::audit::Event;
use tidegate_common::id::SessionId;
use tidegate_common::name::{CredentialName, DeviceName};
use tidegate_common::wire::Witnessed;
use tokio::sync::Mutex;

use crate::record::{RecordError, Recordings};
use crate::store::{Store, StoreError};
use file::Ledger;

pub use check::{Checked, Logged, check};
pub use marks::{Mark, mark_of_line, marks, names};

/// The most of one session, in bytes. What comes after is only counted.
pub const MOST_BYTES: u64 = 64 << 20;

/// Sessions whose files' ends are remembered; of others they are read again.
const MOST_KNOWN: usize = 1024;

/// What can go wrong. All of it is ours or the disk's; the agent tells it again then.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    #[error("what the kernel saw in session {session} could not be written to {path}: {source}")]
    Write { session: SessionId, path: PathBuf, source: io::Error },
    #[error("what the kernel saw could not be read from {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the end of what the kernel saw could not be signed: {0}")]
    Sign(RecordError),
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// All of them; clones share it.
#[derive(Clone)]
pub struct Witnesses {
    recordings: Recordings,
    store: Store,
    known: Arc<Mutex<HashMap<SessionId, Known>>>,
}

struct Known {
    target: CredentialName,
    ledger: Ledger,
}

impl Witnesses {
    /// Keeps files beside those of `recordings`.
    pub fn new(recordings: Recordings, store: Store) -> Self {
        Self { recordings, store, known: Arc::default() }
    }

    /// Beside recordings of their own.
    #[cfg(test)]
    pub fn testing(store: &Store, directory: &std::path::Path) -> Self {
        let key = crate::record::RecordingKey::open(directory).unwrap();
        let settings = crate::record::Settings::new(directory.join("recordings"));
        Self::new(Recordings::open(settings, key).unwrap(), store.clone())
    }

    /// The file of a session.
    pub fn path(&self, session: SessionId) -> PathBuf {
        path(&self.recordings, session)
    }

    /// Keeps a message; on the disk when this returns. With the session's last one
    /// comes an event for the audit log.
    ///
    /// # Errors
    /// When it could not be kept; the agent has to tell it again.
    pub async fn take(&self, device: &DeviceName, said: Witnessed) -> Result<Option<Event>, WitnessError> {
        let session = said.session;
        let mut known = self.known.lock().await;
        let entry = match known.remove(&session) {
            Some(entry) => entry,
            None => {
                let row = self.store.session(session).await?;
                let Some(row) = row.filter(|row| row.target.device == *device) else {
                    tracing::warn!(%device, %session, "the agent tells of a session that it never served");
                    return Ok(None);
                };
                let ledger = blocking(self.path(session), Ledger::open).await;
                Known { target: row.target, ledger: ledger? }
            }
        };
        if entry.target.device != *device {
            tracing::warn!(%device, %session, "the agent tells of a session that it never served");
            known.insert(session, entry);
            return Ok(None);
        }
        let Known { target, ledger } = entry;
        let last = said.last;
        // A write that fails forgets what is known: the next message reads the file again.
        let ledger =
            blocking((ledger, said, self.recordings.key()), |(ledger, said, key)| ledger.append(said, &key))
                .await?;
        let event = last.then(|| Event::CommandsWitnessed {
            session,
            target: target.clone(),
            execs: ledger.account().execs,
            lost: ledger.account().lost,
            link: ledger.link(),
        });
        if !last && known.len() < MOST_KNOWN {
            known.insert(session, Known { target, ledger });
        }
        Ok(event)
    }
}

/// The file of a session.
pub fn path(recordings: &Recordings, session: SessionId) -> PathBuf {
    recordings.path(session).with_file_name(format!("{session}.commands.jsonl"))
}

async fn blocking<I: Send + 'static, T: Send + 'static>(
    with: I,
    work: fn(I) -> Result<T, WitnessError>,
) -> Result<T, WitnessError> {
    match tokio::task::spawn_blocking(move || work(with)).await {
        Ok(done) => done,
        Err(panic) => Err(WitnessError::Read { path: PathBuf::new(), source: io::Error::other(panic) }),
    }
}
