//! `request …`

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::id::RequestId;
use tidegate_common::model::{Action, Claims, Request, RequestState, Text, Wish};
use tidegate_common::name::{DeviceName, UserName};
use tidegate_common::policy;

use super::grammar::{Create, Request as Asked, RequestList, State};
use super::screen::Screen;
use super::show::{ago, maybe, moment, sheet};
use super::table::{Table, printable};
use super::{Actor, Failure, Services};
use crate::requests::{NewRequest, RequestError};
use crate::store::RequestFilter;

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
            let shown = Shown { request: Line::of(&request), plan: plan(services, &request).await };
            let plan = shown.plan.as_ref().map(ToString::to_string).unwrap_or_default();
            screen.one(&shown, || details(&request) + &plan).await?;
            Ok(0)
        }
        Asked::Approve { ids, comment, start, duration } => {
            let start = start.map(|start| start.from(Timestamp::now()));
            each(services, actor, ids, &Deed::Approve(comment, Wish { start, duration }), screen).await
        }
        Asked::Reject { ids, comment } => each(services, actor, ids, &Deed::Reject(comment), screen).await,
        Asked::Cancel { ids } => each(services, actor, ids, &Deed::Cancel, screen).await,
        Asked::Revoke { ids, comment } => each(services, actor, ids, &Deed::Revoke(comment), screen).await,
    }
}

/// What can be done with a request.
enum Deed {
    Approve(Option<Text>, Wish),
    Reject(Option<Text>),
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
                    screen.line(&sentence(&request)).await?;
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

/// The state in one word; an approval whose window has ended is over.
fn word(request: &Request) -> &'static str {
    match &request.state {
        RequestState::Approved { window } if window.end <= Timestamp::now() => "over",
        state => state.word(),
    }
}

/// One sentence on where a request stands.
fn sentence(request: &Request) -> String {
    let Request { id, user, target, .. } = request;
    let what = match &request.state {
        RequestState::Pending if request.votes.is_empty() => {
            format!("waits for approval until {}", moment(request.expires))
        }
        RequestState::Pending if request.votes.len() == 1 => "has one vote and waits for more".to_owned(),
        RequestState::Pending => format!("has {} votes and waits for more", request.votes.len()),
        RequestState::Approved { window } => {
            format!("is approved from {} until {}", moment(window.start), moment(window.end))
        }
        state => format!("is {}", state.word()),
    };
    format!("request {id} of {user} for {target} {what}")
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
        let new = NewRequest { user, target, action, claims, wish, origin: actor.origin };
        match services.requests.create(new).await {
            Ok(request) => {
                if !screen.json {
                    screen.line(&sentence(&request)).await?;
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
    let mut requests = services.requests.list(&filter).await?;
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
            table.row([
                request.id.to_string(),
                word(request).to_owned(),
                request.user.to_string(),
                request.target.to_string(),
                ago(request.created, Timestamp::now()),
                until,
                format!("{emergency}{}", maybe(why)),
            ]);
        }
        table
    };
    let narrowed = state.is_some() || asked.user.is_some() || asked.since.is_some();
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

/// A request for machines: its state is one word.
#[derive(Serialize)]
struct Line {
    id: u64,
    state: &'static str,
    user: String,
    target: String,
    action: Action,
    group: String,
    #[serde(flatten)]
    claims: Claims,
    created: Timestamp,
    expires: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<tidegate_common::time::Window>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<std::net::IpAddr>,
    votes: Vec<tidegate_common::model::Vote>,
}

impl Line {
    fn of(request: &Request) -> Self {
        let (window, revoked_by) = match &request.state {
            RequestState::Approved { window } => (Some(*window), None),
            RequestState::Revoked { by, .. } => (None, Some(by.clone())),
            _ => (None, None),
        };
        Self {
            id: request.id.0,
            state: word(request),
            user: request.user.to_string(),
            target: request.target.to_string(),
            action: request.action,
            group: request.group.to_string(),
            claims: request.claims.clone(),
            created: request.created,
            expires: request.expires,
            start: request.wish.start,
            duration: request.wish.duration.map(|duration| duration.to_string()),
            window,
            revoked_by,
            origin: request.origin,
            votes: request.votes.clone(),
        }
    }
}

/// A request as `request show` has it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    request: Line,
    /// None where nothing will be changed any more.
    plan: Option<Plan>,
}

/// What the session would change on its device.
#[derive(Serialize)]
struct Plan {
    device: DeviceName,
    /// Whether the device's agent says so now; otherwise it is what the credential has.
    checked: bool,
    lines: Vec<String>,
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let doubt = if self.checked { "" } else { " (its agent does not answer, so not checked there)" };
        writeln!(f, "what will change on {}{doubt}:", self.device)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

async fn plan(services: &Services, request: &Request) -> Option<Plan> {
    let snapshot = services.access.snapshot();
    let credential = snapshot.credential(&request.target).cloned();
    let waits = matches!(request.state, RequestState::Pending | RequestState::Approved { .. });
    let credential =
        credential.filter(|one| waits && request.action == Action::Session && !one.privileges.is_empty())?;
    let device = request.target.device.clone();
    let told = services.agents.plan(Arc::clone(&credential)).await;
    let checked = told.is_some();
    let lines = told.unwrap_or_else(|| credential.privileges.iter().map(ToString::to_string).collect());
    let plain = |line: String| line.chars().map(printable).collect();
    Some(Plan { device, checked, lines: lines.into_iter().map(plain).collect() })
}

fn details(request: &Request) -> String {
    let Claims { justification, reason, change, governance, emergency } = &request.claims;
    let mut text = sheet([
        ("request", request.id.to_string()),
        ("state", sentence(request)),
        ("user", request.user.to_string()),
        ("credential", request.target.to_string()),
        ("action", request.action.to_string()),
        ("access group", request.group.to_string()),
        ("EMERGENCY", maybe(emergency.as_ref())),
        ("justification", maybe(justification.as_ref())),
        ("reason", maybe(reason.as_ref())),
        ("change", maybe(change.as_ref())),
        ("governance code", maybe(governance.as_ref())),
        ("wanted from", request.wish.start.map(moment).unwrap_or_default()),
        ("wanted for", maybe(request.wish.duration)),
        ("made", moment(request.created)),
        ("made from", maybe(request.origin)),
    ]);
    for vote in &request.votes {
        let comment = vote.comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
        let origin = vote.origin.map(|origin| format!(" from {origin}")).unwrap_or_default();
        let verdict = vote.verdict;
        text.push_str(&format!(
            "{} {verdict}s (level {}) at {}{origin}{comment}\n",
            vote.by,
            vote.level,
            moment(vote.at)
        ));
    }
    text
}
