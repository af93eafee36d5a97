//! `access …`

use jiff::Timestamp;
use tidegate_common::model::Action;
use tidegate_common::policy::{GroupVerdict, MatrixFilter, MatrixRow, Miss, Step};

use super::grammar::{Access, AccessMatrix};
use super::screen::Screen;
use super::show::{moment, until};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::access::{self, Explained, Explanation, Reachable};

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Access,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    match asked {
        Access::List { user } => {
            if user.is_none() && actor.name().is_none() {
                return Err(Failure::Usage("say whose: access list --user NAME".to_owned()));
            }
            let reaches = access::list(services, actor, user.as_ref()).await?;
            let empty = "Nothing can be reached now; administrators add users to access groups.";
            screen.list_or(&reaches, || reach_table(&reaches), empty).await?;
            Ok(0)
        }
        Access::Matrix(AccessMatrix { user, device, group }) => {
            let rows = access::matrix(services, actor, MatrixFilter { user, device, group }).await?;
            let empty = "No access group gives anybody anything of it.";
            let csv = screen.csv;
            let table = || if csv { full_matrix_table(&rows) } else { matrix_table(&rows) };
            screen.list_or(&rows, table, empty).await?;
            Ok(0)
        }
        Access::Explain { user, credential, view_password, at, from } => {
            let action = if view_password { Action::ViewPassword } else { Action::Session };
            let at = at.map(|at| at.from(Timestamp::now()));
            let explained = access::explain(services, actor, user, credential, action, at, from).await?;
            explain(&explained, screen).await
        }
    }
}

async fn explain(explained: &Explained, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    if screen.json {
        screen.one(explained, String::new).await?;
        return Ok(0);
    }
    let Explained { credential, place, decision, at, steps, groups, user } = explained;
    if let Some(place) = place {
        screen.plain(place).await?;
    }
    screen.line(&format!("{user} to {credential} at {}: {decision}", moment(*at))).await?;
    for (number, Step { holds, said }) in steps.iter().enumerate() {
        let mark = if *holds { "yes" } else { "NO " };
        screen.line(&format!("  {}. {mark} {said}", number + 1)).await?;
    }
    // Groups that do not list the user are many and say nothing new.
    let (strangers, own): (Vec<_>, Vec<_>) =
        groups.iter().partition(|one| one.verdict == GroupVerdict::Misses(Miss::NotListed));
    let mut table = Table::new(["ACCESS GROUP", "VERDICT"]);
    for Explanation { group, verdict } in own {
        table.row([group.to_string(), verdict.to_string()]);
    }
    if !table.is_empty() {
        screen.line(&table.render(screen.columns)).await?;
    }
    if !strangers.is_empty() {
        screen.line(&format!("{} more do not list {user}", strangers.len())).await?;
    }
    Ok(0)
}

/// Who reaches what, and how.
fn matrix_table(rows: &[MatrixRow]) -> Table {
    let heading = ["USER", "CREDENTIAL", "ACTION", "ASKS FOR", "OPEN", "ACCESS GROUP"];
    let mut table = Table::new(heading).keeping([0, 1]);
    for MatrixRow { user, credential, action, gives } in rows {
        table.row([
            user.to_string(),
            credential.to_string(),
            action.to_string(),
            gives.asks.clone(),
            gives.open.clone(),
            gives.group.to_string(),
        ]);
    }
    table
}

/// The same with what may be forwarded and what is granted.
fn full_matrix_table(rows: &[MatrixRow]) -> Table {
    let heading = ["USER", "CREDENTIAL", "ACTION", "ASKS FOR", "OPEN", "FORWARDS", "GRANTS", "ACCESS GROUP"];
    let mut table = Table::new(heading);
    for MatrixRow { user, credential, action, gives } in rows {
        table.row([
            user.to_string(),
            credential.to_string(),
            action.to_string(),
            gives.asks.clone(),
            gives.open.clone(),
            gives.forwards.clone(),
            gives.privileges.clone(),
            gives.group.to_string(),
        ]);
    }
    table
}

/// Until when it is open.
pub(super) fn open(reach: &Reachable) -> String {
    reach.closes.map_or_else(|| "always".to_owned(), |closes| until(closes, Timestamp::now()))
}

/// Its name, what it asks for, what it grants.
pub(super) fn cells(reach: &Reachable) -> [String; 3] {
    [reach.credential.to_string(), reach.asks.clone(), reach.privileges.clone()]
}

/// What may be reached, for people.
pub(super) fn reach_table(reachable: &[Reachable]) -> Table {
    let mut table = Table::new(["CREDENTIAL", "ASKS FOR", "OPEN", "GRANTS", "ACCESS GROUP"]).keeping([0, 2]);
    for reach in reachable {
        let [credential, asks, grants] = cells(reach);
        table.row([credential, asks, open(reach), grants, reach.group.to_string()]);
    }
    table
}
