//! Sessions: listed, shown with all that is known of them.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::audit::{Event, Record};
use tidegate_common::id::{RequestId, SessionId};
use tidegate_common::name::{AccessGroupName, ChangeId, CredentialName, GateName, ReasonName, UserName};
use tidegate_common::residue::Residue;

use super::commands::Unseen;
use super::live::{Standing, Watched};
use super::operation::Operation;
use super::{Actor, Failure, Services};
use crate::store::{Comparison, Gate, SessionFilter, SessionRow, StoreError};

/// Transfers told with their session; the audit log has all.
const SHOWN: u64 = 2_000;

/// A session as it is known now.
#[derive(Debug, Clone, Serialize)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// Who.
    pub user: UserName,
    /// To what.
    pub target: CredentialName,
    /// The access group that governed.
    pub group: AccessGroupName,
    /// The request it rested on.
    pub request: Option<RequestId>,
    /// Whether approval was skipped in an emergency.
    pub emergency: bool,
    /// From where.
    pub origin: IpAddr,
    /// On which gate.
    pub gate: Option<GateName>,
    /// When it was admitted.
    pub started: Timestamp,
    /// When it ended; none while it lives, or where that is not known.
    pub ended: Option<Timestamp>,
    /// How it ended, in one sentence.
    pub outcome: Option<String>,
    /// Whether nothing is known of its end.
    pub live: bool,
}

impl SessionView {
    pub(super) fn of(session: &SessionRow, gates: &Gates) -> Self {
        Self {
            id: session.id,
            user: session.user.clone(),
            target: session.target.clone(),
            group: session.group.clone(),
            request: session.request,
            emergency: session.emergency,
            origin: session.origin,
            gate: gates.name(session).cloned(),
            started: session.started,
            ended: session.ended,
            outcome: session.outcome.clone(),
            live: session.lives(),
        }
    }
}

/// Which sessions to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those that live only.
    pub live: bool,
    /// Of this user only.
    pub user: Option<UserName>,
    /// To this credential only.
    pub target: Option<CredentialName>,
    /// At most so many.
    pub limit: u64,
}

/// The actor's own sessions, or everybody's for those who read all; for monitors also what lives
/// of everybody. The newest first.
///
/// # Errors
/// When another's are asked for and the actor reads only their own, or the store fails.
pub async fn list(services: &Services, actor: &Actor, asked: Filter) -> Result<Vec<SessionView>, Failure> {
    let work = async {
        let Filter { live, user, target, limit } = asked;
        let others = actor.monitors() && !actor.reads_all() && user.as_ref() != actor.name();
        let mut sessions = Vec::new();
        if others {
            let (user, target) = (user.clone(), target.clone());
            let filter = SessionFilter { user, target, request: None, live: true, limit };
            sessions = services.store.sessions(&filter).await?;
        }
        if !others || user.is_none() {
            let filter = SessionFilter { user: actor.own_or(user)?, target, request: None, live, limit };
            let known: Vec<_> = sessions.iter().map(|session| session.id).collect();
            let own = services.store.sessions(&filter).await?;
            sessions.extend(own.into_iter().filter(|session| !known.contains(&session.id)));
        }
        sessions.sort_by_key(|session| std::cmp::Reverse((session.started, session.id)));
        sessions.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let gates = Gates::of(services).await?;
        sessions.iter_mut().for_each(|session| gates.settle(services, session));
        sessions.retain(|session| session.lives() || !live && sees_past(actor, session));
        Ok(sessions.iter().map(|session| SessionView::of(session, &gates)).collect())
    };
    Operation::SessionList.perform(services, actor, work).await
}

/// A session with all that is known of it.
#[derive(Debug, Serialize)]
pub struct ShownSession {
    /// The session.
    #[serde(flatten)]
    pub session: SessionView,
    /// What was said for it.
    #[serde(flatten)]
    pub said: Said,
    /// How it stands while it lives.
    pub now: Option<Standing>,
    /// Who watched it; empty for its user where the group does not have them told.
    pub watched: Vec<Watched>,
    /// The files that went through it, the oldest first; at most 2,000.
    pub transfers: Vec<ListedTransfer>,
    /// How many there are; beyond those that are told, the audit log has them.
    pub transfers_in_all: u64,
    /// What its kernel's witness did not see.
    pub unseen: Unseen,
    /// The gate on whose disk its recording lies, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording_on: Option<GateName>,
    /// What came of it under its change; none where it rests on none.
    pub compared: Option<Comparison>,
    /// What it left behind on its host; none until the agent's report came.
    pub left_behind: Option<Residue>,
}

/// What was said for a session, when it was admitted or by the request that it rests on.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Said {
    /// Why.
    pub justification: Option<String>,
    /// The registered reason.
    pub reason: Option<ReasonName>,
    /// The planned change.
    pub change: Option<ChangeId>,
    /// The governance code of its request.
    pub governance: Option<String>,
}

impl Said {
    async fn of(services: &Services, session: &SessionRow) -> Result<Self, Failure> {
        let mut said = Self::default();
        for row in services.store.audit_of_type(session.id, "session-admitted", 1).await? {
            // One that does not read is told of by `audit verify`.
            let Ok(Record { event, .. }) = serde_json::from_str::<Record>(&row.body) else { continue };
            if let Event::SessionAdmitted { justification, reason, change, .. } = event {
                let justification = justification.map(|note| note.to_string());
                said = Self { justification, reason, change, governance: None };
            }
        }
        let request = match session.request {
            Some(id) => match services.store.request(id).await {
                Ok(request) => request,
                // What else is known of the session is told all the same.
                Err(StoreError::Over { .. } | StoreError::Unread { .. } | StoreError::Damaged { .. }) => None,
                Err(error) => return Err(error.into()),
            },
            None => None,
        };
        if let Some(request) = request {
            let claims = request.claims;
            said.justification = said.justification.or(claims.justification.map(|text| text.to_string()));
            said.reason = said.reason.or(claims.reason);
            said.change = said.change.or(claims.change);
            said.governance = claims.governance.map(|text| text.to_string());
        }
        Ok(said)
    }
}

/// A file that went through a session, or what was done with one.
#[derive(Debug, Clone, Serialize)]
pub struct ListedTransfer {
    /// When it ended.
    pub at: Timestamp,
    /// What it was.
    #[serde(flatten)]
    pub event: Event,
}

/// One session of the actor's, or anybody's for those who read all. `id` is its id, or how
/// that starts (four characters at least).
///
/// # Errors
/// When there is none or more than one, or the store fails.
pub async fn show(services: &Services, actor: &Actor, id: &str) -> Result<ShownSession, Failure> {
    let work = async {
        let (session, gates) = find(services, actor, id).await?;
        let transfers = services.store.transfers(session.id, SHOWN).await?;
        let listed = transfers.first.into_iter().map(|(at, event)| ListedTransfer { at, event });
        Ok(ShownSession {
            session: SessionView::of(&session, &gates),
            said: Said::of(services, &session).await?,
            now: Standing::of(services, session.id),
            watched: if tells_of_watchers(services, actor, &session) {
                Watched::of(services, session.id).await?
            } else {
                Vec::new()
            },
            transfers: listed.collect(),
            transfers_in_all: transfers.all,
            unseen: Unseen::of(services, &session).await?,
            recording_on: gates.elsewhere(services, &session).await.cloned(),
            compared: services.store.comparison(session.id).await?,
            left_behind: services.store.residue(session.id).await?,
        })
    };
    Operation::SessionShow.perform(services, actor, work).await
}

/// The session of that id, or whose id starts so, and the gates. One that is not theirs is not there.
pub(super) async fn find(
    services: &Services,
    actor: &Actor,
    id: &str,
) -> Result<(SessionRow, Gates), Failure> {
    let shown = tidegate_common::unseen::quoted(id, 40);
    let id = id.to_ascii_lowercase();
    let fits = id.len() >= 4 && id.len() <= 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    // Of those that are over, a monitor sees their own, and learns of no other.
    let missing = || {
        Failure::Missing(if actor.monitors() && !actor.reads_all() {
            format!("there is no live session `{shown}`, and none of yours; if there was one, it has ended")
        } else {
            format!("there is no session `{shown}`; `session list` shows them")
        })
    };
    if !fits {
        return Err(missing());
    }
    let whose = actor.name().filter(|_| !actor.reads_all() && !actor.monitors());
    let (mut found, gates) = (services.store.sessions_like(&id, whose).await?, Gates::of(services).await?);
    found.iter_mut().for_each(|session| gates.settle(services, session));
    found.retain(|session| sees_past(actor, session) || (actor.monitors() && session.lives()));
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(missing()),
        (Some(one), true) => Ok((one, gates)),
        (Some(_), false) => {
            Err(Failure::Missing(format!("several sessions start with `{shown}`; write more of it")))
        }
    }
}

/// Whether they see a session also when it is over.
fn sees_past(actor: &Actor, session: &SessionRow) -> bool {
    actor.reads_all() || actor.name() == Some(&session.user)
}

/// Whether they learn who watched a session.
fn tells_of_watchers(services: &Services, actor: &Actor, session: &SessionRow) -> bool {
    let snapshot = services.access.snapshot();
    let told = || snapshot.governing(&session.group).is_some_and(|group| group.tells_of_watchers());
    actor.reads_all() || actor.monitors() || told()
}

/// The gates that share the store, as far as sessions are concerned.
pub(super) struct Gates(Vec<Gate>);

impl Gates {
    async fn of(services: &Services) -> Result<Self, Failure> {
        Ok(Self(services.store.gates().await?))
    }

    fn on(&self, session: &SessionRow) -> Option<&Gate> {
        self.0.iter().find(|gate| gate.id == session.gate)
    }

    /// The gate that a session is on.
    pub(super) fn name(&self, session: &SessionRow) -> Option<&GateName> {
        self.on(session).map(|gate| &gate.name)
    }

    /// A session whose end the store could not take yet is over all the same, and of one on a gate
    /// that has gone nobody knows.
    fn settle(&self, services: &Services, session: &mut SessionRow) {
        if !session.lives() {
            return;
        }
        let own = session.gate == services.store.own_gate();
        match self.on(session).filter(|_| !own) {
            None if own && services.live.holds(session.id) => {}
            None => session.outcome = Some("over; how and when could not be stored yet".to_owned()),
            Some(Gate { name, heard, away: true, .. }) => {
                let since = heard.map(|at| format!(" since {at:.0}")).unwrap_or_default();
                session.outcome = Some(format!("not known: its gate {name} was not heard of{since}"));
            }
            Some(_) => {}
        }
    }

    /// The gate that a session is on, where that is another.
    pub(super) fn other(&self, services: &Services, session: &SessionRow) -> Option<&GateName> {
        self.name(session).filter(|_| session.gate != services.store.own_gate())
    }

    /// The other gate that has a session's recording on its disk, unless the gates share theirs.
    pub(super) async fn elsewhere(&self, services: &Services, session: &SessionRow) -> Option<&GateName> {
        let name = self.other(services, session)?;
        let here = services.recordings.of(session.id).is_here().await;
        (!here).then_some(name)
    }

    /// Refuses what only the gate that a session is on can show.
    pub(super) async fn must_be_here(
        &self,
        services: &Services,
        session: &SessionRow,
    ) -> Result<(), Failure> {
        match self.elsewhere(services, session).await {
            Some(name) => Err(Failure::Missing(format!(
                "the recording of session {} lies on gate {name}, which the session is on; ask there",
                session.id
            ))),
            None => Ok(()),
        }
    }
}
