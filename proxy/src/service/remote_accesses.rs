//! Remote accesses: requested, decided on, cancelled, shown.

mod view;

pub use view::RemoteAccessView;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{PublicKey, RemoteAccess, RemoteAccessWord, Text};
use tidegate_common::name::{UserGroupName, UserName};
use tidegate_common::notice::Channel;
use tidegate_common::policy::Login;

use super::operation::Operation;
use super::{Actor, Each, Failure, Services};
use crate::outside::{NewRemoteAccess, RemoteAccessError};
use crate::store::RemoteAccessFilter;

/// Listed at once.
const MOST: u64 = 10_000;

/// What a request would make, and whom of a group it would leave out, before it is made.
///
/// # Errors
/// When the actor is no administrator, or the request would be refused.
pub async fn preview(
    services: &Services,
    actor: &Actor,
    new: &NewRemoteAccess,
) -> Result<Each<RemoteAccessView>, Failure> {
    let work = async {
        let done = views(&services.remote_accesses.review(new, &actor.by()).await?);
        Ok(Each { done, failed: left_out(services, new) })
    };
    Operation::RemoteAccessPreview.perform(services, actor, work).await
}

/// Requests remote accesses: one, or one for each user of a group; whom it leaves out stands beside
/// those that are made.
///
/// # Errors
/// When the actor is no administrator, or the request is refused.
pub async fn create(
    services: &Services,
    actor: &Actor,
    new: &NewRemoteAccess,
) -> Result<Each<RemoteAccessView>, Failure> {
    let work = async {
        let done = views(&services.remote_accesses.create(new, &actor.by()).await?);
        Ok(Each { done, failed: left_out(services, new) })
    };
    Operation::RemoteAccessRequest.perform(services, actor, work).await
}

fn left_out(services: &Services, new: &NewRemoteAccess) -> Vec<Failure> {
    services.remote_accesses.left_out(new).into_iter().map(Failure::from).collect()
}

/// Which remote accesses something is done with.
#[derive(Debug, Clone)]
pub enum Which {
    /// These.
    Ids(Vec<RemoteAccessId>),
    /// Those of a batch with which it can be done still.
    Batch(RemoteAccessId),
}

/// What can be done with a remote access that is there.
#[derive(Debug, Clone)]
pub enum Deed {
    /// Approves it.
    Approve(Option<Text>),
    /// Rejects it.
    Reject(Option<Text>),
    /// Takes it back: an administrator any, everybody their own.
    Cancel(Option<Text>),
}

impl Deed {
    fn operation(&self) -> Operation {
        match self {
            Self::Approve(_) => Operation::RemoteAccessApprove,
            Self::Reject(_) => Operation::RemoteAccessReject,
            Self::Cancel(_) => Operation::RemoteAccessCancel,
        }
    }
}

/// Does it with each of these remote accesses; goes on after one that fails.
///
/// # Errors
/// When the actor may not ask for it at all; what stands against one of them is in the answer.
pub async fn deal(
    services: &Services,
    actor: &Actor,
    which: &Which,
    deed: &Deed,
) -> Result<Each<RemoteAccessView>, Failure> {
    let operation = deed.operation();
    let work = async {
        let ids = match which {
            Which::Ids(ids) => ids.clone(),
            Which::Batch(batch) => of_batch(services, actor, *batch, deed).await?,
        };
        let mut each = Each::default();
        for id in ids {
            each.add(deal_with(services, actor, id, deed).await);
        }
        for failure in &each.failed {
            operation.refused(services, actor, failure).await;
        }
        Ok(each)
    };
    operation.perform(services, actor, work).await
}

async fn deal_with(
    services: &Services,
    actor: &Actor,
    id: RemoteAccessId,
    deed: &Deed,
) -> Result<RemoteAccessView, Failure> {
    let (workflow, by) = (&services.remote_accesses, actor.by());
    let done = match deed {
        Deed::Approve(comment) => workflow.approve(id, actor.must_be_user()?, &by, comment.as_ref()).await,
        Deed::Reject(comment) => workflow.reject(id, actor.must_be_user()?, &by, comment.as_ref()).await,
        Deed::Cancel(comment) => {
            let access = workflow.get(id).await?;
            if actor.must_be_admin().is_err() && actor.name() != Some(&access.user) {
                return Err(RemoteAccessError::Unknown(id).into());
            }
            workflow.cancel(id, &by, comment.as_ref()).await
        }
    };
    Ok(RemoteAccessView::of(&done?))
}

/// A code that was sent.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// What it leads to.
    pub access: RemoteAccessView,
    /// How it was sent.
    pub channel: Channel,
    /// Until when it is good.
    pub expires: Timestamp,
}

/// Sends the user of a remote access a code with which they enter once.
///
/// # Errors
/// When the actor is no administrator, the access is not good, or its user cannot be reached.
pub async fn forward(
    services: &Services,
    actor: &Actor,
    id: RemoteAccessId,
    channel: Channel,
) -> Result<Sent, Failure> {
    let work = async {
        let (access, expires) = services.remote_accesses.forward(id, channel, &actor.by()).await?;
        Ok(Sent { access: RemoteAccessView::of(&access), channel, expires })
    };
    Operation::RemoteAccessForward.perform(services, actor, work).await
}

/// Takes back the code that was sent.
///
/// # Errors
/// When the actor is no administrator, or there is no such access.
pub async fn revoke_code(
    services: &Services,
    actor: &Actor,
    id: RemoteAccessId,
) -> Result<RemoteAccessView, Failure> {
    let work =
        async { Ok(RemoteAccessView::of(&services.remote_accesses.revoke_code(id, &actor.by()).await?)) };
    Operation::RemoteAccessRevokeCode.perform(services, actor, work).await
}

/// Has a key log the actor in for as long as the remote access lasts that they entered by.
///
/// # Errors
/// When they did not enter with a code, or the key is not taken.
pub async fn enrol(services: &Services, actor: &Actor, key: &PublicKey) -> Result<RemoteAccessView, Failure> {
    let work = async {
        let by = actor.by();
        let Some(Login::Code { access, .. }) = by.login.as_deref() else {
            return Err(RemoteAccessError::NoCode.into());
        };
        Ok(RemoteAccessView::of(&services.remote_accesses.enrol(*access, key, &by).await?))
    };
    Operation::RemoteAccessEnrol.perform(services, actor, work).await
}

/// Those of a batch with which the actor may do it.
async fn of_batch(
    services: &Services,
    actor: &Actor,
    batch: RemoteAccessId,
    deed: &Deed,
) -> Result<Vec<RemoteAccessId>, Failure> {
    let workflow = &services.remote_accesses;
    let user = match deed {
        Deed::Cancel(_) => actor.name().filter(|_| actor.must_be_admin().is_err()).cloned(),
        // Else each of them would be refused, and logged, for the same reason.
        _ if !workflow.is_approver(actor.must_be_user()?) => {
            return Err(RemoteAccessError::NotApprover.into());
        }
        _ => None,
    };
    let filter =
        RemoteAccessFilter { user, batch: Some(batch), limit: MOST, ..RemoteAccessFilter::default() };
    let now = Timestamp::now();
    let open = |access: &RemoteAccess| match deed {
        Deed::Cancel(_) => access.stands_at(now),
        _ => access.word_at(now) == RemoteAccessWord::Pending,
    };
    let mut ids: Vec<_> =
        workflow.list(&filter).await?.iter().filter(|one| open(one)).map(|one| one.id).collect();
    ids.sort_unstable();
    if ids.is_empty() { Err(RemoteAccessError::Batch(batch).into()) } else { Ok(ids) }
}

/// One remote access.
///
/// # Errors
/// When there is none that concerns the actor, or the store fails.
pub async fn show(
    services: &Services,
    actor: &Actor,
    id: RemoteAccessId,
) -> Result<RemoteAccessView, Failure> {
    let work = async {
        let access = services.remote_accesses.get(id).await?;
        let concerns = |user| services.remote_accesses.concerns(&access, user);
        if !actor.reads_all() && !actor.name().is_some_and(concerns) {
            return Err(RemoteAccessError::Unknown(id).into());
        }
        Ok(RemoteAccessView::of(&access))
    };
    Operation::RemoteAccessShow.perform(services, actor, work).await
}

/// Which remote accesses to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this state only.
    pub state: Option<RemoteAccessWord>,
    /// Of this user only.
    pub user: Option<UserName>,
    /// Of this user group only.
    pub group: Option<UserGroupName>,
    /// Of this batch only.
    pub batch: Option<RemoteAccessId>,
    /// Requested then or later.
    pub since: Option<Timestamp>,
    /// At most so many, 10,000 at the most.
    pub limit: u64,
}

/// A list of remote accesses.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The newest first.
    pub accesses: Vec<RemoteAccessView>,
    /// How many were looked through where there are more.
    pub cut: Option<u64>,
}

/// The remote accesses that concern the actor; all for those who read all, and for approvers.
///
/// # Errors
/// When the store fails.
pub async fn list(services: &Services, actor: &Actor, asked: &Filter) -> Result<Listed, Failure> {
    let work = async {
        let limit = asked.limit.clamp(1, MOST);
        let approves = actor.name().is_some_and(|user| services.remote_accesses.is_approver(user));
        let user = if approves { asked.user.clone() } else { actor.own_or(asked.user.clone())? };
        let filter = RemoteAccessFilter {
            user,
            group: asked.group.clone(),
            batch: asked.batch,
            states: asked.state.map(stored).unwrap_or_default(),
            since: asked.since,
            limit: limit + 1,
        };
        let mut accesses = services.remote_accesses.list(&filter).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let cut = (accesses.len() > shown).then_some(limit);
        accesses.truncate(shown);
        let mut accesses = views(&accesses);
        accesses.retain(|access| asked.state.is_none_or(|state| access.state == state));
        Ok(Listed { accesses, cut })
    };
    Operation::RemoteAccessList.perform(services, actor, work).await
}

fn views(accesses: &[RemoteAccess]) -> Vec<RemoteAccessView> {
    accesses.iter().map(RemoteAccessView::of).collect()
}

/// A state as it may be written down: time alone does not change a row.
fn stored(state: RemoteAccessWord) -> &'static [&'static str] {
    use RemoteAccessWord::{Active, Cancelled, Expired, Over, Pending, Rejected, Upcoming};
    match state {
        Pending => &["pending"],
        Expired => &["expired", "pending"],
        Upcoming | Active | Over => &["granted"],
        Rejected => &["rejected"],
        Cancelled => &["cancelled"],
    }
}
