//! `remote-access …`

mod show;

use jiff::Timestamp;
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{Claims, Limited, RemoteAccessWord, Scope};
use tidegate_common::name::{UserGroupName, UserName};
use tidegate_common::notice::Channel;
use tidegate_common::time::Limitation;
use tokio::io::AsyncRead;

use super::answers::{says_yes, typed};
use super::grammar::{Decide, RemoteAccess as Asked, RemoteAccessList, Wanted};
use super::screen::Screen;
use super::show::{ago, maybe, moment};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::outside::NewRemoteAccess;
use crate::service::Each;
use crate::service::remote_accesses::{self, Deed, Filter, Listed, RemoteAccessView, Which};
use show::{details, sentence};

/// The longest line of a key.
const LONGEST_KEY: u64 = 16 * 1024;

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Asked,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    let (which, deed) = match asked {
        Asked::Request { group, user, wanted } => {
            return request(services, actor, group, Some(user), wanted, screen, stdin).await;
        }
        Asked::Batch { group, wanted } => {
            return request(services, actor, group, None, wanted, screen, stdin).await;
        }
        Asked::List(asked) => return list(services, actor, asked, screen).await,
        Asked::Show { id } => {
            let shown = remote_accesses::show(services, actor, id).await?;
            screen.one_told(&shown, || details(&shown)).await?;
            return Ok(0);
        }
        Asked::Forward { id, by, yes } => {
            return forward(services, actor, (id, by, yes), screen, stdin).await;
        }
        Asked::RevokeCode { id } => {
            let access = remote_accesses::revoke_code(services, actor, id).await?;
            let said = format!("no code leads to remote access {id} any more");
            screen.one_told(&access, || said).await?;
            return Ok(0);
        }
        Asked::Enrol { key } => {
            let line = if key == "-" { typed(stdin, LONGEST_KEY).await? } else { key };
            let key = line.trim().parse().map_err(|error| Failure::Usage(format!("{error}")))?;
            let access = remote_accesses::enrol(services, actor, &key).await?;
            let until = moment(access.window.end);
            screen.one_told(&access, || format!("that key logs you in until {until}")).await?;
            return Ok(0);
        }
        Asked::Approve(asked) => (which(&asked), Deed::Approve(asked.comment)),
        Asked::Reject(asked) => (which(&asked), Deed::Reject(asked.comment)),
        Asked::Cancel(asked) => (which(&asked), Deed::Cancel(asked.comment)),
    };
    let done = remote_accesses::deal(services, actor, &which, &deed).await?;
    screen.each(done, sentence).await
}

/// What is decided on.
fn which(asked: &Decide) -> Which {
    match asked.batch {
        Some(batch) => Which::Batch(batch),
        None => Which::Ids(asked.ids.clone()),
    }
}

async fn request(
    services: &Services,
    actor: &Actor,
    group: UserGroupName,
    user: Option<UserName>,
    wanted: Wanted,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    let asks = screen.columns.is_some() && !screen.json && !wanted.yes;
    let new = of(group, user, wanted);
    if asks && !confirmed(services, actor, &new, screen, stdin).await? {
        screen.remark("Nothing was saved.").await?;
        return Ok(1);
    }
    let Each { done: made, failed } = remote_accesses::create(services, actor, &new).await?;
    let [first, others @ ..] = made.as_slice() else { return Ok(0) };
    if screen.json {
        screen.list(&made, || Table::new([])).await?;
    } else {
        screen.plain(&sentence(first)).await?;
        if new.user.is_none() {
            let more = others.len().saturating_add(1);
            let all = format!(
                "{more} remote accesses are saved; `remote-access list --batch {}` shows them",
                first.id
            );
            screen.plain(&all).await?;
        }
    }
    for left_out in &failed {
        screen.complain(&left_out.to_string()).await?;
    }
    Ok(u8::from(!failed.is_empty()))
}

fn of(group: UserGroupName, user: Option<UserName>, wanted: Wanted) -> NewRemoteAccess {
    let Wanted {
        justification,
        reason,
        governance,
        start,
        duration,
        devices,
        credentials,
        weekdays,
        times,
        zone,
        sessions,
        ..
    } = wanted;
    let scope = match devices.is_empty() && credentials.is_empty() {
        true => Scope::Full,
        false => {
            let slots = times.into_iter().map(|times| times.0).collect();
            let times =
                Limitation { zone: zone.unwrap_or_default(), weekdays, slots, ..Limitation::default() };
            Scope::Limited(Limited { devices, credentials, times, sessions })
        }
    };
    NewRemoteAccess {
        group,
        user,
        scope,
        claims: Claims { justification, reason, governance, ..Claims::default() },
        start: start.map(|start| start.from(Timestamp::now())),
        duration,
    }
}

/// Shows what would be saved, and asks.
async fn confirmed(
    services: &Services,
    actor: &Actor,
    new: &NewRemoteAccess,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<bool, Failure> {
    let Each { done: made, failed } = remote_accesses::preview(services, actor, new).await?;
    let Some(first) = made.first() else { return Ok(false) };
    let (lines, count) = (show::summary(first), made.len());
    let whom = match &new.user {
        Some(user) => user.to_string(),
        None => format!("{count} users of {}", new.group),
    };
    screen.plain(&format!("For {whom}:\n{lines}")).await?;
    for left_out in &failed {
        screen.plain(&format!("Left out: {left_out}.")).await?;
    }
    screen.text("Save it? [y/N] ").await?;
    says_yes(screen, stdin).await
}

/// Sends a code, and says where to.
async fn forward(
    services: &Services,
    actor: &Actor,
    (id, by, yes): (RemoteAccessId, Channel, bool),
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    if screen.columns.is_some() && !screen.json && !yes {
        let access = remote_accesses::show(services, actor, id).await?;
        screen.text(&format!("Send {} a code for remote access {id} by {by}? [y/N] ", access.user)).await?;
        if !says_yes(screen, stdin).await? {
            screen.remark("Nothing was sent.").await?;
            return Ok(1);
        }
    }
    let sent = remote_accesses::forward(services, actor, id, by).await?;
    let until = moment(sent.expires);
    let said = format!("{} is sent a code by {by}; it is good once, until {until}", sent.access.user);
    screen.one_told(&sent, || said).await?;
    Ok(0)
}

async fn list(
    services: &Services,
    actor: &Actor,
    asked: RemoteAccessList,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let RemoteAccessList { state, user, group, batch, since, limit } = asked;
    let since = since.map(|since| since.from(Timestamp::now()));
    let filter = Filter { state, user, group, batch, since, limit };
    let Listed { accesses, cut } = remote_accesses::list(services, actor, &filter).await?;
    let csv = screen.csv;
    let table = || if csv { full_table(&accesses) } else { table(&accesses) };
    screen.list_or(&accesses, table, "No remote access fits.").await?;
    if let Some(limit) = cut {
        let narrow = "--state, --user, --group, --batch and --since narrow the list";
        screen.remark(&format!("There are more; these are of the newest {limit}. {narrow}.")).await?;
    }
    Ok(0)
}

/// How many more sessions it admits, while it may admit any.
fn left(access: &RemoteAccessView) -> String {
    use RemoteAccessWord::{Active, Pending, Upcoming};
    match (access.state, access.left) {
        (Active | Upcoming | Pending, None) => "any".to_owned(),
        (Active | Upcoming | Pending, Some(left)) => left.to_string(),
        _ => String::new(),
    }
}

fn reach(access: &RemoteAccessView) -> String {
    if access.limited.is_some() { "limited" } else { "full" }.to_owned()
}

fn table(accesses: &[RemoteAccessView]) -> Table {
    let now = Timestamp::now();
    let heading = ["ID", "STATE", "USER", "USER GROUP", "ACCESS", "FROM", "UNTIL", "LEFT", "JUSTIFICATION"];
    let mut table = Table::new(heading).keeping([0, 1, 4, 5, 6, 7, 2, 3]);
    for access in accesses {
        table.row([
            access.id.to_string(),
            access.state.to_string(),
            access.user.to_string(),
            access.group.to_string(),
            reach(access),
            ago(access.window.start, now),
            ago(access.window.end, now),
            left(access),
            maybe(access.claims.justification.as_ref()),
        ]);
    }
    table
}

/// The same with whole moments, and who requested each.
fn full_table(accesses: &[RemoteAccessView]) -> Table {
    let heading = [
        "ID",
        "STATE",
        "USER",
        "USER GROUP",
        "ACCESS",
        "FROM",
        "UNTIL",
        "SESSIONS LEFT",
        "BY",
        "JUSTIFICATION",
    ];
    let mut table = Table::new(heading);
    for access in accesses {
        table.row([
            access.id.to_string(),
            access.state.to_string(),
            access.user.to_string(),
            access.group.to_string(),
            reach(access),
            moment(access.window.start),
            moment(access.window.end),
            left(access),
            access.by.clone(),
            maybe(access.claims.justification.as_ref()),
        ]);
    }
    table
}
