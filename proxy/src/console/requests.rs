//! `request …`

mod show;

use jiff::Timestamp;
use tidegate_common::model::{Action, Claims, StateWord, Wish};

use super::grammar::{Create, Request as Asked, RequestList};
use super::screen::Screen;
use super::show::{ago, maybe};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::Each;
use crate::service::requests::{self, Filter, Listed, RequestView, Wanted};
use show::{details, plan, sentence};

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Asked,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let done = match asked {
        Asked::List(asked) => return list(services, actor, asked, screen).await,
        Asked::Show { id } => {
            let shown = requests::show(services, actor, id).await?;
            let plan = shown.plan.as_ref().map(plan).unwrap_or_default();
            screen.one_told(&shown, || details(&shown) + &plan).await?;
            return Ok(0);
        }
        Asked::Create(asked) => create(services, actor, asked).await?,
        Asked::Approve { ids, comment, start, duration } => {
            let start = start.map(|start| start.from(Timestamp::now()));
            let wish = Wish { start, duration };
            requests::approve(services, actor, &ids, comment.as_ref(), wish).await?
        }
        Asked::Reject { ids, comment } => requests::reject(services, actor, &ids, comment.as_ref()).await?,
        Asked::Review { ids, comment } => requests::review(services, actor, &ids, comment.as_ref()).await?,
        Asked::Cancel { ids } => requests::cancel(services, actor, &ids).await?,
        Asked::Revoke { ids, comment } => requests::revoke(services, actor, &ids, comment.as_ref()).await?,
    };
    tell(done, screen).await
}

async fn create(services: &Services, actor: &Actor, asked: Create) -> Result<Each<RequestView>, Failure> {
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
    let wanted = Wanted {
        action: if view_password { Action::ViewPassword } else { Action::Session },
        claims: Claims { justification, reason, change, governance, emergency },
        wish: Wish { start: start.map(|start| start.from(Timestamp::now())), duration },
    };
    Ok(requests::create(services, actor, credentials, &wanted).await?)
}

/// Tells what came of each request; one that was asked for alone fails alone.
async fn tell(each: Each<RequestView>, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let Each { done, mut failed } = each;
    if done.is_empty()
        && failed.len() == 1
        && let Some(alone) = failed.pop()
    {
        return Err(alone.into());
    }
    if screen.json {
        screen.list(&done, || Table::new([])).await?;
    } else {
        for request in &done {
            screen.plain(&sentence(request)).await?;
        }
    }
    for failure in &failed {
        screen.complain(&failure.to_string()).await?;
    }
    Ok(u8::from(!failed.is_empty()))
}

async fn list(
    services: &Services,
    actor: &Actor,
    asked: RequestList,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let RequestList { pending, state, to_review, user, since, limit } = asked;
    let state = if pending { Some(StateWord::Pending) } else { state };
    let narrowed = state.is_some() || to_review || user.is_some() || since.is_some();
    let since = since.map(|since| since.from(Timestamp::now()));
    let filter = Filter { state, to_review, user, since, limit };
    let Listed { requests, cut } = requests::list(services, actor, &filter).await?;
    let empty = match narrowed {
        true => "No request fits.",
        false => "No request concerns you; `request create` makes one.",
    };
    screen.list_or(&requests, || table(&requests), empty).await?;
    if let Some(limit) = cut {
        let narrow = "--state, --user and --since narrow the list";
        screen.remark(&format!("There are more; these are of the newest {limit}. {narrow}.")).await?;
    }
    Ok(0)
}

fn table(requests: &[RequestView]) -> Table {
    let now = Timestamp::now();
    let mut table = Table::new(["ID", "STATE", "USER", "CREDENTIAL", "MADE", "UNTIL", "JUSTIFICATION"]);
    for request in requests {
        let until = match (request.state, &request.window) {
            (StateWord::Pending, _) => ago(request.expires, now),
            (_, Some(window)) => ago(window.end, now),
            _ => String::new(),
        };
        let emergency = if request.is_emergency() { "EMERGENCY: " } else { "" };
        let why = request.claims.emergency.as_ref().or(request.claims.justification.as_ref());
        let review = if request.to_review { ", TO REVIEW" } else { "" };
        table.row([
            request.id.to_string(),
            format!("{}{review}", request.state),
            request.user.to_string(),
            request.target.to_string(),
            ago(request.created, now),
            until,
            format!("{emergency}{}", maybe(why)),
        ]);
    }
    table
}
