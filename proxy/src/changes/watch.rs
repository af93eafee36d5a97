//! A session under a change, compared while it runs, off the relay's path.
//!
//! The relay, the list of typed lines and the agents' links hand their facts to a [`Feed`] and go
//! on: where it is full, what does not fit is counted and not compared. The task behind it tells
//! of each unexpected command once: in the audit log together with the session's report, in the
//! recording, to the responsible; and ends the session where the change says so. It outlives the
//! session until the host's kernel has told the last of it, and then sends the responsible its report.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_common::audit::{CommandSource, CommandText, Event};
use tidegate_common::change::{Change, Comparer, Unexpected};
use tidegate_common::id::SessionId;
use tidegate_common::name::{CredentialName, UserName};
use tidegate_common::notice::Notice;
use tidegate_common::policy;
use tidegate_common::wire::{Exec, Witnessed};
use tokio::sync::{mpsc, oneshot};

use super::report::Over;
use crate::access::Access;
use crate::audit_log::{AuditLog, Telling};
use crate::recordings::Recorder;
use crate::store::{Comparison, LastingStep, Store};

/// Facts that may wait to be compared.
const WAITING: usize = 512;

/// How long the host's kernel may take to tell the last of a session that is over.
const PATIENCE: Duration = Duration::from_secs(30);

/// A session under a change, and what the task needs of it.
pub struct Compared {
    /// Which session.
    pub session: SessionId,
    /// Under which change.
    pub change: Arc<Change>,
    /// Whose.
    pub user: UserName,
    /// From where.
    pub origin: IpAddr,
    /// To what.
    pub target: CredentialName,
    /// Whether the host's kernel is asked what runs.
    pub witnessed: bool,
    /// Its recording, for marks.
    pub recorder: Recorder,
    /// Where what came of it is kept.
    pub store: Store,
    /// Ends it, with a sentence for its user.
    pub end: Box<dyn Fn(String) + Send + Sync>,
}

/// The sessions that are compared now. Clones share them.
#[derive(Clone, Default)]
pub struct Watchers(Arc<Mutex<HashMap<SessionId, Feed>>>);

/// Where facts of one session go; never waits. Clones share it.
#[derive(Clone)]
pub struct Feed {
    facts: mpsc::Sender<Fact>,
    missed: Arc<AtomicU64>,
}

enum Fact {
    Line(CommandSource, CommandText),
    Kernel { execs: Vec<Exec>, last: bool },
}

/// Held by a session that is compared; the last is compared when this is dropped.
pub struct Watching {
    _over: oneshot::Sender<()>,
}

impl Feed {
    /// A line that was typed, or an exec request.
    pub fn line(&self, source: CommandSource, command: &CommandText) {
        self.give(Fact::Line(source, command.clone()), 1);
    }

    fn give(&self, fact: Fact, commands: usize) {
        if self.facts.try_send(fact).is_err() {
            self.missed.fetch_add(u64::try_from(commands).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

impl Watchers {
    fn feeds(&self) -> MutexGuard<'_, HashMap<SessionId, Feed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the session's facts go, if it is compared.
    fn feed(&self, session: SessionId) -> Option<Feed> {
        self.feeds().get(&session).cloned()
    }

    /// What an agent tells of a session, once it is kept; none where nobody compares it.
    pub fn witnessed(&self, told: &Witnessed) -> Option<impl FnOnce() + use<>> {
        let feed = self.feed(told.session)?;
        let (execs, last) = (told.execs.clone(), told.last);
        Some(move || {
            let commands = execs.len();
            feed.give(Fact::Kernel { execs, last }, commands);
        })
    }

    /// Begins to compare a session.
    pub fn begin(&self, compared: Compared, access: Access, audit: AuditLog) -> (Feed, Watching) {
        let (facts, waiting) = mpsc::channel(WAITING);
        let (over, ended) = oneshot::channel();
        let feed = Feed { facts, missed: Arc::default() };
        let session = compared.session;
        self.feeds().insert(session, feed.clone());
        let missed = Arc::clone(&feed.missed);
        let comparer = Comparer::new(&compared.change);
        let task = Task { compared, comparer, missed, access, audit, waiting, interrupted: false };
        let watchers = self.clone();
        tokio::spawn(async move {
            task.run(ended, move || drop(watchers.feeds().remove(&session))).await;
        });
        (feed, Watching { _over: over })
    }
}

struct Task {
    compared: Compared,
    comparer: Comparer,
    missed: Arc<AtomicU64>,
    access: Access,
    audit: AuditLog,
    waiting: mpsc::Receiver<Fact>,
    /// Whether the session was ended because of it.
    interrupted: bool,
}

impl Task {
    async fn run(mut self, mut over: oneshot::Receiver<()>, forget: impl FnOnce()) {
        self.write(Vec::new(), self.so_far()).await;
        let mut told_last = !self.compared.witnessed;
        loop {
            tokio::select! {
                biased;
                Some(fact) = self.waiting.recv() => told_last |= self.take(fact).await,
                _ = &mut over => break,
            }
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !told_last {
            match tokio::time::timeout_at(deadline, self.waiting.recv()).await {
                Ok(Some(fact)) => told_last |= self.take(fact).await,
                _ => break,
            }
        }
        forget();
        self.waiting.close();
        while let Some(fact) = self.waiting.recv().await {
            told_last |= self.take(fact).await;
        }
        self.comparer.missed(self.missed.load(Ordering::Relaxed));
        let came = self.came(told_last);
        let Compared { session, change, user, origin, target, .. } = &self.compared;
        let over = Over {
            session: *session,
            change,
            user,
            origin: *origin,
            target,
            report: &came.report,
            whole: told_last,
            cut_off: false,
        };
        let told = over.telling(&self.access.snapshot());
        self.write(vec![told], LastingStep::new(move || Store::compared(came.clone()))).await;
    }

    /// What came of it.
    fn came(&self, complete: bool) -> Comparison {
        let Compared { session, change, witnessed, .. } = &self.compared;
        Comparison {
            session: *session,
            change: change.id.clone(),
            complete,
            witnessed: *witnessed,
            report: self.comparer.report(),
        }
    }

    /// Writes that, and that it goes on.
    fn so_far(&self) -> LastingStep {
        let (store, came) = (self.compared.store.clone(), self.came(false));
        LastingStep::new(move || store.comparing(came.clone()))
    }

    /// Compares a fact; says whether it was the kernel's last.
    async fn take(&mut self, fact: Fact) -> bool {
        match fact {
            Fact::Line(source, command) => {
                if let Some(unexpected) = self.comparer.line(source, command.as_str()) {
                    self.unexpected(unexpected).await;
                }
                false
            }
            Fact::Kernel { execs, last } => {
                for exec in &execs {
                    if let Some(unexpected) = self.comparer.exec(exec) {
                        self.unexpected(unexpected).await;
                    }
                }
                last
            }
        }
    }

    async fn unexpected(&mut self, unexpected: Unexpected) {
        let Compared { session, change, user, target, origin, .. } = &self.compared;
        let Unexpected { source, command, out_of_order } = unexpected;
        // First: what it does meanwhile is not held up by a disk.
        if change.interrupt && !self.interrupted {
            self.interrupted = true;
            let why = format!("change `{}` does not expect `{command}`, so the session ends", change.id);
            (self.compared.end)(why);
        }
        let order = if out_of_order { " (out of order)" } else { "" };
        // One that is sealed by now has no place for it.
        let _ = self.compared.recorder.mark(&format!("unexpected{order}: {command}")).await;
        let (session, id) = (*session, change.id.clone());
        let notice = Notice::UnexpectedCommand {
            session,
            user: user.clone(),
            target: target.clone(),
            source,
            command: command.clone(),
            change: Some(id.clone()),
            rule: None,
            ended: change.interrupt,
        };
        let told = policy::notify(&self.access.snapshot(), &change.responsible, &notice);
        let event = Event::CommandUnexpected { session, change: id, source, command };
        let entry = event.by_user(user, *origin);
        self.write(vec![Telling::new(entry, told)], self.so_far()).await;
    }

    /// Writes what came of it, together with the log's records: both at once, and kept for both where that
    /// cannot be written now, so that what was written all the same is not told again.
    async fn write(&self, entries: Vec<Telling>, step: LastingStep) {
        if let Err(error) = self.audit.tell_step(entries, step).await {
            let session = self.compared.session;
            tracing::error!(%session, %error, "what came of a change is not in the store yet");
        }
    }
}
