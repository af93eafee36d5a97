//! Planned changes: written, decided on, ended, shown, and what came of them.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::change::{
    Change, ChangeStateWord, Draft, DraftPart, Outcome, Report, Score, Unexpected,
};
use tidegate_common::model::Text;
use tidegate_common::name::{AccessGroupName, ChangeId, UserName};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::operation::Operation;
use super::{Actor, Each, Failure, Services};
use crate::changes::{ChangeError, Deed, Doer, Reported};
use crate::store::{ChangeFilter, Comparison};

/// Listed at once.
const MOST: u64 = 1000;

/// As much as a text of a change may be, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// How a change is written.
pub enum Written<'a> {
    /// As TOML in UTF-8. Nothing is read of it for whoever is no user.
    Text {
        /// Where it comes from.
        source: &'a mut (dyn AsyncRead + Unpin + Send),
        /// What it is called where it is wrong.
        called: Option<String>,
    },
    /// Field by field.
    Draft(Box<Draft>),
}

/// Makes a change, which waits for somebody else's approval.
///
/// # Errors
/// When the actor is no user, or the text or the draft does not hold.
pub async fn create(services: &Services, actor: &Actor, written: Written<'_>) -> Result<Change, Failure> {
    let work = async {
        let author = actor.must_be_user()?;
        let draft = match written {
            Written::Draft(draft) => *draft,
            Written::Text { source, called } => {
                let mut bytes = Vec::new();
                source.take(MOST_BYTES + 1).read_to_end(&mut bytes).await?;
                let text = String::from_utf8(bytes).map_err(|_| Failure::NotText)?;
                Draft::read(&text, Timestamp::now()).map_err(|mistakes| {
                    let file = called.unwrap_or_else(|| "the text".to_owned());
                    Failure::Mistakes { file, mistakes }
                })?
            }
        };
        Ok(services.changes.create(draft, author, &actor.by()).await?)
    };
    Operation::ChangeCreate.perform(services, actor, work).await
}

/// A change that is written part by part; what is wrong with one is known as soon as it is there.
pub struct Writing<'a> {
    services: &'a Services,
    author: UserName,
}

/// Begins to write a change.
///
/// # Errors
/// When the actor is no user.
pub fn writing<'a>(services: &'a Services, actor: &Actor) -> Result<Writing<'a>, Failure> {
    actor.must_be_enabled(&services.access.snapshot())?;
    Ok(Writing { services, author: actor.must_be_user()?.clone() })
}

impl Writing<'_> {
    /// Looks whether the id is free.
    ///
    /// # Errors
    /// When it is taken, or the store fails.
    pub async fn id(&self, id: &ChangeId) -> Result<(), Failure> {
        match self.services.changes.get(id).await {
            Ok(_) => Err(ChangeError::Taken(id.clone()).into()),
            Err(ChangeError::Unknown(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at any other part.
    ///
    /// # Errors
    /// The first that is wrong with it.
    pub fn part(&self, part: DraftPart<'_>) -> Result<(), Failure> {
        let snapshot = self.services.access.snapshot();
        let wrong = part.check(&snapshot, &self.author, Timestamp::now());
        match wrong.into_iter().next() {
            Some(wrong) => Err(ChangeError::Part(wrong).into()),
            None => Ok(()),
        }
    }
}

/// Approves changes; goes on after one that fails.
///
/// # Errors
/// When the actor is no user.
pub async fn approve(
    services: &Services,
    actor: &Actor,
    ids: &[ChangeId],
    comment: Option<&Text>,
) -> Result<Each<Change>, Failure> {
    each(services, actor, Operation::ChangeApprove, ids, &Deed::Approve(comment.cloned())).await
}

/// Rejects changes; goes on after one that fails.
///
/// # Errors
/// When the actor is no user.
pub async fn reject(
    services: &Services,
    actor: &Actor,
    ids: &[ChangeId],
    comment: Option<&Text>,
) -> Result<Each<Change>, Failure> {
    each(services, actor, Operation::ChangeReject, ids, &Deed::Reject(comment.cloned())).await
}

/// Takes changes back, also in use; goes on after one that fails.
///
/// # Errors
/// None of its own; what stands against one of them is in the answer.
pub async fn cancel(
    services: &Services,
    actor: &Actor,
    ids: &[ChangeId],
    comment: Option<&Text>,
) -> Result<Each<Change>, Failure> {
    each(services, actor, Operation::ChangeCancel, ids, &Deed::Cancel(comment.cloned())).await
}

/// Closes changes as executed or partially executed; goes on after one that fails.
///
/// # Errors
/// None of its own; what stands against one of them is in the answer.
pub async fn close(
    services: &Services,
    actor: &Actor,
    ids: &[ChangeId],
    comment: Option<&Text>,
) -> Result<Each<Change>, Failure> {
    each(services, actor, Operation::ChangeClose, ids, &Deed::Close(comment.cloned())).await
}

async fn each(
    services: &Services,
    actor: &Actor,
    operation: Operation,
    ids: &[ChangeId],
    deed: &Deed,
) -> Result<Each<Change>, Failure> {
    let work = async {
        let (user, administrator) = (actor.name().cloned(), actor.must_be_admin().is_ok());
        let doer = Doer { user, administrator, by: actor.by() };
        let mut each = Each::default();
        for id in ids {
            each.add(services.changes.act(id, deed, &doer).await.map_err(Failure::from));
        }
        for failure in &each.failed {
            operation.refused(services, actor, failure).await;
        }
        Ok(each)
    };
    operation.perform(services, actor, work).await
}

/// Which changes to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this state only.
    pub state: Option<ChangeStateWord>,
    /// Under this access group only.
    pub group: Option<AccessGroupName>,
    /// At most so many, 1000 at the most.
    pub limit: u64,
}

/// A list of changes.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The newest first.
    pub changes: Vec<Change>,
    /// How many were looked through where there are more.
    pub cut: Option<u64>,
}

/// The changes that concern the actor; all for those who read all.
///
/// # Errors
/// When the store fails.
pub async fn list(services: &Services, actor: &Actor, asked: Filter) -> Result<Listed, Failure> {
    let work = async {
        let limit = asked.limit.clamp(1, MOST);
        let now = Timestamp::now();
        // One that nobody approved in time is written as waiting.
        let (state, due_after, due_until) = match asked.state {
            Some(ChangeStateWord::WaitingApproval) => {
                (Some(ChangeStateWord::WaitingApproval), Some(now), None)
            }
            Some(ChangeStateWord::Expired) => (Some(ChangeStateWord::WaitingApproval), None, Some(now)),
            state => (state, None, None),
        };
        let filter = ChangeFilter { state, group: asked.group, due_after, due_until, limit: limit + 1 };
        let mut changes = services.changes.list(&filter).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let cut = (changes.len() > shown).then_some(limit);
        changes.truncate(shown);
        changes.retain(|change| concerns(services, actor, change));
        let changes = changes.into_iter().map(|change| change.read_at(now)).collect();
        Ok(Listed { changes, cut })
    };
    Operation::ChangeList.perform(services, actor, work).await
}

/// One change.
///
/// # Errors
/// When there is none that concerns the actor, or the store fails.
pub async fn show(services: &Services, actor: &Actor, id: &ChangeId) -> Result<Change, Failure> {
    let work = async {
        let change = services.changes.get(id).await?;
        if concerns(services, actor, &change) {
            Ok(change.read_at(Timestamp::now()))
        } else {
            Err(ChangeError::Unknown(id.clone()).into())
        }
    };
    Operation::ChangeShow.perform(services, actor, work).await
}

fn concerns(services: &Services, actor: &Actor, change: &Change) -> bool {
    actor.reads_all() || actor.name().is_some_and(|user| services.changes.concerns(change, user))
}

/// What came of a change.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeReport {
    /// The change.
    pub change: Change,
    /// How much was as expected, over all sessions.
    pub score: Score,
    /// The same in percent.
    pub percent: u64,
    /// What became of each expected command, over all sessions.
    pub expected: Vec<Outcome>,
    /// What had to run and did not.
    pub expected_not_run: Vec<String>,
    /// What ran and was not expected.
    pub run_not_expected: Vec<Unexpected>,
    /// How many more of those are not listed.
    pub more: u64,
    /// How many commands came faster than they could be compared.
    pub not_compared: u64,
    /// Each session under it.
    pub sessions: Vec<Comparison>,
}

impl From<Reported> for ChangeReport {
    fn from(reported: Reported) -> Self {
        let Reported { change, sessions, total } = reported;
        let (score, missing) = (total.score(), total.missing().map(|outcome| outcome.command.clone()));
        let expected_not_run = missing.collect();
        let Report { expected, unexpected, more, not_compared } = total;
        Self {
            change,
            score,
            percent: score.percent(),
            expected,
            expected_not_run,
            run_not_expected: unexpected,
            more,
            not_compared,
            sessions,
        }
    }
}

/// What came of a change so far.
///
/// # Errors
/// When there is none that concerns the actor, or the store fails.
pub async fn report(services: &Services, actor: &Actor, id: &ChangeId) -> Result<ChangeReport, Failure> {
    let work = async {
        let mut reported = services.changes.report(id).await?;
        if !concerns(services, actor, &reported.change) {
            return Err(ChangeError::Unknown(id.clone()).into());
        }
        reported.change = reported.change.read_at(Timestamp::now());
        Ok(reported.into())
    };
    Operation::ChangeReport.perform(services, actor, work).await
}
