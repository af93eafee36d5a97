//! Requests: asked for, voted on, taken back, shown.

mod view;

pub use view::{Plan, RequestView, ShownRequest};

use jiff::Timestamp;
use tidegate_common::id::RequestId;
use tidegate_common::model::{Action, Claims, RequestState, Role, StateWord, Text, Wish};
use tidegate_common::name::{CredentialName, UserName};
use tidegate_common::policy;

use super::operation::Operation;
use super::{Actor, Each, Failure, Services};
use crate::requests::{NewRequest, RequestError};
use crate::store::RequestFilter;

/// Listed at once.
const MOST: u64 = 1000;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// To do what.
    pub action: Action,
    /// What is claimed for it.
    pub claims: Claims,
    /// When it is wanted.
    pub wish: Wish,
}

/// Makes a request for each credential; goes on after one that fails.
///
/// # Errors
/// When the actor is no user.
pub async fn create(
    services: &Services,
    actor: &Actor,
    targets: Vec<CredentialName>,
    wanted: &Wanted,
) -> Result<Each<RequestView>, Failure> {
    let work = async {
        let user = actor.must_be_user()?;
        let mut each = Each::default();
        for target in targets {
            let Wanted { action, claims, wish } = wanted.clone();
            let new = NewRequest { user: user.clone(), target, action, claims, wish, origin: actor.origin() };
            let made = services.requests.create(new).await;
            each.add(made.map(|request| RequestView::of(&request)).map_err(Failure::from));
        }
        for failure in &each.failed {
            Operation::RequestCreate.refused(services, actor, failure).await;
        }
        Ok(each)
    };
    Operation::RequestCreate.perform(services, actor, work).await
}

/// Approves requests, maybe for less than was asked for; goes on after one that fails.
///
/// # Errors
/// When the actor is no user.
pub async fn approve(
    services: &Services,
    actor: &Actor,
    ids: &[RequestId],
    comment: Option<&Text>,
    wish: Wish,
) -> Result<Each<RequestView>, Failure> {
    let work = async {
        Ok(each(services, actor, Operation::RequestApprove, ids, &Deed::Approve(comment, wish)).await)
    };
    Operation::RequestApprove.perform(services, actor, work).await
}

/// Rejects requests; goes on after one that fails.
///
/// # Errors
/// When the actor is no user.
pub async fn reject(
    services: &Services,
    actor: &Actor,
    ids: &[RequestId],
    comment: Option<&Text>,
) -> Result<Each<RequestView>, Failure> {
    let work =
        async { Ok(each(services, actor, Operation::RequestReject, ids, &Deed::Reject(comment)).await) };
    Operation::RequestReject.perform(services, actor, work).await
}

/// Says that the actor has looked at emergencies; goes on after one that fails.
///
/// # Errors
/// When the actor is no user.
pub async fn review(
    services: &Services,
    actor: &Actor,
    ids: &[RequestId],
    comment: Option<&Text>,
) -> Result<Each<RequestView>, Failure> {
    let work =
        async { Ok(each(services, actor, Operation::RequestReview, ids, &Deed::Review(comment)).await) };
    Operation::RequestReview.perform(services, actor, work).await
}

/// Takes the actor's own requests back; goes on after one that fails.
///
/// # Errors
/// When the actor is no user.
pub async fn cancel(
    services: &Services,
    actor: &Actor,
    ids: &[RequestId],
) -> Result<Each<RequestView>, Failure> {
    let work = async { Ok(each(services, actor, Operation::RequestCancel, ids, &Deed::Cancel).await) };
    Operation::RequestCancel.perform(services, actor, work).await
}

/// Takes requests back that the actor approves, also in use; goes on after one that fails.
///
/// # Errors
/// None of its own; what stands against one of them is in the answer.
pub async fn revoke(
    services: &Services,
    actor: &Actor,
    ids: &[RequestId],
    comment: Option<&Text>,
) -> Result<Each<RequestView>, Failure> {
    let work =
        async { Ok(each(services, actor, Operation::RequestRevoke, ids, &Deed::Revoke(comment)).await) };
    Operation::RequestRevoke.perform(services, actor, work).await
}

/// What can be done with a request.
enum Deed<'a> {
    Approve(Option<&'a Text>, Wish),
    Reject(Option<&'a Text>),
    Review(Option<&'a Text>),
    Cancel,
    Revoke(Option<&'a Text>),
}

async fn deal(
    services: &Services,
    actor: &Actor,
    id: RequestId,
    deed: &Deed<'_>,
) -> Result<RequestView, Failure> {
    let (requests, by) = (&services.requests, actor.by());
    let done = match deed {
        Deed::Approve(comment, wish) => {
            requests.approve(id, actor.must_be_user()?, &by, comment.cloned(), *wish).await
        }
        Deed::Reject(comment) => requests.reject(id, actor.must_be_user()?, &by, comment.cloned()).await,
        Deed::Review(comment) => requests.review(id, actor.must_be_user()?, &by, comment.cloned()).await,
        Deed::Cancel => requests.cancel(id, actor.must_be_user()?, &by).await,
        Deed::Revoke(comment) => requests.revoke(id, actor.name(), &by, comment.cloned()).await,
    };
    Ok(RequestView::of(&done?))
}

async fn each(
    services: &Services,
    actor: &Actor,
    operation: Operation,
    ids: &[RequestId],
    deed: &Deed<'_>,
) -> Each<RequestView> {
    let mut each = Each::default();
    for id in ids {
        each.add(deal(services, actor, *id, deed).await);
    }
    for failure in &each.failed {
        operation.refused(services, actor, failure).await;
    }
    each
}

/// One request, with what its session would change.
///
/// # Errors
/// When there is none that concerns the actor, or the store fails.
pub async fn show(services: &Services, actor: &Actor, id: RequestId) -> Result<ShownRequest, Failure> {
    let work = async {
        let request = services.requests.get(id).await?;
        let concerns = |user| services.requests.concerns(&request, user);
        if !actor.reads_all() && !actor.name().is_some_and(concerns) {
            return Err(RequestError::Unknown(id).into());
        }
        let opens = services.requests.would_open(&request);
        Ok(ShownRequest {
            request: RequestView::of(&request),
            opens_for: opens.map(|(length, _)| length),
            longest: opens.and_then(|(_, longest)| longest),
            plan: view::plan(services, &request).await,
        })
    };
    Operation::RequestShow.perform(services, actor, work).await
}

/// Which requests to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this state only.
    pub state: Option<StateWord>,
    /// Emergencies that nobody has looked at yet only.
    pub to_review: bool,
    /// Of this user only.
    pub user: Option<UserName>,
    /// Made then or later.
    pub since: Option<Timestamp>,
    /// At most so many, 1000 at the most.
    pub limit: u64,
}

/// A list of requests.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The newest first; but what nobody approved comes before them, until somebody has
    /// looked at it.
    pub requests: Vec<RequestView>,
    /// How many were looked through where there are more.
    pub cut: Option<u64>,
}

/// The requests that concern the actor; all for those who read all.
///
/// # Errors
/// When the store fails.
pub async fn list(services: &Services, actor: &Actor, asked: &Filter) -> Result<Listed, Failure> {
    let work = async {
        let limit = asked.limit.clamp(1, MOST);
        let snapshot = services.access.snapshot();
        let concerning = actor.name().filter(|_| !actor.reads_all()).map(|user| {
            let groups = snapshot.approves(user).map(|group| group.name.clone()).collect();
            (user.clone(), groups)
        });
        let filter = RequestFilter {
            user: asked.user.clone(),
            states: asked.state.map(stored).unwrap_or_default(),
            concerning,
            since: asked.since,
            limit: limit + 1,
            ..RequestFilter::default()
        };
        let due = RequestFilter { to_review: true, ..filter.clone() };
        let mut requests = services.requests.list(&due).await?;
        if !asked.to_review {
            let rest = services.requests.list(&filter).await?.into_iter();
            requests.extend(rest.filter(|request| !request.wants_review()));
        }
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let cut = (requests.len() > shown).then_some(limit);
        requests.truncate(shown);
        let mut requests: Vec<_> = requests.iter().map(RequestView::of).collect();
        requests.retain(|request| asked.state.is_none_or(|state| request.state == state));
        Ok(Listed { requests, cut })
    };
    Operation::RequestList.perform(services, actor, work).await
}

/// A state as it may be written down: time alone does not change a row.
fn stored(state: StateWord) -> &'static [&'static str] {
    match state {
        StateWord::Pending => &["pending"],
        StateWord::Approved | StateWord::Over => &["approved"],
        StateWord::Rejected => &["rejected"],
        StateWord::Cancelled => &["cancelled"],
        StateWord::Revoked => &["revoked"],
        StateWord::Expired => &["expired", "pending"],
    }
}

/// The requests on which the user may vote now.
pub(super) async fn waiting_for(services: &Services, user: &UserName) -> Result<Vec<RequestView>, Failure> {
    let snapshot = services.access.snapshot();
    let groups: Vec<_> = snapshot.approves(user).map(|group| group.name.clone()).collect();
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let concerning = Some((user.clone(), groups));
    let filter = RequestFilter { concerning, states: &["pending"], ..RequestFilter::default() };
    let mut requests = services.requests.list(&filter).await?;
    requests.retain(|request| {
        let group = snapshot.group(&request.group);
        request.state == RequestState::Pending
            && group.is_some_and(|group| policy::ballot(group, request, user).is_ok())
    });
    Ok(requests.iter().map(RequestView::of).collect())
}

/// The emergencies that the user is to review.
pub(super) async fn to_review(services: &Services, user: &UserName) -> Result<Vec<RequestView>, Failure> {
    let snapshot = services.access.snapshot();
    let is_admin = snapshot.user(user).is_some_and(|user| user.has_role(Role::Admin));
    if !is_admin && !snapshot.is_approver(user) {
        return Ok(Vec::new());
    }
    let filter = RequestFilter { to_review: true, ..RequestFilter::default() };
    let mut requests = services.requests.list(&filter).await?;
    requests.retain(|request| services.requests.reviews(request, user));
    Ok(requests.iter().map(RequestView::of).collect())
}

/// The user's own requests that wait or are good.
pub(super) async fn own(services: &Services, user: &UserName) -> Result<Vec<RequestView>, Failure> {
    let filter = RequestFilter {
        user: Some(user.clone()),
        states: &["pending", "approved"],
        ..RequestFilter::default()
    };
    Ok(services.requests.list(&filter).await?.iter().map(RequestView::of).collect())
}
