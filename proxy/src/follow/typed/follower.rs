//! Typed lines on their way to the audit log, and to be found in the recording, off the
//! relay's path.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tidegate_common::audit::{CommandSource, CommandText, Event};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Lines;
use crate::audit_log::AuditError;
use crate::follow::Followed;

/// What is listed of a channel; the rest is counted.
const LISTED: u64 = 10_000;
/// Lines that may wait for the audit log before the relay does.
const WAITING: usize = 64;
/// How long the list's end may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can go wrong. All of it is ours or the disk's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TypedError {
    /// The audit log did not take it.
    #[error("typed lines can't be logged, so the channel ends: {0}")]
    Log(#[from] AuditError),
    /// The task is gone.
    #[error("typed lines can't be logged any more, so the channel ends")]
    Gone,
}

/// Lists the lines that are typed on a channel, where it has a terminal.
pub struct Typed(Option<Terminal>);

struct Terminal {
    followed: Followed,
    lines: Mutex<Lines>,
    /// There once a line was found; an idle session has none.
    list: OnceLock<List>,
}

struct List {
    queue: mpsc::Sender<String>,
    failure: Arc<OnceLock<AuditError>>,
    task: JoinHandle<()>,
}

impl Typed {
    /// Follows a channel; `columns` are its terminal's, if it has one.
    pub fn of(followed: Followed, columns: Option<u32>) -> Self {
        Self(columns.map(|columns| Terminal {
            followed,
            lines: Mutex::new(Lines::new(columns)),
            list: OnceLock::new(),
        }))
    }

    /// Bytes that the client sent, before the device gets them.
    pub fn client(&self, bytes: &[u8]) {
        if let Some(terminal) = &self.0 {
            terminal.lines().typed(bytes);
        }
    }

    /// Bytes that the device sent, and whether a program has the alternate screen.
    ///
    /// # Errors
    /// When a line can't be logged: nothing must go on.
    pub async fn device(&self, bytes: &[u8], alternate: bool) -> Result<(), TypedError> {
        let Some(terminal) = &self.0 else { return Ok(()) };
        let lines = terminal.lines().shown(bytes, alternate);
        for line in lines {
            let List { queue, failure, .. } = terminal.list.get_or_init(|| List::begin(terminal));
            let sent = queue.send(line).await;
            sent.map_err(|_| failure.get().cloned().map_or(TypedError::Gone, TypedError::Log))?;
        }
        Ok(())
    }

    /// The terminal has another size.
    pub fn resize(&self, columns: u32) {
        if let Some(terminal) = &self.0 {
            terminal.lines().resize(columns);
        }
    }

    /// The channel is over. Returns when the list is written.
    ///
    /// # Errors
    /// When it could not be.
    pub async fn end(self) -> Result<(), TypedError> {
        let Some(List { queue, failure, task }) = self.0.and_then(|terminal| terminal.list.into_inner())
        else {
            return Ok(());
        };
        drop(queue);
        if tokio::time::timeout(PATIENCE, task).await.is_err() {
            return Err(TypedError::Gone);
        }
        failure.get().cloned().map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Terminal {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn begin(terminal: &Terminal) -> Self {
        let (queue, lines) = mpsc::channel(WAITING);
        let failure = Arc::new(OnceLock::new());
        let (followed, failed) = (terminal.followed.clone(), Arc::clone(&failure));
        let task = tokio::spawn(async move {
            if let Err(error) = write(&followed, lines).await {
                tracing::error!(session = %followed.session, %error, "typed lines could not be logged");
                let _ = failed.set(error);
            }
        });
        Self { queue, failure, task }
    }
}

async fn write(followed: &Followed, mut lines: mpsc::Receiver<String>) -> Result<(), AuditError> {
    let Followed { session, channel, audit, recorder, compared, .. } = followed;
    let (session, channel, source) = (*session, *channel, CommandSource::Typed);
    let (mut listed, mut more) = (0, 0u64);
    while let Some(line) = lines.recv().await {
        let command = CommandText::new(&line);
        if let Some(compared) = compared {
            compared.line(source, &command);
        }
        if listed == LISTED {
            more += 1;
            continue;
        }
        listed += 1;
        // A recording that fails ends the session by itself.
        let _ = recorder.mark(&line).await;
        unless_away(audit.tell(Event::CommandRun { session, channel, source, command }).await)?;
    }
    if more > 0 {
        unless_away(audit.tell(Event::TypedNotListed { session, channel, more }).await)?;
    }
    Ok(())
}

/// A session outlasts the database: what it tells meanwhile is kept until that is back.
fn unless_away(told: Result<u64, AuditError>) -> Result<(), AuditError> {
    match told {
        Err(error) if error.is_away() => Ok(()),
        told => told.map(drop),
    }
}
