//! `change …`

mod form;
mod show;

use jiff::Timestamp;
use tidegate_common::change::{Change, Draft, DraftPart, Expected};
use tokio::io::AsyncRead;

use super::form::{Asks as _, Checks, Form};
use super::grammar::{Change as Asked, CreateChange, Ids};
use super::screen::Screen;
use super::show::{ago, moment};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::Each;
use crate::service::changes::{self, Filter, Listed, Writing, Written};
use form::Step;
use show::{details, report, sentence};

pub(super) use show::compared;

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Asked,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    let done = match asked {
        Asked::Create(asked) if asked.id.is_none() && asked.file.is_none() => {
            return Box::pin(step_by_step(services, actor, *asked, screen, stdin)).await;
        }
        Asked::Create(asked) => {
            let made = create(services, actor, *asked, stdin).await?;
            Each { done: vec![made], failed: Vec::new() }
        }
        Asked::List { state, group, limit } => {
            return list(services, actor, Filter { state, group, limit }, screen).await;
        }
        Asked::Show { id } => {
            let change = changes::show(services, actor, &id).await?;
            screen.one_told(&change, || details(&change)).await?;
            return Ok(0);
        }
        Asked::Report { id } => {
            let shown = changes::report(services, actor, &id).await?;
            let columns = screen.columns;
            screen.one_told(&shown, || report(&shown, columns)).await?;
            return Ok(0);
        }
        Asked::Approve(Ids { ids, comment }) => {
            changes::approve(services, actor, &ids, comment.as_ref()).await?
        }
        Asked::Reject(Ids { ids, comment }) => {
            changes::reject(services, actor, &ids, comment.as_ref()).await?
        }
        Asked::Cancel(Ids { ids, comment }) => {
            changes::cancel(services, actor, &ids, comment.as_ref()).await?
        }
        Asked::Close(Ids { ids, comment }) => changes::close(services, actor, &ids, comment.as_ref()).await?,
    };
    screen.each(done, sentence).await
}

/// Asks for all of it on a terminal; makes it when it is reviewed.
async fn step_by_step(
    services: &Services,
    actor: &Actor,
    asked: CreateChange,
    screen: &mut Screen<'_>,
    mut stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    if screen.columns.is_none() {
        let why = "give an id with --title, --due, --group, --device and --responsible, or use a terminal (ssh -t) \
                   or a text (-f -)";
        return Err(Failure::Usage(why.to_owned()));
    }
    let writing = changes::writing(services, actor)?;
    let mut form = Form::new(asked);
    screen.text(CreateChange::WELCOME).await?;
    while form.ask(screen, &mut stdin, &writing).await? {
        match create(services, actor, form.said.clone(), tokio::io::empty()).await {
            Ok(made) => return screen.each(Each { done: vec![made], failed: Vec::new() }, sentence).await,
            // What stands against it can be changed.
            Err(failure) => screen.plain(&format!("tidegate: {failure}")).await?,
        }
        form.again();
    }
    screen.line("\nNothing was planned.").await?;
    Ok(1)
}

impl Checks<CreateChange> for Writing<'_> {
    async fn against(&self, said: &CreateChange, step: Step) -> Option<String> {
        let now = Timestamp::now();
        let part = match step {
            Step::Id => {
                let Some(id) = &said.id else { return None };
                return self.id(id).await.err().map(|failure| failure.to_string());
            }
            Step::Group => DraftPart::Group(said.group.as_ref()?),
            Step::Devices => DraftPart::Devices(&said.device),
            // A due that was said ahead is looked at where it can be changed.
            Step::Start => {
                DraftPart::Window { start: said.start.map_or(now, |start| start.from(now)), due: None }
            }
            Step::Due => {
                let start = said.start.map_or(now, |start| start.from(now));
                DraftPart::Window { start, due: said.due.map(|due| due.from(now)) }
            }
            Step::Expected | Step::Allowed => DraftPart::Commands(said.expect.len() + said.allow.len()),
            Step::Responsible => DraftPart::Responsible(&said.responsible),
            Step::Title | Step::Description | Step::Ordered | Step::Interrupt => return None,
        };
        self.part(part).err().map(|failure| failure.to_string())
    }
}

async fn create(
    services: &Services,
    actor: &Actor,
    asked: CreateChange,
    mut stdin: impl AsyncRead + Unpin + Send,
) -> Result<Change, Failure> {
    match &asked.file {
        Some(file) if file != "-" => {
            let why = format!("the gate does not read your files; write: change create -f - < {file}");
            return Err(Failure::Usage(why));
        }
        Some(_) => {
            let written = Written::Text { source: &mut stdin, called: asked.called };
            return Ok(changes::create(services, actor, written).await?);
        }
        None => {}
    }
    let now = Timestamp::now();
    let CreateChange {
        title,
        description,
        start,
        device,
        expect,
        allow,
        ordered,
        responsible,
        interrupt,
        ..
    } = asked;
    // The grammar has them together.
    let (Some(id), Some(title), Some(due), Some(group)) = (asked.id, title, asked.due, asked.group) else {
        return Err(Failure::Usage("give an id with --title, --due and --group, or -f -".to_owned()));
    };
    let expected = |optional| move |command| Expected { command, optional };
    let commands = expect.into_iter().map(expected(false)).chain(allow.into_iter().map(expected(true)));
    let draft = Draft {
        id,
        title,
        description,
        start: start.map_or(now, |start| start.from(now)),
        due: due.from(now),
        group,
        devices: device,
        commands: commands.collect(),
        ordered,
        responsible,
        interrupt,
    };
    Ok(changes::create(services, actor, Written::Draft(Box::new(draft))).await?)
}

async fn list(
    services: &Services,
    actor: &Actor,
    asked: Filter,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let narrowed = asked.state.is_some() || asked.group.is_some();
    let Listed { changes, cut } = changes::list(services, actor, asked).await?;
    let empty = match narrowed {
        true => "No change fits.",
        false => "No change concerns you; `change create` makes one.",
    };
    let csv = screen.csv;
    screen.list_or(&changes, || if csv { full_table(&changes) } else { table(&changes) }, empty).await?;
    if let Some(limit) = cut {
        let more =
            format!("There are more; these are of the newest {limit}. --state and --group narrow the list.");
        screen.remark(&more).await?;
    }
    Ok(0)
}

fn devices(change: &Change) -> String {
    change.devices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn table(changes: &[Change]) -> Table {
    let now = Timestamp::now();
    let heading = ["ID", "STATE", "ACCESS GROUP", "DEVICES", "START", "DUE", "TITLE"];
    let mut table = Table::new(heading).keeping([0, 1, 4, 5, 2]);
    for change in changes {
        table.row([
            change.id.to_string(),
            change.state_word().to_string(),
            change.group.to_string(),
            devices(change),
            ago(change.start, now),
            ago(change.due, now),
            change.title.to_string(),
        ]);
    }
    table
}

/// The same with whole moments and authors.
fn full_table(changes: &[Change]) -> Table {
    let mut table = Table::new(["ID", "STATE", "ACCESS GROUP", "DEVICES", "START", "DUE", "AUTHOR", "TITLE"]);
    for change in changes {
        table.row([
            change.id.to_string(),
            change.state_word().to_string(),
            change.group.to_string(),
            devices(change),
            moment(change.start),
            moment(change.due),
            change.author.to_string(),
            change.title.to_string(),
        ]);
    }
    table
}
