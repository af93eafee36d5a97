//! `panic …`

use tidegate_common::model::PanicScope;
use tokio::io::AsyncRead;

use super::answers::says_yes;
use super::grammar::Panic;
use super::screen::Screen;
use super::show::moment;
use super::table::Table;
use super::{ADMIN, Actor, Failure, Services};
use crate::service::panics;

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Panic,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    match asked {
        Panic::Begin(begin) => {
            let confirmed = begin.is_confirmed();
            let (scope, justification) = begin.scope();
            if !confirmed && panics::is_own(actor, &scope) && !means_own(&scope, screen, stdin).await? {
                screen.remark("Nothing was stopped.").await?;
                return Ok(1);
            }
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

/// Whether an administrator who names their own user means it.
async fn means_own(
    scope: &PanicScope,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<bool, Failure> {
    let PanicScope::User(name) = scope else { return Ok(true) };
    let lifts = format!(
        "until another administrator lifts it, or `{ADMIN} panic lift user {name}` on the gate's host"
    );
    if screen.columns.is_none() || screen.json {
        let why = format!("that is your own user, who stays out {lifts}; to stop it all the same, say --yes");
        return Err(Failure::Usage(why));
    }
    let question = format!("That is your own user: you are cut off and stay out {lifts}. Stop it? [y/N] ");
    screen.text(&question).await?;
    says_yes(screen, stdin).await
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
