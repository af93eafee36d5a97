//! `session …`

mod show;
mod transfers;

use jiff::Timestamp;
use tokio::io::AsyncRead;

use super::grammar::{Session, SessionList};
use super::screen::Screen;
use super::show::{ago, span};
use super::table::Table;
use super::{Actor, Failure, Services, commands, watch};
use crate::service::live;
use crate::service::recordings::{self, Asciicast, Speed, Verified};
use crate::service::sessions::{self, Filter, SessionView};

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Session,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    match asked {
        Session::List(asked) => list(services, actor, asked, screen).await,
        Session::Show { id } => {
            show::show(&sessions::show(services, actor, &id).await?, screen).await?;
            Ok(0)
        }
        Session::Play { id, speed, idle } => {
            let speed = Speed { times: speed, longest_pause: idle };
            let shown = recordings::play(services, actor, &id, speed, &mut screen.out).await?;
            screen.remark(&format!("\nthe recording is {}", shown.detail)).await?;
            Ok(u8::from(shown.is_altered()))
        }
        Session::Export { id, asciicast } => {
            let version = if asciicast == 2 { Asciicast::V2 } else { Asciicast::V3 };
            let shown = recordings::export(services, actor, &id, version, &mut screen.out).await?;
            screen.remark(&format!("the recording is {}", shown.detail)).await?;
            Ok(u8::from(shown.is_altered()))
        }
        Session::Commands { id, all } => commands::run(services, actor, &id, all, screen).await,
        Session::Verify { id } => {
            let verified = recordings::verify(services, actor, &id).await?;
            screen.one(&verified, || told(&verified, &id)).await?;
            Ok(u8::from(verified.is_bad()))
        }
        // Boxed: no other command shall be as large.
        Session::Watch { id } => Box::pin(watch::run(services, actor, &id, screen, stdin)).await,
        Session::Lock { id } => {
            let session = live::lock(services, actor, &id).await?;
            done(&session, "is locked: what is typed is held back", screen).await
        }
        Session::Unlock { id } => {
            let session = live::unlock(services, actor, &id).await?;
            done(&session, "is unlocked", screen).await
        }
        Session::End { id } => {
            let session = live::end(services, actor, &id).await?;
            done(&session, "ends", screen).await
        }
    }
}

/// What was done with a session.
async fn done(session: &SessionView, what: &str, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let line = format!("session {} of {} to {} {what}", session.id, session.user, session.target);
    screen.one(session, || line).await?;
    Ok(0)
}

fn told(verified: &Verified, id: &str) -> String {
    let what = match (verified.elsewhere, verified.session) {
        (false, Some(session)) => format!("session {session}"),
        _ => format!("the recording {id}"),
    };
    let commands = verified.commands.as_ref().map(|of| format!("\nwhat the kernel saw in it is {}", of.told));
    let transfers =
        verified.transfers.as_ref().map(|of| format!("\nthe list of its transfers is {}", of.told));
    let (commands, transfers) = (commands.unwrap_or_default(), transfers.unwrap_or_default());
    // Also a whole file may say that nobody saw what ran.
    let gaps = show::gaps(&verified.unseen);
    format!("{what} is {}{commands}{transfers}{gaps}", verified.detail)
}

async fn list(
    services: &Services,
    actor: &Actor,
    asked: SessionList,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let SessionList { live, user, credential: target, limit } = asked;
    let narrowed = user.is_some() || target.is_some();
    let sessions = sessions::list(services, actor, Filter { live, user, target, limit }).await?;
    let now = Timestamp::now();
    let table = || {
        let mut table = Table::new(["ID", "USER", "CREDENTIAL", "FROM", "STARTED", "TOOK", "END"]);
        for session in &sessions {
            table.row([
                session.id.to_string(),
                session.user.to_string(),
                session.target.to_string(),
                session.origin.to_string(),
                ago(session.started, now),
                took(session),
                format!("{}{}", session.outcome.as_deref().unwrap_or("live"), urgent(session)),
            ]);
        }
        table
    };
    let empty = match (narrowed, live) {
        (true, _) => "No session matches.",
        (false, true) => "No session lives now.",
        (false, false) => "There was no session yet.",
    };
    screen.list_or(&sessions, table, empty).await?;
    Ok(0)
}

fn urgent(session: &SessionView) -> &'static str {
    if session.emergency { ", EMERGENCY" } else { "" }
}

fn took(session: &SessionView) -> String {
    if !session.live && session.ended.is_none() {
        return String::new();
    }
    let end = session.ended.unwrap_or_else(Timestamp::now);
    span(end.as_second().saturating_sub(session.started.as_second()).max(0))
}
