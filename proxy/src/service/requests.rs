//! Requests: asked for, voted on, taken back, shown.

mod view;

pub use view::{Plan, RequestSession, RequestView, ShownRequest};

use jiff::Timestamp;
use tidegate_common::id::RequestId;
use tidegate_common::model::{Action, Claims, Limits, Request, RequestState, Role, StateWord, Text, Wish};
use tidegate_common::name::{CredentialName, ReasonName, UserName};
use tidegate_common::policy::{self, Approves};
use tidegate_common::time::Length;

use super::access::Reachable;
use super::operation::Operation;
use super::{Actor, Each, Failure, Services};
use crate::requests::{Narrowed, NewRequest, RequestError, RequestPart, Sorted};
use crate::store::{Concern, RequestFilter, SessionFilter};

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
    /// What it is bounded to.
    pub limits: Limits,
}

/// What a request can be made of.
#[derive(Debug, Clone)]
pub struct Choices {
    /// What the actor may reach.
    pub reachable: Vec<Reachable>,
    /// Reasons to choose from.
    pub reasons: Vec<ReasonName>,
}

/// What the actor can ask for.
///
/// # Errors
/// When the actor is no user.
pub async fn choices(services: &Services, actor: &Actor) -> Result<Choices, Failure> {
    let reachable = super::access::list(services, actor, None).await?;
    let reasons = services.access.snapshot().reasons().map(|reason| reason.name.clone()).collect();
    Ok(Choices { reachable, reasons })
}

/// Looks at a part of a request that is being written.
///
/// # Errors
/// When the actor is no user, or something stands against that part.
pub async fn look(
    services: &Services,
    actor: &Actor,
    targets: Vec<CredentialName>,
    wanted: &Wanted,
    part: RequestPart,
) -> Result<(), Failure> {
    let Wanted { action, claims, wish, limits } = wanted.clone();
    let (user, origin) = (actor.must_be_user()?.clone(), actor.origin());
    let new = NewRequest { user, targets, action, claims, wish, limits, origin };
    let looked = services.requests.look(&new, part).await.map_err(Failure::from);
    if let Err(failure) = &looked {
        Operation::RequestCreate.refused(services, actor, failure).await;
    }
    looked
}

/// Makes one request for all credentials that one access group governs; goes on after one that
/// fails.
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
        let Wanted { action, claims, wish, limits } = wanted.clone();
        let (user, origin) = (actor.must_be_user()?.clone(), actor.origin());
        let new = NewRequest { user, targets, action, claims, wish, limits, origin };
        let mut made = Each::default();
        let Sorted { each, refused } = services.requests.sort(new).await;
        for error in refused {
            made.add(Err(error.into()));
        }
        for new in each {
            let request = services.requests.create(new).await;
            made.add(request.map(|request| RequestView::of(&request)).map_err(Failure::from));
        }
        for failure in &made.failed {
            Operation::RequestCreate.refused(services, actor, failure).await;
        }
        Ok(made)
    };
    Operation::RequestCreate.perform(services, actor, work).await
}

/// What can be done with a request that is there.
#[derive(Debug, Clone)]
pub enum Deed {
    /// Approves it, maybe for less than was asked for.
    Approve(Option<Text>, Narrowed),
    /// Rejects it.
    Reject(Option<Text>),
    /// Says that the actor has looked at an emergency.
    Review(Option<Text>),
    /// Takes the actor's own back.
    Cancel,
    /// Takes one back that the actor approves, also in use.
    Revoke(Option<Text>),
    /// Asks for so much more time for the actor's own.
    Extend(Length, Claims),
}

impl Deed {
    fn operation(&self) -> Operation {
        match self {
            Self::Approve(..) => Operation::RequestApprove,
            Self::Reject(_) => Operation::RequestReject,
            Self::Review(_) => Operation::RequestReview,
            Self::Cancel => Operation::RequestCancel,
            Self::Revoke(_) => Operation::RequestRevoke,
            Self::Extend(..) => Operation::RequestExtend,
        }
    }
}

/// Does it with each of these requests; goes on after one that fails.
///
/// # Errors
/// When the actor may not ask for it at all; what stands against one of them is in the answer.
pub async fn deal(
    services: &Services,
    actor: &Actor,
    ids: &[RequestId],
    deed: &Deed,
) -> Result<Each<RequestView>, Failure> {
    let operation = deed.operation();
    let work = async {
        let mut each = Each::default();
        for id in ids {
            each.add(deal_with(services, actor, *id, deed).await);
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
    id: RequestId,
    deed: &Deed,
) -> Result<RequestView, Failure> {
    let (requests, by) = (&services.requests, actor.by());
    let administrator = || actor.now(&services.access.snapshot()).must_be_admin().is_ok();
    let done = match deed.clone() {
        Deed::Approve(comment, less) => requests.approve(id, actor.must_be_user()?, &by, comment, less).await,
        Deed::Reject(comment) => requests.reject(id, actor.must_be_user()?, &by, comment).await,
        Deed::Review(comment) => {
            requests.review(id, actor.must_be_user()?, administrator(), &by, comment).await
        }
        Deed::Cancel => requests.cancel(id, actor.must_be_user()?, &by).await,
        Deed::Revoke(comment) => requests.revoke(id, actor.name(), administrator(), &by, comment).await,
        Deed::Extend(more, claims) => requests.extend(id, actor.must_be_user()?, &by, more, claims).await,
    };
    Ok(RequestView::of(&done?))
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
            sessions: sessions(services, id).await?,
        })
    };
    Operation::RequestShow.perform(services, actor, work).await
}

/// The sessions that rested on a request, the newest first.
async fn sessions(services: &Services, id: RequestId) -> Result<Vec<RequestSession>, Failure> {
    let filter = SessionFilter { request: Some(id), limit: MOST, ..SessionFilter::default() };
    Ok(services.store.sessions(&filter).await?.into_iter().map(RequestSession::of).collect())
}

/// Which requests to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In this state only.
    pub state: Option<StateWord>,
    /// Emergencies that nobody has looked at yet only.
    pub to_review: bool,
    /// Of this user only.
    pub user: Option<UserName>,
    /// For this credential only.
    pub target: Option<CredentialName>,
    /// Made then or later.
    pub since: Option<Timestamp>,
    /// Made before then.
    pub before: Option<Timestamp>,
    /// Whose they must be to the actor.
    pub whose: Whose,
    /// At most so many, 1000 at the most.
    pub limit: u64,
}

/// What requests must be to the one who lists them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Whose {
    /// Anything that they may see.
    #[default]
    Any,
    /// Their own.
    Mine,
    /// Waiting for their vote now.
    ToApprove,
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
        let concerning = match (asked.whose, actor.name()) {
            (Whose::Mine, _) => {
                Some(Concern { own: Some(actor.must_be_user()?.clone()), ..Concern::default() })
            }
            (Whose::ToApprove, _) => Some(approved_by(services, actor.must_be_user()?)),
            (Whose::Any, Some(user)) if !actor.reads_all() => {
                Some(Concern { own: Some(user.clone()), ..approved_by(services, user) })
            }
            (Whose::Any, _) => None,
        };
        let filter = RequestFilter {
            user: asked.user.clone(),
            target: asked.target.clone(),
            before: asked.before,
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
        if let (Whose::ToApprove, Some(user)) = (asked.whose, actor.name()) {
            requests.retain(|request| may_vote(services, request, user));
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
    let concerning = approved_by(services, user);
    if concerning.groups.is_empty() && concerning.managed.0.is_empty() {
        return Ok(Vec::new());
    }
    let concerning = Some(concerning);
    let filter = RequestFilter { concerning, states: &["pending"], ..RequestFilter::default() };
    let mut requests = services.requests.list(&filter).await?;
    requests.retain(|request| may_vote(services, request, user));
    Ok(requests.iter().map(RequestView::of).collect())
}

/// Whether the request waits for the user's vote now.
fn may_vote(services: &Services, request: &Request, user: &UserName) -> bool {
    let snapshot = services.access.snapshot();
    let group = snapshot.group(&request.group).filter(|_| request.state == RequestState::Pending);
    group.is_some_and(|group| policy::ballot(&snapshot, group, request, user, Timestamp::now()).is_ok())
}

/// The requests that the user approves, whether they wait or not.
fn approved_by(services: &Services, user: &UserName) -> Concern {
    let approves = policy::approves_for(&services.access.snapshot(), user, Timestamp::now());
    let Approves { groups, managed, managers } = approves;
    Concern { own: None, groups, managed: (managed, managers) }
}

/// The emergencies that the user is to review.
pub(super) async fn to_review(services: &Services, user: &UserName) -> Result<Vec<RequestView>, Failure> {
    let snapshot = services.access.snapshot();
    let is_admin = snapshot.user(user).is_some_and(|user| user.has_role(Role::Admin));
    if !is_admin && policy::approves_for(&snapshot, user, Timestamp::now()).is_none() {
        return Ok(Vec::new());
    }
    let filter = RequestFilter { to_review: true, ..RequestFilter::default() };
    let mut requests = services.requests.list(&filter).await?;
    requests.retain(|request| services.requests.reviews(request, user, is_admin));
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
