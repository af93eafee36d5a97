//! Hands what passes to a task of the channel's own, which follows it and writes the list.
//!
//! The relay gives clones of its buffers and goes on; it waits only while [`ROOM`] bytes
//! are not followed yet. At a channel's beginning, and from where it cannot be followed,
//! it waits for each: what is recorded as a command's is recorded before it is seen. A
//! list that cannot be written ends the channel.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tidegate_common::audit::{Entry, Event};
use tidegate_common::recording::Stream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::{Asked, Finding, Observer, Side};
use crate::audit_log::AuditError;
use crate::follow::Followed;
use crate::recordings::{self, RecordError};
use crate::store::{LastingStep, Store};

/// Bytes that may wait to be followed.
pub(super) const ROOM: u32 = 1024 * 1024;
/// The first bytes of a channel, which decide what it is.
const FIRST: u64 = 64 * 1024;
/// What a piece costs beside its bytes.
const COST: u32 = 256;
/// What is listed of a channel; the rest is counted.
const LISTED: u64 = 10_000;
/// Findings that may wait for the audit log, and are written together.
const WAITING: usize = 64;
/// How long the list's end may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can go wrong. All of it is ours or the disk's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WatchError {
    /// The audit log did not take it.
    #[error("the list of file transfers can't be written, so the channel ends: {0}")]
    Log(#[from] AuditError),
    /// The recording did not take what could not be followed.
    #[error("{0}")]
    Recording(Arc<RecordError>),
    /// The task is gone.
    #[error("file transfers can't be followed any more, so the channel ends")]
    Gone,
}

/// Follows a channel's transfers, where it was started for any.
pub struct Watch(Option<Feed>);

/// Where what passes waits for the follower.
struct Feed {
    queue: mpsc::UnboundedSender<Piece>,
    permits: Arc<Semaphore>,
    passed: AtomicU64,
    lost: Arc<AtomicBool>,
    failure: Arc<OnceLock<WatchError>>,
    task: JoinHandle<()>,
}

struct Piece {
    side: Side,
    bytes: Bytes,
}

impl Watch {
    /// Follows what was asked for, and lists it under this session and channel.
    pub fn of(asked: Option<&Asked>, followed: &Followed) -> Self {
        Self(asked.map(|asked| {
            let (queue, pieces) = mpsc::unbounded_channel();
            let permits = Arc::new(Semaphore::new(ROOM as usize));
            let (failure, lost) = (Arc::new(OnceLock::new()), Arc::new(AtomicBool::new(false)));
            let follower = Follower {
                pieces,
                observer: Observer::new(asked),
                list: List(followed.clone()),
                permits: Arc::clone(&permits),
                lost: Arc::clone(&lost),
                failure: Arc::clone(&failure),
            };
            let task = tokio::spawn(follower.run());
            Feed { queue, permits, passed: AtomicU64::new(0), lost, failure, task }
        }))
    }

    /// Bytes that the client sent, before the device gets them.
    ///
    /// # Errors
    /// When they can't be followed: they must not go on.
    pub async fn client(&self, bytes: &Bytes) -> Result<(), WatchError> {
        self.pass(Side::Client, bytes).await
    }

    /// Bytes that the device sent, before the client gets them.
    ///
    /// # Errors
    /// As for [`Self::client`].
    pub async fn device(&self, bytes: &Bytes) -> Result<(), WatchError> {
        self.pass(Side::Device, bytes).await
    }

    async fn pass(&self, side: Side, bytes: &Bytes) -> Result<(), WatchError> {
        let Some(follower) = &self.0 else {
            return Ok(());
        };
        let failed = || follower.failure.get().cloned().unwrap_or(WatchError::Gone);
        follower.permits.acquire_many(cost(bytes)).await.map_err(|_| failed())?.forget();
        follower.queue.send(Piece { side, bytes: bytes.clone() }).map_err(|_| failed())?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let passed = follower.passed.fetch_add(length, Ordering::Relaxed);
        if passed < FIRST || follower.lost.load(Ordering::Relaxed) {
            // All of it is free once nothing waits.
            drop(follower.permits.acquire_many(ROOM).await.map_err(|_| failed())?);
        }
        Ok(())
    }

    /// The channel is over. Returns when the list is written.
    ///
    /// # Errors
    /// When it could not be.
    pub async fn end(self) -> Result<(), WatchError> {
        let Some(Feed { queue, failure, task, .. }) = self.0 else {
            return Ok(());
        };
        drop(queue);
        if tokio::time::timeout(PATIENCE, task).await.is_err() {
            return Err(WatchError::Gone);
        }
        failure.get().cloned().map_or(Ok(()), Err)
    }
}

fn cost(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(ROOM).saturating_add(COST).min(ROOM)
}

/// The task's part.
struct Follower {
    pieces: mpsc::UnboundedReceiver<Piece>,
    observer: Observer,
    list: List,
    permits: Arc<Semaphore>,
    lost: Arc<AtomicBool>,
    failure: Arc<OnceLock<WatchError>>,
}

impl Follower {
    async fn run(self) {
        let Self { pieces, observer, list, permits, lost, failure } = self;
        // However it ends, nobody waits for room in vain.
        let closing = Closing(Arc::clone(&permits));
        let (tell, told) = mpsc::channel(WAITING);
        let Followed { session, channel, .. } = list.0;
        let counted = Counted { tell, session, channel, listed: 0, more: 0 };
        let telling = Telling { counted, recorder: list.0.recorder.clone(), lost };
        if let Err(error) = tokio::try_join!(follow(pieces, observer, &permits, telling), list.write(told)) {
            tracing::error!(%session, %error, "a channel's transfers could not be listed");
            let _ = failure.set(error);
        }
        drop(closing);
    }
}

struct Closing(Arc<Semaphore>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn follow(
    mut pieces: mpsc::UnboundedReceiver<Piece>,
    mut observer: Observer,
    permits: &Semaphore,
    mut telling: Telling,
) -> Result<(), WatchError> {
    let mut found = Vec::new();
    while let Some(Piece { side, bytes }) = pieces.recv().await {
        if observer.is_blind() {
            telling.pick(side, &bytes).await?;
        } else {
            observer.feed(side, &bytes, &mut found);
            telling.all(&mut found).await?;
        }
        permits.add_permits(cost(&bytes) as usize);
    }
    observer.end(&mut found);
    telling.all(&mut found).await?;
    telling.counted.end().await
}

/// Where findings go: to the list, and what no list tells of to the recording.
struct Telling {
    counted: Counted,
    recorder: recordings::Channel,
    lost: Arc<AtomicBool>,
}

impl Telling {
    async fn all(&mut self, found: &mut Vec<Finding>) -> Result<(), WatchError> {
        for finding in found.drain(..) {
            match finding {
                Finding::Aside(side, bytes) => self.pick(side, &bytes).await?,
                Finding::Lost(_) => {
                    self.lost.store(true, Ordering::Relaxed);
                    self.recorder.is_command().await.map_err(recording)?;
                    self.counted.tell(finding).await?;
                }
                Finding::Transfer(_) | Finding::Change(_) => self.counted.tell(finding).await?,
            }
        }
        Ok(())
    }

    async fn pick(&self, side: Side, bytes: &[u8]) -> Result<(), WatchError> {
        let stream = match side {
            Side::Client => Stream::Input,
            Side::Device => Stream::Output,
        };
        self.recorder.pick(stream, bytes).await.map_err(recording)
    }
}

fn recording(error: RecordError) -> WatchError {
    WatchError::Recording(Arc::new(error))
}

/// Passes on as many findings as are listed, and counts the rest.
struct Counted {
    tell: mpsc::Sender<Told>,
    session: tidegate_common::id::SessionId,
    channel: u32,
    listed: u64,
    more: u64,
}

/// An event, and what the recording says at that point.
struct Told {
    event: Event,
    label: String,
}

impl Counted {
    async fn tell(&mut self, finding: Finding) -> Result<(), WatchError> {
        if self.listed >= LISTED && !matches!(finding, Finding::Lost(_)) {
            self.more += 1;
            return Ok(());
        }
        let Some((event, label)) = finding.told(self.session, self.channel) else {
            return Ok(());
        };
        self.listed += 1;
        self.send(Told { event, label }).await
    }

    async fn end(self) -> Result<(), WatchError> {
        if self.more == 0 {
            return Ok(());
        }
        let Self { session, channel, more, .. } = self;
        let event = Event::TransfersNotListed { session, channel, more };
        self.send(Told { event, label: format!("{more} more transfers and changes are not listed") }).await
    }

    async fn send(&self, told: Told) -> Result<(), WatchError> {
        self.tell.send(told).await.map_err(|_| WatchError::Gone)
    }
}

/// Where the list goes.
struct List(Followed);

impl List {
    async fn write(self, mut told: mpsc::Receiver<Told>) -> Result<(), WatchError> {
        let Followed { session, audit, recorder, .. } = self.0;
        let mut batch = Vec::with_capacity(WAITING);
        while told.recv_many(&mut batch, WAITING).await > 0 {
            let (events, labels): (Vec<_>, Vec<_>) =
                batch.drain(..).map(|told: Told| (told.event, told.label)).unzip();
            let (at, entries) = (jiff::Timestamp::now(), events.iter().cloned().map(Entry::from).collect());
            let events: Arc<[Event]> = events.into();
            let listed = LastingStep::new(move || Store::transfers_listed(session, at, Arc::clone(&events)));
            audit.tell_step(entries, listed).await?;
            for label in labels {
                // A recording that fails ends its session by itself.
                let _ = recorder.mark(&label).await;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tidegate_common::audit::{Changed, FileChange, Outcome};

    use super::super::Lost;
    use super::*;

    #[tokio::test]
    async fn what_is_beyond_the_bound_is_counted_but_a_lost_channel_is_still_told() {
        let (tell, mut told) = mpsc::channel(LISTED as usize + 10);
        let session = tidegate_common::id::SessionId::new(1, 1);
        let mut counted = Counted { tell, session, channel: 3, listed: 0, more: 0 };
        let removed = || {
            Finding::Change(Changed {
                change: FileChange::Remove,
                path: "x".into(),
                to: None,
                attributes: None,
                outcome: Outcome::Done,
                detail: None,
            })
        };
        for _ in 0..LISTED + 5 {
            counted.tell(removed()).await.unwrap();
        }
        counted.tell(Finding::Lost(Lost::Guessed)).await.unwrap();
        counted.end().await.unwrap();
        let mut events = Vec::new();
        while let Some(one) = told.recv().await {
            events.push(one.event);
        }
        assert_eq!(events.len() as u64, LISTED + 2);
        let last = events.split_off(LISTED as usize);
        assert!(matches!(last[0], Event::TransfersNotFollowed { channel: 3, .. }), "{last:?}");
        assert_eq!(last[1], Event::TransfersNotListed { session, channel: 3, more: 5 });
    }
}
