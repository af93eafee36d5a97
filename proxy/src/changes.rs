//! Planned changes: their workflow, and sessions under them held against what they expect. Each
//! step is in the store together with the audit log's record of it, and before it has effect.
//!
//! What a change covers, who approves it and how commands are compared is
//! [`tidegate_common::change`]'s.

mod error;
mod report;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

pub use error::ChangeError;
pub use watch::{Compared, Feed, Watchers, Watching};

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_common::audit::{ChangeStep, Event, Note, Notes};
use tidegate_common::change::{Change, ChangeState, ChangeStateWord, Comparer, Draft, Report};
use tidegate_common::model::{Snapshot, Text};
use tidegate_common::name::{ChangeId, UserName};
use tokio::sync::Mutex;

use crate::access::{Access, By};
use crate::audit_log::AuditLog;
use crate::store::{ChangeFilter, Comparison, Revision, Step, Store};
use crate::turn::{Retryable as _, Turn};

/// Changes of one author that may wait at once.
const MOST_WAITING: usize = 100;

/// The workflow; clones share it.
#[derive(Clone)]
pub struct Changes(Arc<Inner>);

struct Inner {
    store: Store,
    access: Access,
    audit: AuditLog,
    /// Held while this gate changes one.
    changing: Mutex<()>,
}

/// Who does something with a change.
#[derive(Debug, Clone)]
pub struct Doer {
    /// The user; none for the local administrator.
    pub user: Option<UserName>,
    /// Whether they administer the gate.
    pub administrator: bool,
    /// For the audit log.
    pub by: By,
}

impl Doer {
    fn name(&self) -> String {
        self.user.as_ref().map_or_else(|| "local admin".to_owned(), ToString::to_string)
    }
}

/// What is done with a change.
#[derive(Debug, Clone)]
pub enum Deed {
    /// Sessions may rest on it.
    Approve(Option<Text>),
    /// They may not.
    Reject(Option<Text>),
    /// It is taken back; sessions that rest on it end.
    Cancel(Option<Text>),
    /// It is over, executed as far as the sessions' reports say.
    Close(Option<Text>),
}

/// A change with what came of it.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The change.
    pub change: Change,
    /// Its sessions, the oldest first.
    pub sessions: Vec<Comparison>,
    /// All of them together.
    pub total: Report,
}

impl Changes {
    /// The workflow over the store.
    #[must_use]
    pub fn new(store: Store, access: Access, audit: AuditLog) -> Self {
        Self(Arc::new(Inner { store, access, audit, changing: Mutex::default() }))
    }

    /// One change.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn get(&self, id: &ChangeId) -> Result<Change, ChangeError> {
        self.0.store.change(id).await?.ok_or_else(|| ChangeError::Unknown(id.clone()))
    }

    /// Changes, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, filter: &ChangeFilter) -> Result<Vec<Change>, ChangeError> {
        Ok(self.0.store.changes(filter).await?)
    }

    /// One change with what came of it so far.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn report(&self, id: &ChangeId) -> Result<Reported, ChangeError> {
        let change = self.get(id).await?;
        let sessions = self.0.store.comparisons(id).await?;
        let total = total(&change, &sessions);
        Ok(Reported { change, sessions, total })
    }

    /// Whether it is about the user.
    #[must_use]
    pub fn concerns(&self, change: &Change, user: &UserName) -> bool {
        let snapshot = self.0.access.snapshot();
        change.concerns(user, &snapshot, moment())
    }

    /// Makes a change, which waits for approval then.
    ///
    /// # Errors
    /// When the draft does not hold, or its id is taken.
    pub async fn create(&self, draft: Draft, author: &UserName, by: &By) -> Result<Change, ChangeError> {
        let _turn = self.0.changing.lock().await;
        let (id, now) = (draft.id.clone(), moment());
        let made = draft.made(&self.0.access.snapshot(), author, now);
        let change = made.map_err(|wrong| ChangeError::Wrong { id: id.clone(), wrong })?;
        if self.0.store.change(&id).await?.is_some() {
            return Err(ChangeError::Taken(id));
        }
        let waiting = ChangeFilter {
            state: Some(ChangeStateWord::WaitingApproval),
            due_after: Some(now),
            ..ChangeFilter::default()
        };
        let waiting = self.0.store.changes(&waiting).await?;
        if waiting.iter().filter(|change| change.author == *author).count() >= MOST_WAITING {
            return Err(ChangeError::TooMany);
        }
        let did = ChangeStep::Created {
            title: Note::new(change.title.as_str()),
            group: change.group.clone(),
            devices: Notes::of(&change.devices),
            expected: u64::try_from(change.expected.len()).unwrap_or(u64::MAX),
            responsible: Notes::of(&change.responsible),
            start: change.start,
            due: change.due,
        };
        let written = self.write(Store::change_made(change.clone()), by, &id, did).await;
        match written {
            Err(error) if error.is_changed() => Err(ChangeError::Taken(id)),
            written => written.map(|()| change),
        }
    }

    /// Approves, rejects, cancels or closes.
    ///
    /// # Errors
    /// When there is none that concerns them, it is not in the state for it, or they may not.
    pub async fn act(&self, id: &ChangeId, deed: &Deed, doer: &Doer) -> Result<Change, ChangeError> {
        let mut turn = Turn::take(&self.0.changing).await;
        loop {
            let done = self.act_once(id, deed, doer, moment()).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn act_once(
        &self,
        id: &ChangeId,
        deed: &Deed,
        doer: &Doer,
        now: Timestamp,
    ) -> Result<Change, ChangeError> {
        let (mut change, was) = self.to_change(id).await?;
        let snapshot = self.0.access.snapshot();
        let concerned = doer.user.as_ref().is_some_and(|user| change.concerns(user, &snapshot, now));
        if !concerned && !doer.administrator {
            return Err(ChangeError::Unknown(id.clone()));
        }
        let note = |text: &Option<Text>| text.as_ref().map(|text| Note::new(text.as_str()));
        let (by, at) = (doer.name(), now);
        let state = change.state_word();
        let ended = || ChangeError::State { id: id.clone(), state };
        let did = match deed {
            Deed::Approve(comment) | Deed::Reject(comment) => {
                may_decide(&change, &snapshot, doer, now)?;
                if state != ChangeStateWord::WaitingApproval {
                    return Err(ended());
                }
                let (said, comment) = (note(comment), comment.clone());
                if matches!(deed, Deed::Reject(_)) {
                    change.state = ChangeState::Rejected { by, at, comment };
                    ChangeStep::Rejected { comment: said }
                } else if change.due <= now {
                    return Err(ChangeError::Over(id.clone()));
                } else {
                    change.state = ChangeState::Approved { by, at, comment };
                    ChangeStep::Approved { comment: said }
                }
            }
            Deed::Cancel(comment) => {
                may_end(&change, &snapshot, doer, now, false)?;
                if !matches!(state, ChangeStateWord::WaitingApproval | ChangeStateWord::Approved) {
                    return Err(ended());
                }
                change.state = ChangeState::Cancelled { by, at, comment: comment.clone() };
                ChangeStep::Cancelled { comment: note(comment) }
            }
            Deed::Close(comment) => {
                may_end(&change, &snapshot, doer, now, true)?;
                match state {
                    ChangeStateWord::Approved => {}
                    ChangeStateWord::WaitingApproval if change.due <= now => {
                        return Err(ChangeError::Over(id.clone()));
                    }
                    ChangeStateWord::WaitingApproval => return Err(ChangeError::Waits(id.clone())),
                    _ => return Err(ended()),
                }
                let total = total(&change, &self.0.store.comparisons(id).await?);
                let (said, comment) = (note(comment), comment.clone());
                change.state = match total.missing().next() {
                    None => ChangeState::Executed { by, at, comment },
                    Some(_) => ChangeState::PartiallyExecuted { by, at, comment },
                };
                let outcome = Note::new(change.state_word().to_string());
                let percent = total.score().percent();
                ChangeStep::Closed { outcome, percent, comment: said }
            }
        };
        self.write(Store::change_changed(change.clone(), was), &doer.by, id, did).await?;
        Ok(change)
    }

    async fn to_change(&self, id: &ChangeId) -> Result<(Change, Revision), ChangeError> {
        self.0.store.change_to_change(id).await?.ok_or_else(|| ChangeError::Unknown(id.clone()))
    }

    /// Carries a step out as a task of its own: whoever asked may leave in the middle, and
    /// sessions that rest on it must hear of it.
    async fn write(&self, step: Step, by: &By, id: &ChangeId, did: ChangeStep) -> Result<(), ChangeError> {
        let (changes, entry) = (self.clone(), by.did(Event::ChangeStepped { change: id.clone(), did }));
        let done = tokio::spawn(async move {
            changes.0.audit.step(vec![entry], step).await?;
            changes.0.access.tick();
            Ok(())
        });
        done.await.unwrap_or(Err(ChangeError::Stopping))
    }
}

fn may_decide(change: &Change, snapshot: &Snapshot, doer: &Doer, now: Timestamp) -> Result<(), ChangeError> {
    let Some(user) = &doer.user else { return Err(ChangeError::NotYours(change.id.clone())) };
    let may = change.ballot(user, snapshot, now);
    may.map_err(|why| ChangeError::NoApproval { id: change.id.clone(), why })
}

/// Whether they may cancel it, or, who is responsible as well, close it.
fn may_end(
    change: &Change,
    snapshot: &Snapshot,
    doer: &Doer,
    now: Timestamp,
    close: bool,
) -> Result<(), ChangeError> {
    let may = doer.administrator
        || doer.user.as_ref().is_some_and(|user| {
            change.author == *user
                || (close && change.responsible.contains(user))
                || change.ballot(user, snapshot, now).is_ok()
        });
    if may { Ok(()) } else { Err(ChangeError::NotYours(change.id.clone())) }
}

/// What came of all sessions under a change together.
fn total(change: &Change, sessions: &[Comparison]) -> Report {
    let nothing = Comparer::new(change).report();
    sessions.iter().fold(nothing, |total, session| total.with(&session.report))
}

/// Now, to the millisecond: nobody reads more of it.
fn moment() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
