//! `request …`

mod file;
mod form;
mod show;

use jiff::Timestamp;
use tidegate_common::model::{Action, Claims, Limits, StateWord, Wish};
use tidegate_common::name::CredentialName;

use tokio::io::AsyncRead;

use super::form::{Asks as _, Checks, Form};
use super::grammar::{Create, Extend, Request as Asked, RequestList, Since};
use super::screen::Screen;
use super::show::{ago, maybe, moment};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::requests::{Narrowed, RequestPart};
use crate::service::Each;
use crate::service::requests::{self, Choices, Deed, Filter, Listed, RequestView, Wanted, Whose};
use form::Step;
use show::{details, plan, sentence, sessions};

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Asked,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    let done = match asked {
        Asked::List(asked) => return list(services, actor, asked, screen).await,
        Asked::Show { id } => {
            let shown = requests::show(services, actor, id).await?;
            let plans: String = shown.plan.iter().map(plan).collect();
            screen.one_told(&shown, || details(&shown) + &plans + &sessions(&shown)).await?;
            return Ok(0);
        }
        Asked::Create(asked) if asked.credentials.is_empty() && asked.file.is_none() => {
            return Box::pin(step_by_step(services, actor, asked, screen, stdin)).await;
        }
        Asked::Create(Create { file: Some(file), .. }) => {
            if file != "-" {
                let why = format!("the gate does not read your files; write: request create -f - < {file}");
                return Err(Failure::Usage(why));
            }
            create(services, actor, file::read(stdin).await?).await?
        }
        Asked::Create(asked) => create(services, actor, asked).await?,
        Asked::Approve { ids, comment, start, duration, only } => {
            let start = start.map(|start| start.from(Timestamp::now()));
            let less = Narrowed { wish: Wish { start, duration }, only };
            requests::deal(services, actor, &ids, &Deed::Approve(comment, less)).await?
        }
        Asked::Reject { ids, comment } => {
            requests::deal(services, actor, &ids, &Deed::Reject(comment)).await?
        }
        Asked::Review { ids, comment } => {
            requests::deal(services, actor, &ids, &Deed::Review(comment)).await?
        }
        Asked::Cancel { ids } => requests::deal(services, actor, &ids, &Deed::Cancel).await?,
        Asked::Revoke { ids, comment } => {
            requests::deal(services, actor, &ids, &Deed::Revoke(comment)).await?
        }
        Asked::Extend(asked) => extend(services, actor, asked).await?,
    };
    screen.each(done, sentence).await
}

/// To what, and what else is asked for.
fn wanted(asked: Create) -> (Vec<CredentialName>, Wanted) {
    let Create { credentials, justification, reason, change, governance, emergency, .. } = asked;
    let wanted = Wanted {
        action: if asked.view_password { Action::ViewPassword } else { Action::Session },
        claims: Claims { justification, reason, change, governance, emergency },
        wish: Wish { start: asked.start.map(|start| start.from(Timestamp::now())), duration: asked.duration },
        limits: Limits {
            weekdays: asked.days,
            slots: asked.times,
            zone: asked.zone,
            sessions: asked.sessions,
        },
    };
    (credentials, wanted)
}

/// Who writes a request step by step.
struct Writer<'a> {
    services: &'a Services,
    actor: &'a Actor,
}

impl Checks<form::Wanted> for Writer<'_> {
    async fn against(&self, said: &form::Wanted, step: Step) -> Option<String> {
        let part = match step {
            Step::Credentials => RequestPart::Targets,
            Step::Justification => RequestPart::Justification,
            Step::Reason => RequestPart::Reason,
            Step::Governance => RequestPart::Governance,
            Step::Change => RequestPart::Change,
            Step::Start => RequestPart::Start,
            Step::Duration => RequestPart::Duration,
            Step::Days | Step::Times => RequestPart::Times,
            Step::Sessions => RequestPart::Sessions,
        };
        let (credentials, wanted) = wanted(said.said.clone());
        let looked = requests::look(self.services, self.actor, credentials, &wanted, part).await;
        looked.err().map(|failure| failure.to_string())
    }
}

async fn create(services: &Services, actor: &Actor, asked: Create) -> Result<Each<RequestView>, Failure> {
    let (credentials, wanted) = wanted(asked);
    Ok(requests::create(services, actor, credentials, &wanted).await?)
}

/// Asks for all of it on a terminal; makes it when it is reviewed.
async fn step_by_step(
    services: &Services,
    actor: &Actor,
    asked: Create,
    screen: &mut Screen<'_>,
    mut stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    if screen.columns.is_none() {
        let why =
            "name a credential, or use a terminal (ssh -t) or a text (-f -); --help tells how to write it";
        return Err(Failure::Usage(why.to_owned()));
    }
    let Choices { reachable, reasons } = requests::choices(services, actor).await?;
    let reachable = reachable.into_iter().map(|reach| (reach.credential, reach.asks)).collect();
    let mut form = Form::new(form::Wanted { reachable, reasons, said: asked });
    let writer = Writer { services, actor };
    screen.text(form::Wanted::WELCOME).await?;
    while form.ask(screen, &mut stdin, &writer).await? {
        let done = create(services, actor, form.said.said.clone()).await?;
        if !done.done.is_empty() || done.failed.is_empty() {
            return screen.each(done, sentence).await;
        }
        // What stands against it can be changed.
        for failure in &done.failed {
            screen.plain(&format!("tidegate: {failure}")).await?;
        }
        form.again();
    }
    screen.line("\nNothing was asked for.").await?;
    Ok(1)
}

async fn extend(services: &Services, actor: &Actor, asked: Extend) -> Result<Each<RequestView>, Failure> {
    let Extend { id, duration, justification, reason, governance } = asked;
    let more = duration.join(" ").parse().map_err(|error| Failure::Usage(format!("{error}")))?;
    let claims = Claims { justification: Some(justification), reason, governance, ..Claims::default() };
    Ok(requests::deal(services, actor, &[id], &Deed::Extend(more, claims)).await?)
}

async fn list(
    services: &Services,
    actor: &Actor,
    asked: RequestList,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let RequestList { pending, state, to_review, mine, to_approve, user, credential, .. } = asked;
    let state = if pending || to_approve { Some(StateWord::Pending) } else { state };
    let whose = match (mine, to_approve) {
        (true, _) => Whose::Mine,
        (_, true) => Whose::ToApprove,
        _ => Whose::Any,
    };
    let at = |since: Option<Since>| since.map(|since| since.from(Timestamp::now()));
    let (since, before, limit) = (at(asked.since), at(asked.before), asked.limit);
    let filter = Filter { state, to_review, user, target: credential, since, before, whose, limit };
    let everything = Filter { limit, ..Filter::default() };
    let narrowed = filter != everything;
    let Listed { requests, cut } = requests::list(services, actor, &filter).await?;
    let empty = match narrowed {
        true => "No request fits.",
        false => "No request concerns you; `request create` makes one.",
    };
    let csv = screen.csv;
    screen.list_or(&requests, || if csv { full_table(&requests) } else { table(&requests) }, empty).await?;
    if let Some(limit) = cut {
        let narrow = "--state, --user, --credential, --since and --before narrow the list";
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
            request.what(),
            ago(request.created, now),
            until,
            format!("{emergency}{}", maybe(why)),
        ]);
    }
    table
}

/// All that is known of each, for whoever counts and compares.
fn full_table(requests: &[RequestView]) -> Table {
    let mut table = Table::new([
        "ID",
        "STATE",
        "USER",
        "CREDENTIALS",
        "LEFT OUT",
        "ACTION",
        "ACCESS GROUP",
        "MADE",
        "FROM",
        "STARTS",
        "ENDS",
        "LIMITS",
        "SESSIONS",
        "EMERGENCY",
        "JUSTIFICATION",
        "REASON",
        "CHANGE",
        "GOVERNANCE CODE",
        "EXTENDS",
        "VOTES",
    ]);
    for request in requests {
        let joined = |names: Vec<String>| names.join(" ");
        let votes = request.votes.iter().map(|vote| format!("{} {}s", vote.by, vote.verdict));
        table.row([
            request.id.to_string(),
            request.state.to_string(),
            request.user.to_string(),
            joined(request.targets.iter().map(ToString::to_string).collect()),
            joined(request.left_out.iter().map(|left_out| left_out.target.to_string()).collect()),
            request.action.to_string(),
            request.group.to_string(),
            moment(request.created),
            maybe(request.origin),
            maybe(request.window.map(|window| moment(window.start)).or(request.start.map(moment))),
            maybe(request.window.map(|window| window.end).or(request.ended).map(moment)),
            request.limits.to_string(),
            request.used.to_string(),
            maybe(request.claims.emergency.as_ref()),
            maybe(request.claims.justification.as_ref()),
            maybe(request.claims.reason.as_ref()),
            maybe(request.claims.change.as_ref()),
            maybe(request.claims.governance.as_ref()),
            maybe(request.extends),
            votes.collect::<Vec<_>>().join("; "),
        ]);
    }
    table
}
