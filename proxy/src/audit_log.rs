//! The audit log: [`AuditLog::append`] returns when the record is on the disk, so that
//! what it tells of may be seen only after that.
//!
//! Each gate that shares the store has a chain of its own. One task owns its end. Records that are handed in while a transaction runs
//! are written together in the next one, so that many sessions beginning at once
//! share one fsync. The store is the log; a copy goes to JSON lines, one file a day,
//! each line with its link, for collectors, and so that a log cut off at its end shows.
//!
//! What people are to be told of a record is handed in with it ([`Telling`]) and is in the outbox
//! once the record is in the log.
//!
//! When the store takes nothing, what was to happen is refused, and what has happened
//! ([`AuditLog::tell`]) waits in memory until it is taken.

mod lines;
mod tail;
mod telling;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tidegate_common::audit::Broken;
use tidegate_common::digest::Digest;
use tidegate_common::name::GateName;
use tidegate_common::policy::Full;
use tokio::sync::{mpsc, oneshot, watch};

use crate::store::{LastingStep, Step, Store, StoreError};

pub use lines::Damage;
pub use tail::Tail;
#[cfg(test)]
pub use telling::OfEvent;
pub use telling::{Rules, Telling};
pub use verify::{Verified, verify_parts};

/// How many records may wait for the store before those who append wait too.
const QUEUE: usize = 1024;

/// What can go wrong with the audit log. All of it is ours or the disk's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The store did not take it. What the record tells of must not happen.
    #[error("the audit log could not be written, so nothing was done: {0}")]
    Append(Arc<StoreError>),
    /// The store did not take what has happened already.
    #[error("{0}; it is kept in memory until the log can be written")]
    Kept(Arc<AuditError>),
    /// The store could not be read.
    #[error("the audit log could not be read: {0}")]
    Read(Arc<StoreError>),
    /// The files of JSON lines could not be made or read.
    #[error("the audit log's copy in {dir} can't be used: {why}")]
    Lines {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The log does not hold.
    #[error("the audit log was tampered with: {0}")]
    Broken(#[from] Broken),
    /// Records are missing at the log's end.
    #[error("the audit log was tampered with: it ends at record {found}, but record {known} was written")]
    Short {
        /// The last one there.
        found: u64,
        /// The last one known to have been.
        known: u64,
    },
    /// The copy tells of another record than the log.
    #[error("the audit log was tampered with: record {0} is not the one in its copy of JSON lines")]
    Differs(u64),
    /// The log holds, its copy does not.
    #[error(
        "the audit log is whole ({records} records, the last link is {link}), but its copy is damaged at line {} of {}: {}; \
         if it was not a full disk under an older version, somebody changed it",
        .damage.line, .damage.file.display(), .damage.why
    )]
    Copy {
        /// The first place that is damaged.
        damage: Damage,
        /// How many records the log has.
        records: u64,
        /// The last one's link.
        link: Digest,
    },
    /// Another gate's part of the log does not hold.
    #[error("the part of gate `{gate}`: {why}")]
    Other {
        /// Which gate.
        gate: GateName,
        /// What does not.
        why: Box<AuditError>,
    },
    /// The log's task has ended, because the proxy is stopping.
    #[error("the audit log is closed, because the proxy is stopping")]
    Closed,
}

impl AuditError {
    /// Whether a step was refused because somebody else changed what it rests on.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        matches!(self, Self::Append(error) if matches!(**error, StoreError::Changed))
    }

    /// What a step says that was refused because a request has no session left.
    #[must_use]
    pub fn spent(&self) -> Option<&StoreError> {
        match self {
            Self::Append(error) => Some(&**error).filter(|error| matches!(error, StoreError::Spent(_))),
            _ => None,
        }
    }
}

impl AuditError {
    /// Why there is no room for one more session, where a step was refused for that.
    #[must_use]
    pub fn full(&self) -> Option<&Full> {
        match self {
            Self::Append(error) => match &**error {
                StoreError::Full(full) => Some(full),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the store would refuse the same again.
    fn is_for_good(&self) -> bool {
        matches!(self, Self::Append(error) if error.is_for_good())
    }

    /// Whether the store's database is away.
    pub(crate) fn is_away(&self) -> bool {
        match self {
            Self::Append(error) | Self::Read(error) => matches!(**error, StoreError::Away { .. }),
            Self::Kept(error) => error.is_away(),
            _ => false,
        }
    }
}

/// The log. Clones share it.
#[derive(Clone)]
pub struct AuditLog {
    queue: mpsc::Sender<Waiting>,
    newest: watch::Receiver<u64>,
    told: watch::Receiver<u64>,
    /// Who is told of what.
    telling: Arc<OnceLock<Rules>>,
    store: Store,
    dir: Arc<Path>,
}

/// Records to be, and who waits for them.
struct Waiting {
    entries: Vec<Telling>,
    /// What is written with them.
    with: With,
    /// Told the first record's number.
    done: oneshot::Sender<Result<u64, AuditError>>,
    /// Whether what they tell of has happened already.
    happened: bool,
    /// When they were handed in.
    since: Instant,
}

/// What is written together with records.
enum With {
    Nothing,
    Step(Step),
    Lasting(LastingStep),
}

/// A record on its way to the disk.
#[derive(Debug)]
pub struct HandedIn(oneshot::Receiver<Result<u64, AuditError>>);

impl HandedIn {
    /// Returns the record's number when it is on the disk.
    ///
    /// # Errors
    /// When it was not written. Then what it tells of must not happen.
    pub async fn on_disk(self) -> Result<u64, AuditError> {
        self.0.await.map_err(|_| AuditError::Closed)?
    }
}

impl AuditLog {
    /// Goes on where the store's log ends; the copy goes to `audit_dir`, which is made
    /// where it is missing.
    ///
    /// # Errors
    /// When the store can't be read, or the last record is none, or `audit_dir` can't be used.
    pub async fn open(store: Store, audit_dir: &Path) -> Result<Self, AuditError> {
        let lines = lines::Lines::open(audit_dir)?;
        let chain = writer::last(&store).await?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (tell, newest) = watch::channel(chain.seq);
        let (tell_told, told) = watch::channel(0);
        let tell = writer::Watched { newest: tell, told: tell_told };
        tokio::spawn(writer::run(store.clone(), lines, chain, waiting, tell));
        Ok(Self { queue, newest, told, telling: Arc::default(), store, dir: audit_dir.into() })
    }

    /// Appends an event; returns its number when it is on the disk. An event of which
    /// nobody says who did it is the proxy's own ([`tidegate_common::audit::Event::by`]).
    ///
    /// # Errors
    /// When it was not written. Then what it tells of must not happen.
    pub async fn append(&self, event: impl Into<Telling>) -> Result<u64, AuditError> {
        self.queue(vec![event.into()], With::Nothing, false).await?.on_disk().await
    }

    /// Takes a step together with the records that tell of it: all is on the disk when this
    /// returns, or none of it ever.
    ///
    /// # Errors
    /// When nothing was written.
    pub async fn step<T: Into<Telling>>(&self, events: Vec<T>, step: Step) -> Result<(), AuditError> {
        self.queue(events.into_iter().map(Into::into).collect(), With::Step(step), false)
            .await?
            .on_disk()
            .await
            .map(drop)
    }

    /// As [`Self::tell`], for who waits for it later or never.
    ///
    /// # Errors
    /// When the log is closed.
    pub async fn hand_in(&self, event: impl Into<Telling>) -> Result<HandedIn, AuditError> {
        self.queue(vec![event.into()], With::Nothing, true).await
    }

    /// Tells of what has happened already: when it can't be written now, it is kept and
    /// written as soon as it can be, before all that comes later. So the answer matters
    /// only to who ends something because of it.
    ///
    /// # Errors
    /// When it is not on the disk yet.
    pub async fn tell(&self, event: impl Into<Telling>) -> Result<u64, AuditError> {
        self.hand_in(event).await?.on_disk().await
    }

    /// As [`Self::tell`], together with the step that makes the store know of it: it is in both at
    /// once, and kept for both until it is.
    ///
    /// # Errors
    /// When it is not on the disk yet.
    pub async fn tell_step<T: Into<Telling>>(
        &self,
        events: Vec<T>,
        step: LastingStep,
    ) -> Result<(), AuditError> {
        self.queue(events.into_iter().map(Into::into).collect(), With::Lasting(step), true)
            .await?
            .on_disk()
            .await
            .map(drop)
    }

    async fn queue(
        &self,
        mut entries: Vec<Telling>,
        with: With,
        happened: bool,
    ) -> Result<HandedIn, AuditError> {
        for entry in &mut entries {
            telling::complete(entry, self.telling.get());
        }
        // What has happened is told in any case.
        if !happened {
            self.store.clock_is_right().map_err(|error| AuditError::Append(Arc::new(error)))?;
        }
        let (done, written) = oneshot::channel();
        let waiting = Waiting { entries, with, done, happened, since: Instant::now() };
        self.queue.send(waiting).await.map_err(|_| AuditError::Closed)?;
        Ok(HandedIn(written))
    }

    /// Has people told by these rules; before, only of what is handed in with a record, and all
    /// who read the webhook of nothing.
    pub fn tell_by(&self, rules: Rules) {
        // Only at the start.
        let _ = self.telling.set(rules);
    }

    /// Ticks whenever people are to be told of what was written.
    #[must_use]
    pub fn told(&self) -> watch::Receiver<u64> {
        self.told.clone()
    }

    /// The number of the newest record, 0 when there is none.
    #[must_use]
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// The last `count` records, and with `follow` those that come, as they come.
    #[must_use]
    pub fn tail(&self, count: u64, follow: bool) -> Tail {
        Tail::new(self.store.clone(), self.newest.clone(), count, follow)
    }

    /// Walks the whole log, of every gate, and compares this gate's with what is known of it
    /// elsewhere: its end in memory, and each of the JSON lines.
    ///
    /// # Errors
    /// Says what does not hold, or that the log can't be read.
    pub async fn verify(&self) -> Result<Verified, AuditError> {
        let known = self.newest();
        verify::verify(&self.store, &self.dir, known).await
    }
}

fn read_error(error: StoreError) -> AuditError {
    AuditError::Read(Arc::new(error))
}

#[cfg(test)]
impl AuditLog {
    /// The last `count` records, the oldest first.
    pub async fn last(&self, count: u64) -> Vec<tidegate_common::audit::Record> {
        let mut tail = self.tail(count, false);
        let mut records = Vec::new();
        while let Some(record) = tail.next_record().await.unwrap() {
            records.push(record);
        }
        records
    }
}
