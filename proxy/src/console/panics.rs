//! `panic …`

use super::grammar::Panic;
use super::screen::Screen;
use super::show::moment;
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::panics;

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Panic,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    match asked {
        Panic::Begin(begin) => {
            let (scope, justification) = begin.scope();
            let panic = panics::begin(services, actor, scope, justification).await?;
            let line = || format!("{} is stopped; `panic lift` lets it begin again", panic.scope);
            screen.one(&panic, line).await?;
        }
        Panic::Lift(lift) => {
            let scope = lift.scope();
            panics::lift(services, actor, &scope).await?;
            screen
                .one(&serde_json::json!({ "lifted": scope }), || format!("{scope} may begin again"))
                .await?;
        }
        Panic::List => list(services, actor, screen).await?,
    }
    Ok(0)
}

async fn list(services: &Services, actor: &Actor, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let stands = panics::list(services, actor).await?;
    let table = || {
        let mut table = Table::new(["STOPPED", "SINCE", "BY", "WHY"]).keeping([0]);
        for panic in &stands {
            let since = moment(panic.since);
            table.row([panic.scope.to_string(), since, panic.by.clone(), panic.justification.to_string()]);
        }
        table
    };
    screen.list_or(&stands, table, "Nothing is stopped.").await
}
