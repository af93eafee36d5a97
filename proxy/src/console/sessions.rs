//! `session …`

mod evidence;
mod residue;
mod show;
mod transfers;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::audit::{Event, Verdict as Judged};
use tidegate_common::recording::Verdict;

use super::grammar::{Session, SessionList};
use super::screen::Screen;
use super::show::{ago, maybe, moment, sheet, span};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::record::{self, DumpFormat};
use crate::store::{SessionFilter, SessionRow};
use crate::witness;

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Session,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    match asked {
        Session::List(asked) => list(services, actor, asked, screen).await,
        Session::Show { id } => {
            let session = find(services, actor, &id).await?;
            show::show(services, &session, screen).await?;
            Ok(0)
        }
        Session::Play { id, speed, idle } => {
            actor.must_read_all()?;
            let session = find(services, actor, &id).await?;
            let played = Event::RecordingPlayed { session: session.id };
            services.audit.append(actor.by().did(played)).await?;
            let (path, key) = (services.recordings.path(session.id), services.recordings.public_key());
            let known = Some(evidence::known(services, &session).await?);
            let idle = Some(idle.approximate());
            let verdict = record::play(&path, &key, known, &mut screen.out, speed, idle).await?;
            screen.remark(&format!("\nthe recording is {}", told(&verdict))).await?;
            Ok(u8::from(judged(&verdict) == Judged::Altered))
        }
        Session::Export { id, asciicast } => {
            actor.must_read_all()?;
            let session = find(services, actor, &id).await?;
            let played = Event::RecordingPlayed { session: session.id };
            services.audit.append(actor.by().did(played)).await?;
            let (path, key) = (services.recordings.path(session.id), services.recordings.public_key());
            let format = if asciicast == 2 { DumpFormat::V2 } else { DumpFormat::V3 };
            let known = Some(evidence::known(services, &session).await?);
            let verdict = record::dump(&path, &key, known, &mut screen.out, format).await?;
            screen.remark(&format!("the recording is {}", told(&verdict))).await?;
            Ok(u8::from(judged(&verdict) == Judged::Altered))
        }
        Session::Commands { id, all } => {
            actor.must_read_all()?;
            let session = find(services, actor, &id).await?;
            super::commands::run(services, &session, all, screen).await
        }
        Session::Verify { id } => {
            actor.must_read_all()?;
            verify(services, actor, &id, screen).await
        }
        Session::Kill { id } => {
            actor.must_read_all()?;
            let session = find(services, actor, &id).await?;
            let order = Event::SessionKillOrdered { session: session.id };
            services.audit.append(actor.by().did(order)).await?;
            let who = actor.name().map_or_else(|| "an administrator".to_owned(), ToString::to_string);
            if !services.live.kill(session.id, &who) {
                return Err(Failure::Missing(format!("session {} does not live", session.id)));
            }
            let line = format!("session {} of {} to {} ends", session.id, session.user, session.target);
            screen.one(&Line::of(&session), || line).await?;
            Ok(0)
        }
    }
}

/// How long `verify` waits for a session to end and be sealed.
const SEALED: Duration = Duration::from_secs(3);

/// Judges a recording, what the kernel saw and the list of transfers; on the local console
/// also a recording that was kept elsewhere.
async fn verify(
    services: &Services,
    actor: &Actor,
    id: &str,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let key = services.recordings.public_key();
    let elsewhere = actor.name().is_none() && id.contains('/');
    let row = if elsewhere { None } else { Some(find(services, actor, id).await?) };
    let (path, what) = match &row {
        None => (PathBuf::from(id), format!("the recording {id}")),
        Some(row) => (services.recordings.path(row.id), format!("session {}", row.id)),
    };
    // Whoever was just in it has left before it is sealed.
    let lives = match &row {
        Some(row) => !services.live.gone(row.id, SEALED).await,
        None => false,
    };
    let known = match &row {
        Some(row) => Some(evidence::known(services, row).await?),
        None => evidence::of_copy(services, &path).await?,
    };
    let checked = record::verify(&path, &key, known).await?;
    let verdict = judged(&checked.verdict);
    let session = row.as_ref().map(|row| row.id).or(checked.header.map(|header| header.session));
    if let Some(session) = session {
        let event = Event::RecordingVerified { session, verdict };
        services.audit.append(actor.by().did(event)).await?;
    }
    let (commands, transfers) = match &row {
        Some(row) => {
            (super::commands::verify(services, row).await?, evidence::transfers(services, row).await?)
        }
        None => (None, None),
    };
    if let (Some(row), Some(witness::Checked { verdict, .. })) = (&row, &commands) {
        let event = Event::CommandsVerified { session: row.id, verdict: *verdict };
        services.audit.append(actor.by().did(event)).await?;
    }
    let told = match &checked.verdict {
        Verdict::Incomplete { chain, .. } if lives => {
            format!("incomplete: good up to frame {}, and not sealed yet: its session lives", chain.frames)
        }
        verdict => told(verdict),
    };
    let json = serde_json::json!({
        "session": session, "file": path, "verdict": verdict, "detail": told, "key": key.fingerprint(),
        "commands": commands, "transfers": transfers,
    });
    let lines = || {
        let commands = commands.as_ref().map(|of| format!("\nwhat the kernel saw in it is {}", of.told));
        let transfers = transfers.as_ref().map(|of| format!("\nthe list of its transfers is {}", of.told));
        format!("{what} is {told}{}{}", commands.unwrap_or_default(), transfers.unwrap_or_default())
    };
    screen.one(&json, lines).await?;
    // An agent that is away may keep the rest for days; that alone is no bad sign.
    let bad = verdict != Judged::Whole
        || transfers.as_ref().is_some_and(|transfers| transfers.verdict != Judged::Whole)
        || commands.as_ref().is_some_and(|commands| commands.verdict == Judged::Altered);
    Ok(u8::from(bad))
}

fn judged(verdict: &Verdict) -> Judged {
    match verdict {
        Verdict::Whole(_) => Judged::Whole,
        Verdict::Incomplete { .. } => Judged::Incomplete,
        Verdict::Altered { .. } => Judged::Altered,
    }
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Whole(chain) => {
            format!("whole: {} frames, {} bytes of text, signed", chain.frames, chain.bytes)
        }
        Verdict::Incomplete { chain, .. } => {
            format!("incomplete: good up to frame {}, then it was cut off", chain.frames)
        }
        Verdict::Altered { what, chain } => format!("altered after frame {}: {what}", chain.frames),
    }
}

/// The session of that id, or whose id starts so. One that is not theirs is not there.
async fn find(services: &Services, actor: &Actor, id: &str) -> Result<SessionRow, Failure> {
    let shown: String = id.chars().take(40).flat_map(char::escape_default).collect();
    let id = id.to_ascii_lowercase();
    let fits = id.len() >= 4 && id.len() <= 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let missing = || Failure::Missing(format!("there is no session `{shown}`; `session list` shows them"));
    if !fits {
        return Err(missing());
    }
    let mut found = services.store.sessions_like(&id).await?;
    found.iter_mut().for_each(|session| settle(services, session));
    found.retain(|session| actor.reads_all() || actor.name() == Some(&session.user));
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(missing()),
        (Some(one), true) => Ok(one),
        (Some(_), false) => {
            Err(Failure::Missing(format!("several sessions start with `{shown}`; write more of it")))
        }
    }
}

async fn list(
    services: &Services,
    actor: &Actor,
    asked: SessionList,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let SessionList { live, user, credential: target, limit } = asked;
    let own = actor.name().filter(|_| !actor.reads_all()).cloned();
    if let (Some(own), Some(other)) = (&own, &user)
        && own != other
    {
        actor.must_read_all()?;
    }
    let filter = SessionFilter { user: own.or(user), target, live, limit };
    let mut sessions = services.store.sessions(&filter).await?;
    sessions.iter_mut().for_each(|session| settle(services, session));
    sessions.retain(|session| !live || session.lives());
    let lines: Vec<_> = sessions.iter().map(Line::of).collect();
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
    let empty = if live { "No session lives now." } else { "There was no session yet." };
    screen.list_or(&lines, table, empty).await?;
    Ok(0)
}

/// A session whose end the store could not take yet is over all the same.
fn settle(services: &Services, session: &mut SessionRow) {
    if session.lives() && !services.live.lives(session.id) {
        session.outcome = Some("over; how and when could not be stored yet".to_owned());
    }
}

fn urgent(session: &SessionRow) -> &'static str {
    if session.emergency { ", EMERGENCY" } else { "" }
}

fn took(session: &SessionRow) -> String {
    if !session.lives() && session.ended.is_none() {
        return String::new();
    }
    let end = session.ended.unwrap_or_else(Timestamp::now);
    span(end.as_second().saturating_sub(session.started.as_second()).max(0))
}

/// A session for machines.
#[derive(Serialize)]
struct Line {
    id: String,
    user: String,
    target: String,
    group: String,
    request: Option<u64>,
    emergency: bool,
    origin: std::net::IpAddr,
    started: Timestamp,
    ended: Option<Timestamp>,
    outcome: Option<String>,
    live: bool,
}

impl Line {
    fn of(session: &SessionRow) -> Self {
        Self {
            id: session.id.to_string(),
            user: session.user.to_string(),
            target: session.target.to_string(),
            group: session.group.to_string(),
            request: session.request.map(|id| id.0),
            emergency: session.emergency,
            origin: session.origin,
            started: session.started,
            ended: session.ended,
            outcome: session.outcome.clone(),
            live: session.lives(),
        }
    }
}

fn details(session: &SessionRow) -> String {
    sheet([
        ("session", session.id.to_string()),
        ("user", session.user.to_string()),
        ("credential", session.target.to_string()),
        ("access group", session.group.to_string()),
        ("request", maybe(session.request)),
        ("emergency", if session.emergency { "yes".to_owned() } else { String::new() }),
        ("from", session.origin.to_string()),
        ("started", moment(session.started)),
        ("ended", if session.lives() { "it lives".to_owned() } else { maybe(session.ended.map(moment)) }),
        ("took", took(session)),
        ("end", maybe(session.outcome.as_ref())),
    ])
}
