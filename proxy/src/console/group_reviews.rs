//! `group-review …`

use jiff::Timestamp;
use tidegate_common::name::AccessGroupName;
use tokio::io::AsyncRead;

use super::answers::says_yes;
use super::grammar::GroupReview;
use super::screen::Screen;
use super::show::{ago, maybe, moment};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::group_reviews::{self, GroupReviewView, Standing};

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: GroupReview,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    match asked {
        GroupReview::List { due } => {
            let mut all = group_reviews::list(services, actor).await?;
            all.retain(|view| !due || view.standing != Standing::Confirmed);
            let csv = screen.csv;
            let table = || if csv { full_table(&all) } else { table(&all) };
            screen.list_or(&all, table, "No review concerns you.").await?;
        }
        GroupReview::Show { group } => {
            let view = group_reviews::show(services, actor, &group).await?;
            screen.one_told(&view, || details(&view)).await?;
        }
        GroupReview::Confirm { group, yes } => {
            return confirm(services, actor, &group, yes, screen, stdin).await;
        }
    }
    Ok(0)
}

/// Confirms those users that were shown.
async fn confirm(
    services: &Services,
    actor: &Actor,
    group: &AccessGroupName,
    yes: bool,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    let shown = group_reviews::show(services, actor, group).await?;
    if screen.columns.is_some() && !screen.json && !yes {
        screen.plain(&details(&shown)).await?;
        screen.text("Shall they all stay? [y/N] ").await?;
        if !says_yes(screen, stdin).await? {
            screen.remark("Nothing was confirmed; an administrator takes out who is to leave.").await?;
            return Ok(1);
        }
    }
    let view = group_reviews::confirm(services, actor, group, &shown.seen).await?;
    let until = moment(view.due);
    screen
        .one_told(&view, || format!("the users of access group `{group}` are confirmed until {until}"))
        .await?;
    Ok(0)
}

fn joined<T: ToString>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Who confirmed it last, and in whose place.
fn by(view: &GroupReviewView) -> Option<String> {
    let place = view.stands_in_for.as_ref().map(|owner| format!(" for {owner}")).unwrap_or_default();
    view.confirmed_by.as_ref().map(|user| format!("{user}{place}"))
}

fn details(view: &GroupReviewView) -> String {
    let confirmed = match (view.confirmed, by(view)) {
        (Some(at), Some(by)) => format!("at {} by {by}", moment(at)),
        _ => "never".to_owned(),
    };
    let lines = [
        ("access group", view.group.to_string()),
        ("review", view.standing.word().to_owned()),
        ("to be confirmed", format!("from {} on", moment(view.due))),
        ("grants nothing", format!("from {} on, unless it is", moment(view.lapses))),
        ("confirmed", confirmed),
        ("owners", joined(&view.owners)),
        ("users", if view.users.is_empty() { "nobody".to_owned() } else { joined(&view.users) }),
    ];
    lines.map(|(what, said)| format!("{what:<16} {said}")).join("\n")
}

fn table(all: &[GroupReviewView]) -> Table {
    let now = Timestamp::now();
    let heading = ["ACCESS GROUP", "REVIEW", "DUE", "LAPSES", "CONFIRMED", "BY", "OWNERS", "USERS"];
    let mut table = Table::new(heading).keeping([0, 1, 2, 3]);
    for view in all {
        table.row([
            view.group.to_string(),
            view.standing.word().to_owned(),
            ago(view.due, now),
            ago(view.lapses, now),
            view.confirmed.map(|at| ago(at, now)).unwrap_or_default(),
            maybe(by(view).as_ref()),
            joined(&view.owners),
            view.users.len().to_string(),
        ]);
    }
    table
}

/// The same with whole moments.
fn full_table(all: &[GroupReviewView]) -> Table {
    let heading =
        ["ACCESS GROUP", "REVIEW", "DUE", "GRANTS NOTHING FROM", "CONFIRMED", "BY", "OWNERS", "USERS"];
    let mut table = Table::new(heading);
    for view in all {
        table.row([
            view.group.to_string(),
            view.standing.word().to_owned(),
            moment(view.due),
            moment(view.lapses),
            view.confirmed.map(moment).unwrap_or_default(),
            maybe(by(view).as_ref()),
            joined(&view.owners),
            view.users.len().to_string(),
        ]);
    }
    table
}
