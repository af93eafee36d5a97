//! The stages of a session: requested, admitted, recorded and granted, logged in,
//! relaying, closing.
//!
//! [`Opened`] holds what is open so far, each part from the moment it is there, and
//! closes it however far the session came: the order to revoke goes out first.

mod closing;
mod comparing;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate_common::audit::{EndCause, Entry, Event, Note};
use tidegate_common::id::SessionId;
use tidegate_common::policy::{NoEntry, Permit};
use tidegate_common::recording::{FORMAT, Header};
use tidegate_common::wire::GrantOrder;
use tokio::sync::{mpsc, watch};

use super::granted_end::GrantedEnd;
use super::policy_watch::until_not_permitted;
use super::{End, LiveSession, Open, Phase, Sessions};
use crate::agents::{self, GrantOver, LiveGrant};
use crate::audit_log::{AuditError, HandedIn, Telling};
use crate::changes::Watching;
use crate::recordings::Recorder;
use crate::store::Store;
use crate::upstream::{Connected, DialError, Route, Upstream};

/// How long a user waits for a session to open without a word of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A session that policy permits and nobody else knows of yet.
pub struct Requested {
    sessions: Arc<Sessions>,
    live: LiveSession,
    id: SessionId,
    permit: Arc<Permit>,
    origin: IpAddr,
    phase: watch::Sender<Phase>,
    since: Instant,
}

impl Requested {
    pub(super) fn new(
        sessions: Arc<Sessions>,
        live: LiveSession,
        permit: Arc<Permit>,
        phase: watch::Sender<Phase>,
    ) -> Self {
        let (id, origin) = (live.id(), live.origin());
        Self { sessions, live, id, permit, origin, phase, since: Instant::now() }
    }

    /// The whole session. `user_left` closes when its connection is gone; `ordered` has the ends that
    /// others order.
    pub(super) async fn run(self, mut user_left: mpsc::Receiver<End>, mut ordered: mpsc::Receiver<End>) {
        let entry = self.sessions.live.enter(self.live.clone());
        let (opened, end) = match self.open(&mut user_left, &mut ordered).await {
            Ok(relaying) => relaying.until_the_end(&mut user_left, &mut ordered).await,
            Err(failed) => failed,
        };
        Box::pin(opened.close(end, entry)).await;
    }

    async fn open(
        self,
        user_left: &mut mpsc::Receiver<End>,
        ordered: &mut mpsc::Receiver<End>,
    ) -> Result<Relaying, (Opened, End)> {
        let (phase, late) = (self.phase.clone(), self.late());
        let mut opened = Opened::new(self);
        // Boxed, as `close` is: a session's task lives long, and shall not be as large as
        // its largest stage all the while.
        let opening = Box::pin(async {
            let mut opening = pin!(opened.open());
            if let Ok(open) = tokio::time::timeout(PATIENCE, &mut opening).await {
                return open;
            }
            phase.send_replace(Phase::Opening(Some(late.into())));
            opening.await
        });
        let open = tokio::select! {
            open = opening => open,
            // Leaving before the session is open ends it as leaving later does.
            end = first_end(user_left, ordered) => Err(end),
        };
        match open {
            Ok(open) => Ok(Relaying { open, opened }),
            Err(end) => Err((opened, end)),
        }
    }
}

/// An open session.
struct Relaying {
    open: Arc<Open>,
    opened: Opened,
}

impl Relaying {
    async fn until_the_end(
        mut self,
        user_left: &mut mpsc::Receiver<End>,
        ordered: &mut mpsc::Receiver<End>,
    ) -> (Opened, End) {
        self.opened.requested.phase.send_replace(Phase::Open(Arc::clone(&self.open)));
        crate::memory::tidy();
        let end = self.watch(user_left, ordered).await;
        (self.opened, end)
    }

    /// Waits for whatever ends a session: its user, an order, policy, time, its
    /// recording, its grant.
    async fn watch(&mut self, user_left: &mut mpsc::Receiver<End>, ordered: &mut mpsc::Receiver<End>) -> End {
        let Opened { requested, grant, .. } = &mut self.opened;
        let (access, permit) = (&requested.sessions.access, &requested.permit);
        let granted = grant.as_ref().and_then(|_| GrantedEnd::new(&requested.sessions, requested.id, permit));
        let policy = until_not_permitted(access, permit, granted, &self.open.warnings);
        tokio::select! {
            end = first_end(user_left, ordered) => end,
            end = policy => end,
            why = self.open.recorder.failed() => End {
                cause: EndCause::Recording,
                message: Some(format!("the session's recording can't be written ({why}), so the session ends")),
            },
            why = self.open.recorder.crowded() => End { cause: EndCause::Full, message: Some(why.to_string()) },
            over = over(grant) => End {
                cause: EndCause::Grant,
                message: Some(match over {
                    GrantOver::Ended(_) => "the device's agent ended the grant, so the session ends".to_owned(),
                    GrantOver::Lost => format!(
                        "the agent on {} was away or stopped, so its grant and this session end",
                        requested.permit.target().device
                    ),
                }),
            },
        }
    }
}

async fn first_end(user_left: &mut mpsc::Receiver<End>, ordered: &mut mpsc::Receiver<End>) -> End {
    tokio::select! {
        // First: an order that came before its user's connection ended is why it did.
        biased;
        Some(end) = ordered.recv() => end,
        _ = user_left.recv() => End { cause: EndCause::User, message: None },
    }
}

/// Waits for the end of a grant; for ever where there is none.
async fn over(grant: &mut Option<LiveGrant>) -> GrantOver {
    match grant {
        Some(grant) => grant.over().await,
        None => std::future::pending().await,
    }
}

/// What a session has opened so far, and has to close.
struct Opened {
    requested: Requested,
    admitted: bool,
    recorder: Option<Recorder>,
    grant: Option<LiveGrant>,
    /// The grant's record, until it is known to be on the disk.
    applied: Option<HandedIn>,
    upstream: Option<Arc<Upstream>>,
    /// Goes with the session: what ran in it is compared to its end then.
    compared: Option<Watching>,
}

impl Opened {
    fn new(requested: Requested) -> Self {
        let (recorder, grant, applied, upstream) = (None, None, None, None);
        Self { requested, admitted: false, recorder, grant, applied, upstream, compared: None }
    }

    /// Opens stage after stage, keeping each in `self` as soon as it is there. The
    /// device's key exchange runs beside recording and grant; the login waits for them.
    async fn open(&mut self) -> Result<Arc<Open>, End> {
        let sessions = Arc::clone(&self.requested.sessions);
        let permit = Arc::clone(&self.requested.permit);
        let id = self.requested.id;
        let trust = agents::trust(&sessions.agents, &sessions.store, permit.device()).await;
        let trust = trust.map_err(|error| failed(EndCause::Unreachable, error))?;
        let route = Route::new(&permit, id, &trust, sessions.means.clone())
            .map_err(|error| failed(EndCause::Unreachable, error))?;
        let prepared = async {
            self.admit().await?;
            let (recorder, grant) = tokio::join!(self.requested.record(), self.requested.grant());
            // What succeeded is kept, whatever the other did, so that it is closed.
            self.recorder = recorder.as_ref().ok().cloned();
            let grant = grant.map(|granted| (self.grant, self.applied) = granted.unzip());
            recorder?;
            grant
        };
        let (connected, prepared) = tokio::join!(route.connect(), prepared);
        prepared?;
        let connected = connected.map_err(|error| failed(EndCause::Unreachable, error))?;
        self.login(route, connected).await
    }

    async fn admit(&mut self) -> Result<(), End> {
        let Requested { sessions, id, permit, origin, .. } = &self.requested;
        let event = admitted(*id, permit).by_user(permit.user(), *origin);
        let mut step = sessions.store.session_step(*id, permit, *origin, Timestamp::now());
        let counted = permit.counted();
        if let Some((access, most)) = counted {
            step = step.and(Store::remote_access_used(access, most));
        }
        let events = std::iter::once(event).chain(self.requested.order()).collect();
        // A user who leaves meanwhile cuts this short, and the log may have it all the same.
        self.admitted = true;
        let admitted = sessions.audit.step(events, step).await;
        // What the log has of it has an end there, whatever else fails.
        self.admitted = admitted.is_ok();
        if let Some((access, most)) = counted {
            // Somebody else's session, begun at the same moment, may have been the last.
            if admitted.as_ref().is_err_and(AuditError::is_changed) {
                return Err(failed(EndCause::Policy, NoEntry::Used(access, most)));
            }
            if let Err(error) = sessions.access.refresh_remote_accesses().await {
                tracing::error!(%error, "how many sessions of a remote access are left is not seen yet");
            }
        }
        // Another session was faster since policy was asked.
        admitted.map_err(|error| match (error.full(), error.spent()) {
            (Some(full), _) => failed(EndCause::Policy, full),
            (None, Some(spent)) => failed(EndCause::Policy, spent),
            (None, None) => failed(EndCause::Shutdown, error),
        })
    }

    async fn login(&mut self, route: Route, connected: Connected) -> Result<Arc<Open>, End> {
        let Some(recorder) = self.recorder.clone() else {
            return Err(failed(EndCause::Recording, "the session has no recording"));
        };
        // The log has the grant before a channel opens; the login need not wait for that.
        let applied = async {
            match self.applied.take() {
                Some(record) => on_disk(record.on_disk().await),
                None => Ok(()),
            }
        };
        let ends = connected.ends();
        let (applied, first, remark) = tokio::join!(applied, route.login(connected), route.remarks(ends));
        let first = first.map_err(|error| {
            let cause = match error {
                DialError::Protocol { .. } => EndCause::Protocol,
                _ => EndCause::Unreachable,
            };
            failed(cause, error)
        })?;
        let Requested { sessions, live, id, permit, origin, .. } = &self.requested;
        let upstream = Upstream::new(route, first);
        self.upstream = Some(Arc::clone(&upstream));
        applied?;
        let event = Event::SessionStarted {
            session: *id,
            user: permit.user().clone(),
            target: permit.target().clone(),
            recording: Note::new(recorder.location().to_string_lossy()),
        };
        self.requested.log(event.by_user(permit.user(), *origin)).await?;
        let (compared, watching) = self.requested.compare(&recorder).unzip();
        self.compared = watching;
        Ok(Arc::new(Open {
            id: *id,
            compared,
            recorder,
            upstream,
            audit: sessions.audit.clone(),
            permit: Arc::clone(permit),
            live: live.clone(),
            agents: sessions.agents.clone(),
            remark,
            warnings: watch::Sender::new(None),
        }))
    }
}

/// The event of an admission, with all that was said for it.
fn admitted(session: SessionId, permit: &Permit) -> Event {
    let claims = permit.claims();
    Event::SessionAdmitted {
        session,
        user: permit.user().clone(),
        target: permit.target().clone(),
        group: permit.group().clone(),
        request: permit.request(),
        justification: claims.justification.as_ref().map(|text| Note::new(text.to_string())),
        reason: claims.reason.clone(),
        change: claims.change.clone(),
        emergency: permit.emergency(),
        expires: permit.expires(),
    }
}

fn on_disk(record: Result<u64, AuditError>) -> Result<(), End> {
    record.map(drop).map_err(|error| failed(EndCause::Shutdown, error))
}

fn failed(cause: EndCause, why: impl std::fmt::Display) -> End {
    End { cause, message: Some(why.to_string()) }
}

impl Requested {
    /// What its user reads who has waited for a while.
    fn late(&self) -> String {
        let device = self.permit.device();
        let agent = if device.agent { " and its agent" } else { "" };
        format!("still waiting for {}{agent}", device.name)
    }

    async fn record(&self) -> Result<Recorder, End> {
        let permit = &self.permit;
        let header = Header {
            format: FORMAT,
            session: self.id,
            user: permit.user().clone(),
            target: permit.target().clone(),
            origin: self.origin,
            started: Timestamp::now(),
            group: Some(permit.group().clone()),
            request: permit.request(),
            emergency: permit.emergency(),
            input: permit.record_input(),
            exec_output_limit: permit.exec_output_limit(),
        };
        self.sessions.recordings.begin(header).await.map_err(|error| {
            failed(EndCause::Recording, format!("the session can't be recorded ({error}), so it is refused"))
        })
    }

    /// That the grant is ordered, where there is one to order.
    fn order(&self) -> Option<Entry> {
        let permit = &self.permit;
        let some = !permit.privileges().is_empty();
        some.then(|| Event::grant_ordered(self.id, permit.target().clone(), permit.privileges()).into())
    }

    /// Orders the grant that the log knows of, and tells the log how that went; none where the
    /// credential is granted nothing.
    async fn grant(&self) -> Result<Option<(LiveGrant, HandedIn)>, End> {
        let permit = &self.permit;
        if permit.privileges().is_empty() {
            return Ok(None);
        }
        let target = permit.target().clone();
        let order = GrantOrder {
            session: self.id,
            account: target.account.clone(),
            privileges: permit.privileges().to_vec(),
            expires: permit.expires(),
            gate: None,
        };
        match self.sessions.agents.grant(&target.device, order).await {
            Ok(grant) => {
                let event = Event::grant_applied(self.id, target, &grant.receipt);
                let applied = self.sessions.audit.hand_in(event).await;
                applied
                    .map(|applied| Some((grant, applied)))
                    .map_err(|error| failed(EndCause::Shutdown, error))
            }
            Err(error) => {
                let why = Note::new(error.to_string());
                let refused = Event::GrantRefused { session: self.id, target, why };
                if let Err(error) = self.sessions.audit.tell(refused).await {
                    tracing::error!(session = %self.id, %error, "a refused grant is not in the log yet");
                }
                Err(failed(EndCause::Grant, error))
            }
        }
    }

    async fn log(&self, event: impl Into<Telling>) -> Result<(), End> {
        on_disk(self.sessions.audit.append(event).await)
    }
}
