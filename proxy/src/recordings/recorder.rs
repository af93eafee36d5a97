//! A session's recorder, as a relay uses it.

mod channel;

pub use channel::{Channel, Open};

use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tidegate_common::audit::CommandText;
use tidegate_common::digest::Digest;
use tidegate_common::recording::{Control, END_LENGTH, Header, Stream};
use tokio::sync::{Notify, watch};

use super::RecordError;
use super::flush::{self, Writing};
use super::pending::{Pending, Pushed};
use super::space::Growth;
use super::store::Store;

/// One session's recording, while it is written. Dropped unsealed, it stays incomplete.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

/// How a session ended.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// The exit status to show for it; none is shown as 255, as ssh(1) does.
    pub exit: Option<u32>,
    /// A sentence.
    pub cause: &'a str,
}

/// A recording that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Where it is.
    pub path: PathBuf,
    /// Its size on disk.
    pub bytes: u64,
    /// Its frames.
    pub frames: u64,
    /// The last link: names the recording's content.
    pub link: Digest,
}

pub(super) struct Inner {
    pub(super) store: Arc<Store>,
    pub(super) path: PathBuf,
    pub(super) room: Notify,
    pub(super) wake: Notify,
    pub(super) rested: Notify,
    /// Tells of each write.
    pub(super) written: watch::Sender<()>,
    started: Instant,
    input: bool,
    exec_output_limit: u64,
    pending: Mutex<Pending>,
    writing: Mutex<Writing>,
    broken: AtomicBool,
    failed: watch::Sender<Option<Arc<RecordError>>>,
    growth: Mutex<Growth>,
    /// Why its session has to end although nothing failed.
    crowded: watch::Sender<Option<Arc<str>>>,
}

/// A writer that panicked has failed its recording; what the lock guards is still sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    pub(super) fn new(store: Arc<Store>, header: &Header, path: PathBuf, writing: Writing) -> Self {
        Self(Arc::new(Inner {
            store,
            path,
            room: Notify::new(),
            wake: Notify::new(),
            rested: Notify::new(),
            written: watch::Sender::new(()),
            started: Instant::now(),
            input: header.input,
            exec_output_limit: header.exec_output_limit,
            pending: Mutex::default(),
            writing: Mutex::new(writing),
            broken: AtomicBool::new(false),
            failed: watch::Sender::new(None),
            growth: Mutex::new(Growth::new()),
            crowded: watch::Sender::new(None),
        }))
    }

    pub(super) fn weak(&self) -> Weak<Inner> {
        Arc::downgrade(&self.0)
    }

    /// Where its file is, for people to read.
    #[must_use]
    pub fn location(&self) -> &Path {
        &self.0.path
    }

    /// A channel begins. The number is the relay's own, unique among the open ones.
    ///
    /// # Errors
    /// When the recording failed or is sealed.
    pub async fn open(&self, channel: u32, open: Open<'_>) -> Result<Channel, RecordError> {
        let bounded = |text: &str| CommandText::new(text).to_string();
        let Open { kind, command, term, size } = open;
        let command = command.map(bounded);
        let control = Control::Opened {
            channel,
            kind,
            command: command.clone(),
            term: term.map(|term| term.chars().take(64).collect()),
            size,
        };
        self.0.control(control).await?;
        Ok(Channel::new(Arc::clone(&self.0), channel, kind, command))
    }

    /// A place to jump to, for a person.
    ///
    /// # Errors
    /// When the recording failed or is sealed.
    pub async fn mark(&self, label: &str) -> Result<(), RecordError> {
        self.0.control(Control::Marker { label: CommandText::new(label).to_string() }).await
    }

    /// Returns when the recording has failed, and why; the session must end then.
    pub async fn failed(&self) -> Arc<RecordError> {
        let mut failed = self.0.failed.subscribe();
        let failure = failed.wait_for(Option::is_some).await.ok().and_then(|failure| failure.clone());
        // The sender lives in `self`, so that there is always an answer.
        failure.unwrap_or_else(|| Arc::new(RecordError::Sealed))
    }

    /// Returns when there is no room for what the session writes, with the sentence for its
    /// user; the session must end then.
    pub async fn crowded(&self) -> Arc<str> {
        let mut crowded = self.0.crowded.subscribe();
        let why = crowded.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        // The sender lives in `self`, so that there is always an answer.
        why.unwrap_or_else(|| "there is no room for its recording".into())
    }

    /// Writes what is pending, and the end; signs it and reads it back.
    ///
    /// # Errors
    /// When any of it fails: the recording stays incomplete.
    pub async fn seal(&self, end: End<'_>) -> Result<Sealed, RecordError> {
        let inner = &self.0;
        let cause = CommandText::new(end.cause).to_string();
        let (at, control) = (inner.now(), Control::Ended { exit: end.exit, cause });
        inner.push(|pending| pending.end(at, control.clone())).await?;
        loop {
            let mut rested = pin!(inner.rested.notified());
            rested.as_mut().enable();
            if !inner.pending().flushing() {
                break;
            }
            rested.await;
        }
        if let Some(failure) = inner.pending().failure() {
            return Err(RecordError::Failed(failure));
        }
        let worker = inner.clone();
        let sealed = tokio::task::spawn_blocking(move || worker.finish()).await;
        let sealed = sealed.unwrap_or_else(|panic| Err(inner.unwritten(std::io::Error::other(panic))));
        sealed.map_err(|error| {
            inner.fail(error);
            inner.failure()
        })
    }
}

#[cfg(test)]
impl Recorder {
    /// Whether nothing is pending, nobody waits and no buffer is held.
    pub fn at_rest(&self) -> bool {
        let pending = self.0.pending();
        !pending.flushing() && pending.is_empty() && self.0.writing().cast.is_empty()
    }

    /// Returns when it is at rest.
    pub async fn rested(&self) {
        loop {
            let mut rested = pin!(self.0.rested.notified());
            rested.as_mut().enable();
            if !self.0.pending().flushing() {
                return;
            }
            rested.await;
        }
    }
}

impl Inner {
    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        lock(&self.pending)
    }

    pub(super) fn writing(&self) -> MutexGuard<'_, Writing> {
        lock(&self.writing)
    }

    pub(super) fn growth(&self) -> MutexGuard<'_, Growth> {
        lock(&self.growth)
    }

    /// Whether its session has been told to end for lack of room.
    pub(super) fn must_end(&self) -> bool {
        self.crowded.borrow().is_some() || self.broken.load(Ordering::Relaxed)
    }

    /// Tells its session to end for lack of room.
    pub(super) fn end_because(&self, why: String) {
        self.crowded.send_replace(Some(why.into()));
    }

    /// Ends the recording for everybody who uses it.
    pub(super) fn fail(&self, error: RecordError) {
        let failure = match error {
            RecordError::Failed(failure) => failure,
            other => Arc::new(other),
        };
        self.pending().fail(failure.clone());
        self.broken.store(true, Ordering::Relaxed);
        self.failed.send_replace(Some(failure));
        self.room.notify_waiters();
    }

    async fn data(self: &Arc<Self>, channel: u32, stream: Stream, bytes: &[u8]) -> Result<(), RecordError> {
        let at = self.now();
        let bound = self.store.settings.pending_bound;
        self.push(|pending| pending.data(at, channel, stream, bytes, bound)).await
    }

    async fn control(self: &Arc<Self>, control: Control) -> Result<(), RecordError> {
        let at = self.now();
        let bound = self.store.settings.pending_bound;
        self.push(|pending| pending.control(at, control.clone(), bound)).await
    }

    /// Pushes, and waits for room where there is none.
    async fn push(self: &Arc<Self>, push: impl Fn(&mut Pending) -> Pushed) -> Result<(), RecordError> {
        let first = push(&mut self.pending());
        let mut pushed = first;
        loop {
            match pushed {
                Pushed::Taken { ready: false } => return Ok(()),
                Pushed::Taken { ready: true } => {
                    self.wake.notify_one();
                    return Ok(());
                }
                Pushed::First => {
                    flush::spawn(self);
                    return Ok(());
                }
                Pushed::Failed(failure) => return Err(RecordError::Failed(failure)),
                Pushed::Closed => return Err(RecordError::Sealed),
                Pushed::Full => {
                    let mut room = pin!(self.room.notified());
                    room.as_mut().enable();
                    let again = push(&mut self.pending());
                    if matches!(again, Pushed::Full) {
                        self.wake.notify_one();
                        room.await;
                        pushed = push(&mut self.pending());
                    } else {
                        pushed = again;
                    }
                }
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn failure(&self) -> RecordError {
        self.pending().failure().map_or(RecordError::Sealed, RecordError::Failed)
    }

    fn unwritten(&self, source: std::io::Error) -> RecordError {
        RecordError::Write { path: self.path.clone(), source }
    }

    /// The end of the file, checked as it stands there.
    fn finish(&self) -> Result<Sealed, RecordError> {
        let mut writing = self.writing();
        let key = &self.store.key;
        let end = writing.chain.end(|text| key.sign(text))?;
        let before = writing.length;
        writing.write(&end).map_err(|source| self.unwritten(source))?;
        let mut written = [0; END_LENGTH];
        let read = writing.file.read_exact_at(&mut written, before);
        read.map_err(|source| self.unwritten(source))?;
        let signature = written.last_chunk::<64>();
        let holds = signature.is_some_and(|found| key.public().check(&writing.chain.signed(), found));
        if !holds || written.as_slice() != end {
            return Err(RecordError::ReadBack { path: self.path.clone() });
        }
        let read_only = std::fs::Permissions::from_mode(0o400);
        writing.file.set_permissions(read_only).map_err(|source| self.unwritten(source))?;
        let (chain, bytes) = (writing.chain, writing.length);
        self.written.send_replace(());
        Ok(Sealed { path: self.path.clone(), bytes, frames: chain.frames, link: chain.link })
    }
}
