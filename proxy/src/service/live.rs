//! Sessions while they live: watched, their keyboards locked, ended; by monitors.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::audit::{EndCause, Event, Record};
use tidegate_common::id::SessionId;
use tidegate_common::recording::ScriptLine;
use tidegate_screen::{Screen, Size};

use super::operation::{Operation, while_may};
use super::sessions::{Gates, SessionView, find};
use super::{Actor, Failure, Services};
use crate::access::By;
use crate::audit_log::AuditLog;
use crate::recordings::Reached;
use crate::session::{End, Facts, Keyboard, LiveSession};
use crate::store::{SessionRow, Store};

/// How long a watcher waits until how the session ended is known.
const ENDED: Duration = Duration::from_secs(3);
/// Times that somebody watched which are told of one session; the audit log has all.
const MOST_TIMES: u64 = 200;

/// How a session that lives stands.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// Since when it lives.
    pub since: Timestamp,
    /// Open channels, forwards included.
    pub channels: usize,
    /// Bytes from the user's side so far; those of a forward once it is over.
    pub bytes_in: u64,
    /// Bytes to it.
    pub bytes_out: u64,
    /// Who locked its keyboard, while it is locked.
    pub locked_by: Option<String>,
}

impl Standing {
    pub(super) fn of(services: &Services, session: SessionId) -> Option<Self> {
        let Facts { since, channels, bytes_in, bytes_out, oversight } = services.live.get(session)?.facts();
        let locked_by = match oversight.keyboard {
            Keyboard::Free => None,
            Keyboard::Locked(by) => Some(by.to_string()),
        };
        Some(Self { since, channels, bytes_in, bytes_out, locked_by })
    }
}

/// One time that somebody watched a session.
#[derive(Debug, Clone, Serialize)]
pub struct Watched {
    /// Who.
    pub by: String,
    /// From when.
    pub from: Timestamp,
    /// Until when; none while they do, or where the gate was ended by force.
    pub until: Option<Timestamp>,
}

impl Watched {
    /// Who watched a session, the first first.
    pub(super) async fn of(services: &Services, session: SessionId) -> Result<Vec<Self>, Failure> {
        let mut times: Vec<Self> = Vec::new();
        for kind in ["session-watched", "session-watch-ended"] {
            for row in services.store.audit_of_type(session, kind, MOST_TIMES).await? {
                // One that does not read is told of by `audit verify`.
                let Ok(Record { at, actor, event, .. }) = serde_json::from_str(&row.body) else { continue };
                let by = actor.to_string();
                if matches!(event, Event::SessionWatched { .. }) {
                    times.push(Self { by, from: at, until: None });
                } else {
                    let open = |time: &&mut Self| time.by == by && time.until.is_none() && time.from <= at;
                    if let Some(time) = times.iter_mut().find(open) {
                        time.until = Some(at);
                    }
                }
            }
        }
        Ok(times)
    }
}

/// What shows a session to who watches it.
pub trait Viewer: Send {
    /// It is about to be shown.
    ///
    /// # Errors
    /// When it can't be.
    fn begin(&mut self, session: &SessionView) -> impl Future<Output = std::io::Result<()>> + Send;

    /// Shows the screen as it is now. What comes meanwhile is in the next one: whoever takes their
    /// time sees the newest then.
    ///
    /// # Errors
    /// When it can't be shown any more.
    fn show(&mut self, screen: &mut Screen) -> impl Future<Output = std::io::Result<()>> + Send;

    /// Waits until it wants to show the screen again that it has, for another size of its own for
    /// example. Cancel safe.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// Shows a session that lives, until it is over; gives how it was then.
///
/// # Errors
/// When the actor is no monitor, or no longer; when there is no such session, it does not live, as
/// many watch it as may, its recording can't be read, or the viewer takes no more.
pub async fn watch(
    services: &Services,
    actor: &Actor,
    id: &str,
    viewer: &mut impl Viewer,
) -> Result<SessionView, Failure> {
    // Boxed, as the screen is: a future that is handed on is copied each time.
    let work = Box::pin(async {
        let (row, gates, live) = living(services, actor, id).await?;
        let not_open = || Failure::NotNow(format!("session {} is not open yet; try again soon", row.id));
        let mut follow = services.recordings.of(row.id).follow()?.ok_or_else(not_open)?;
        let full =
            || Failure::NotNow(format!("as many people watch session {} as may; try again later", row.id));
        let watching = live.watched_by(&actor.called()).ok_or_else(full)?;
        services.audit.append(actor.by().did(Event::SessionWatched { session: row.id })).await?;
        let logged = UntilLogged { audit: services.audit.clone(), by: actor.by(), session: row.id };
        viewer.begin(&SessionView::of(&row, &gates)).await?;
        let mut screen = Box::new(Screen::new(Size::USUAL));
        loop {
            let (now, reached) = follow.read(screen, shown).await?;
            screen = now;
            if reached == Reached::More {
                continue;
            }
            viewer.show(&mut screen).await?;
            match reached {
                Reached::End(_) => break,
                _ => tokio::select! {
                    () = follow.written() => {}
                    () = viewer.changed() => {}
                },
            }
        }
        drop((watching, logged));
        // How it ended is known a moment later.
        services.live.gone(row.id, ENDED).await;
        let over = services.store.session(row.id).await?;
        Ok(SessionView::of(over.as_ref().unwrap_or(&row), &gates))
    });
    let may = while_may(services, actor, Actor::must_monitor, work);
    Operation::SessionWatch.perform(services, actor, may).await
}

fn shown(screen: &mut Box<Screen>, said: ScriptLine) {
    match said {
        ScriptLine::Data { shown: Some(text), .. } | ScriptLine::Cleared { shown: text, .. } => {
            screen.write(text.as_bytes());
        }
        ScriptLine::Screen { size, .. } => {
            screen.resize(Size::bounded(size.cols, size.rows));
        }
        _ => {}
    }
}

/// Has it in the audit log that somebody watches no longer, however they left.
struct UntilLogged {
    audit: AuditLog,
    by: By,
    session: SessionId,
}

impl Drop for UntilLogged {
    fn drop(&mut self) {
        let (audit, entry) =
            (self.audit.clone(), self.by.did(Event::SessionWatchEnded { session: self.session }));
        let session = self.session;
        tokio::spawn(async move {
            if let Err(error) = audit.tell(entry).await {
                tracing::error!(%session, %error, "that nobody watches any more could not be logged");
            }
        });
    }
}

/// Holds back what is typed in a live session; its user reads by whom.
///
/// # Errors
/// When the actor is no monitor, there is no such session, it does not live or is locked already.
pub async fn lock(services: &Services, actor: &Actor, id: &str) -> Result<SessionView, Failure> {
    let work = async {
        let locked = Keyboard::Locked(actor.called().into());
        set_keyboard(services, actor, id, locked, |session| Event::KeyboardLocked { session }).await
    };
    Operation::SessionLock.perform(services, actor, work).await
}

/// Lets through again what is typed, and first what was typed meanwhile.
///
/// # Errors
/// When the actor is no monitor, there is no such session, it does not live or is not locked.
pub async fn unlock(services: &Services, actor: &Actor, id: &str) -> Result<SessionView, Failure> {
    let work =
        set_keyboard(services, actor, id, Keyboard::Free, |session| Event::KeyboardUnlocked { session });
    Operation::SessionUnlock.perform(services, actor, work).await
}

async fn set_keyboard(
    services: &Services,
    actor: &Actor,
    id: &str,
    wanted: Keyboard,
    event: fn(SessionId) -> Event,
) -> Result<SessionView, Failure> {
    let (row, gates, live) = living(services, actor, id).await?;
    let stands = |stands: Keyboard| {
        Failure::NotNow(match stands {
            Keyboard::Free => format!("the keyboard of session {} is not locked", row.id),
            Keyboard::Locked(by) => format!("{by} locked the keyboard of session {} already", row.id),
        })
    };
    let now = live.facts().oversight;
    if now.is_locked() == (wanted != Keyboard::Free) {
        return Err(stands(now.keyboard));
    }
    services.audit.append(actor.by().did(event(row.id))).await?;
    live.set_keyboard(wanted).map_err(stands)?;
    Ok(SessionView::of(&row, &gates))
}

/// Ends a live session; its user reads by whom. One on another gate ends within a second or so.
///
/// # Errors
/// When the actor is no monitor, there is no such session, it does not live, or its gate does not run.
pub async fn end(services: &Services, actor: &Actor, id: &str) -> Result<SessionView, Failure> {
    let work = async {
        let (row, gates) = find(services, actor, id).await?;
        let order = actor.by().did(Event::SessionKillOrdered { session: row.id });
        if gates.other(services, &row).is_some() && row.lives() {
            let asked = Store::session_end_asked(row.id, actor.called());
            services.audit.step(vec![order], asked).await?;
            return Ok(SessionView::of(&row, &gates));
        }
        let live = services.live.get(row.id).ok_or_else(|| not_alive(&row))?;
        services.audit.append(order).await?;
        let message = Some(format!("{} ended the session", actor.called()));
        live.end(End { cause: EndCause::Killed, message });
        Ok(SessionView::of(&row, &gates))
    };
    Operation::SessionEnd.perform(services, actor, work).await
}

/// A session that lives on this gate, and its handle.
async fn living(
    services: &Services,
    actor: &Actor,
    id: &str,
) -> Result<(SessionRow, Gates, LiveSession), Failure> {
    let (row, gates) = find(services, actor, id).await?;
    if let Some(gate) = gates.other(services, &row).filter(|_| row.lives()) {
        return Err(Failure::NotNow(format!("session {} is on gate {gate}; ask there", row.id)));
    }
    match services.live.get(row.id) {
        Some(live) => Ok((row, gates, live)),
        None => Err(not_alive(&row)),
    }
}

fn not_alive(session: &SessionRow) -> Failure {
    let why = session.outcome.as_ref().map(|outcome| format!(": {outcome}")).unwrap_or_default();
    Failure::NotNow(format!("session {} does not live{why}", session.id))
}
