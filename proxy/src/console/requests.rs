//! `request …`

mod show;

use jiff::Timestamp;
use tidegate_common::id::RequestId;
use tidegate_common::model::{Action, Claims, Request, RequestState, Role, Text, Wish};
use tidegate_common::name::UserName;
use tidegate_common::policy;

use super::grammar::{Create, Request as Asked, RequestList, State};
use super::screen::Screen;
use super::show::{ago, maybe};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::requests::{NewRequest, RequestError};
use crate::store::RequestFilter;
use show::{Line, Shown, details, plan, sentence, word};

/// Shown at once.
const MOST: u64 = 1000;

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Asked,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    match asked {
        Asked::Create(asked) => create(services, actor, asked, screen).await,
        Asked::List(asked) => list(services, actor, &asked, screen).await,
        Asked::Show { id } => {
            let request = services.requests.get(id).await?;
            if !may_see(services, actor, &request) {
                return Err(RequestError::Unknown(id).into());
            }
            let opens = services.requests.would_open(&request);
            let shown = Shown::of(&request, opens, plan(services, &request).await);
            let plan = shown.plan.as_ref().map(ToString::to_string).unwrap_or_default();
            screen.one_told(&shown, || details(&request, opens) + &plan).await?;
            Ok(0)
        }
        Asked::Approve { ids, comment, start, duration } => {
            let start = start.map(|start| start.from(Timestamp::now()));
            each(services, actor, ids, &Deed::Approve(comment, Wish { start, duration }), screen).await
        }
        Asked::Reject { ids, comment } => each(services, actor, ids, &Deed::Reject(comment), screen).await,
        Asked::Review { ids, comment } => each(services, actor, ids, &Deed::Review(comment), screen).await,
        Asked::Cancel { ids } => each(services, actor, ids, &Deed::Cancel, screen).await,
        Asked::Revoke { ids, comment } => each(services, actor, ids, &Deed::Revoke(comment), screen).await,
    }
}

/// What can be done with a request.
enum Deed {
    Approve(Option<Text>, Wish),
    Reject(Option<Text>),
    Review(Option<Text>),
    Cancel,
    Revoke(Option<Text>),
}

async fn deal(services: &Services, actor: &Actor, id: RequestId, deed: &Deed) -> Result<Request, Failure> {
    let (requests, by) = (&services.requests, actor.by());
    let done = match deed {
        Deed::Approve(comment, wish) => {
            requests.approve(id, actor.must_be_user()?, &by, comment.clone(), *wish).await
        }
        Deed::Reject(comment) => requests.reject(id, actor.must_be_user()?, &by, comment.clone()).await,
        Deed::Review(comment) => requests.review(id, actor.must_be_user()?, &by, comment.clone()).await,
        Deed::Cancel => requests.cancel(id, actor.must_be_user()?, &by).await,
        Deed::Revoke(comment) => requests.revoke(id, actor.name(), &by, comment.clone()).await,
    };
    Ok(done?)
}

/// Does something with each request; goes on after one that fails.
async fn each(
    services: &Services,
    actor: &Actor,
    ids: Vec<RequestId>,
    deed: &Deed,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let alone = ids.len() == 1;
    let (mut done, mut failed) = (Vec::new(), false);
    for id in ids {
        match deal(services, actor, id, deed).await {
            Ok(request) => {
                if !screen.json {
                    screen.plain(&sentence(&request)).await?;
                }
                done.push(Line::of(&request));
            }
            Err(error) if alone => return Err(error),
            Err(error) => {
                screen.complain(&error.to_string()).await?;
                failed = true;
            }
        }
    }
    if screen.json {
        screen.list(&done, || Table::new([])).await?;
    }
    Ok(u8::from(failed))
}

async fn create(
    services: &Services,
    actor: &Actor,
    asked: Create,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let user = actor.must_be_user()?.clone();
    let Create {
        credentials,
        justification,
        reason,
        change,
        governance,
        start,
        duration,
        emergency,
        view_password,
    } = asked;
    let claims = Claims { justification, reason, change, governance, emergency };
    let wish = Wish { start: start.map(|start| start.from(Timestamp::now())), duration };
    let action = if view_password { Action::ViewPassword } else { Action::Session };
    let alone = credentials.len() == 1;
    let (mut made, mut failed) = (Vec::new(), false);
    for target in credentials {
        let (user, claims) = (user.clone(), claims.clone());
        let new = NewRequest { user, target, action, claims, wish, origin: actor.origin() };
        match services.requests.create(new).await {
            Ok(request) => {
                if !screen.json {
                    screen.plain(&sentence(&request)).await?;
                }
                made.push(Line::of(&request));
            }
            Err(error) if alone => return Err(error.into()),
            Err(error) => {
                screen.complain(&error.to_string()).await?;
                failed = true;
            }
        }
    }
    if screen.json {
        screen.list(&made, || Table::new([])).await?;
    }
    Ok(u8::from(failed))
}

fn may_see(services: &Services, actor: &Actor, request: &Request) -> bool {
    actor.reads_all() || actor.name().is_some_and(|user| services.requests.concerns(request, user))
}

async fn list(
    services: &Services,
    actor: &Actor,
    asked: &RequestList,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let state = if asked.pending { Some(State::Pending) } else { asked.state };
    let limit = asked.limit.clamp(1, MOST);
    let snapshot = services.access.snapshot();
    let concerning = actor.name().filter(|_| !actor.reads_all()).map(|user| {
        let groups = snapshot.approves(user).map(|group| group.name.clone()).collect();
        (user.clone(), groups)
    });
    let filter = RequestFilter {
        user: asked.user.clone(),
        states: state.map(State::stored).unwrap_or_default(),
        concerning,
        since: asked.since.map(|since| since.from(Timestamp::now())),
        limit: limit + 1,
        ..RequestFilter::default()
    };
    let mut requests = Vec::new();
    // What nobody approved comes first, until somebody has looked at it.
    let due = RequestFilter { to_review: true, ..filter.clone() };
    requests.append(&mut services.requests.list(&due).await?);
    if !asked.to_review {
        let rest = services.requests.list(&filter).await?.into_iter();
        requests.extend(rest.filter(|request| !request.wants_review()));
    }
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = requests.len() > shown;
    requests.truncate(shown);
    if let Some(state) = state {
        requests.retain(|request| word(request) == state.word());
    }
    let lines: Vec<_> = requests.iter().map(Line::of).collect();
    let table = || {
        let mut table = Table::new(["ID", "STATE", "USER", "CREDENTIAL", "MADE", "UNTIL", "JUSTIFICATION"]);
        for request in &requests {
            let until = match &request.state {
                RequestState::Pending => ago(request.expires, Timestamp::now()),
                RequestState::Approved { window } => ago(window.end, Timestamp::now()),
                _ => String::new(),
            };
            let emergency = if request.is_emergency() { "EMERGENCY: " } else { "" };
            let why = request.claims.emergency.as_ref().or(request.claims.justification.as_ref());
            let review = if request.wants_review() { ", TO REVIEW" } else { "" };
            table.row([
                request.id.to_string(),
                format!("{}{review}", word(request)),
                request.user.to_string(),
                request.target.to_string(),
                ago(request.created, Timestamp::now()),
                until,
                format!("{emergency}{}", maybe(why)),
            ]);
        }
        table
    };
    let narrowed = state.is_some() || asked.to_review || asked.user.is_some() || asked.since.is_some();
    let empty = match narrowed {
        true => "No request fits.",
        false => "No request concerns you; `request create` makes one.",
    };
    screen.list_or(&lines, table, empty).await?;
    if more {
        let narrow = "--state, --user and --since narrow the list";
        screen.remark(&format!("There are more; these are of the newest {limit}. {narrow}.")).await?;
    }
    Ok(0)
}

/// The requests on which the user may vote now.
pub(super) async fn waiting_for(services: &Services, user: &UserName) -> Result<Vec<Request>, Failure> {
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
    Ok(requests)
}

/// The emergencies that the user is to review.
pub(super) async fn to_review(services: &Services, user: &UserName) -> Result<Vec<Request>, Failure> {
    let snapshot = services.access.snapshot();
    let is_admin = snapshot.user(user).is_some_and(|user| user.has_role(Role::Admin));
    if !is_admin && !snapshot.is_approver(user) {
        return Ok(Vec::new());
    }
    let filter = RequestFilter { to_review: true, ..RequestFilter::default() };
    let mut requests = services.requests.list(&filter).await?;
    requests.retain(|request| services.requests.reviews(request, user));
    Ok(requests)
}
