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
use std::time::{Duration, Instant};

use tidegate_common::audit::{Event, Note};
use tidegate_common::id::SessionId;
use tidegate_common::name::{CredentialName, DeviceName};
use tidegate_common::wire::Witnessed;
use tokio::sync::Mutex;

use crate::recordings::{RecordError, Recordings};
use crate::store::{Store, StoreError};
use file::Ledger;

pub use check::{Checked, Logged, check};
pub use marks::{Mark, mark_of_line, marks, names};

/// The most of one session, in bytes. What comes after is only counted.
pub const MOST_BYTES: u64 = 64 << 20;

/// Sessions whose files' ends are remembered, of all devices and of one; of others they
/// are read again.
const MOST_KNOWN: usize = 1024;
const MOST_OF_DEVICE: usize = 128;

/// From when on a session is over: what its agent kept while it lived has come by then.
const OVER: Duration = Duration::from_secs(600);

/// What can go wrong. All of it is ours or the disk's; the agent tells it again then.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    #[error("what the kernel saw in session {session} could not be written to {path}: {source}")]
    Write { session: SessionId, path: PathBuf, source: io::Error },
    #[error("what the kernel saw could not be read from {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("what the kernel saw in session {session} is not kept yet: {source}")]
    Room { session: SessionId, source: RecordError },
    #[error("the end of what the kernel saw could not be signed: {0}")]
    Sign(RecordError),
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// How much of a message is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extent {
    /// As much as ever.
    All,
    /// How much it was: its device told too much of sessions that are over.
    Count,
    /// It is of a session that its device never served.
    #[default]
    Nothing,
}

/// What became of a message.
#[derive(Debug, Default)]
pub struct Taken {
    /// How much of it is kept.
    pub kept: Extent,
    /// For the audit log, with a session's last message.
    pub event: Option<Event>,
    /// How much it says for the first time to have been lost.
    pub lost: u64,
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
    /// The session was over when its file was opened.
    past: bool,
    used: Instant,
}

impl Witnesses {
    /// Keeps files beside those of `recordings`.
    pub fn new(recordings: Recordings, store: Store) -> Self {
        Self { recordings, store, known: Arc::default() }
    }

    /// Beside recordings of their own.
    #[cfg(test)]
    pub fn testing(store: &Store, directory: &std::path::Path) -> Self {
        let key = crate::recordings::RecordingKey::open(directory).unwrap();
        let settings = crate::recordings::Settings::testing(directory.join("recordings"));
        Self::new(Recordings::open(settings, key).unwrap(), store.clone())
    }

    /// The file of a session.
    pub fn path(&self, session: SessionId) -> PathBuf {
        path(&self.recordings, session)
    }

    /// Keeps a message; on the disk when this returns. Asks `past` for room for so many
    /// bytes of a session that is over.
    ///
    /// # Errors
    /// When it could not be kept; the agent has to tell it again.
    pub async fn take(
        &self,
        device: &DeviceName,
        mut said: Witnessed,
        past: impl Fn(u64) -> bool + Send,
    ) -> Result<Taken, WitnessError> {
        let session = said.session;
        self.recordings.has_room().map_err(|source| WitnessError::Room { session, source })?;
        let mut known = self.known.lock().await;
        let entry = match known.remove(&session) {
            Some(entry) => entry,
            None => {
                let row = self.store.session(session).await?;
                let Some(row) = row.filter(|row| row.target.device == *device) else {
                    return Ok(Taken::default());
                };
                let ledger = blocking(self.path(session), Ledger::open).await;
                let over = row.ended.is_some_and(|ended| ended + OVER < jiff::Timestamp::now());
                Known { target: row.target, ledger: ledger?, past: over, used: Instant::now() }
            }
        };
        if entry.target.device != *device {
            known.insert(session, entry);
            return Ok(Taken::default());
        }
        let Known { target, ledger, past: over, .. } = entry;
        let mut kept = Extent::All;
        if over && !past(bytes(&said)) {
            kept = Extent::Count;
            said.lost = said.lost.saturating_add(u64::try_from(said.execs.len()).unwrap_or(u64::MAX));
            said.execs.clear();
            said.remarks = vec![Note::new("its device told more of sessions that are over than is kept")];
        }
        let (last, lost) = (said.last, ledger.account().lost);
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
        let lost = ledger.account().lost.saturating_sub(lost);
        if !last {
            make_room(&mut known, device);
            known.insert(session, Known { target, ledger, past: over, used: Instant::now() });
        }
        Ok(Taken { kept, event, lost })
    }
}

/// Forgets the end that was used least lately: of this device when it has its share.
fn make_room(known: &mut HashMap<SessionId, Known>, device: &DeviceName) {
    let full = known.values().filter(|known| known.target.device == *device).count() >= MOST_OF_DEVICE;
    if !full && known.len() < MOST_KNOWN {
        return;
    }
    let some = known.iter().filter(|(_, known)| !full || known.target.device == *device);
    if let Some(oldest) = some.min_by_key(|(_, known)| known.used).map(|(session, _)| *session) {
        known.remove(&oldest);
    }
}

/// About how much a message takes in a file.
fn bytes(said: &Witnessed) -> u64 {
    serde_json::to_vec(said).map_or(u64::MAX, |text| u64::try_from(text.len()).unwrap_or(u64::MAX))
}

/// The file of a session.
pub fn path(recordings: &Recordings, session: SessionId) -> PathBuf {
    recordings.beside(session, "commands.jsonl")
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
