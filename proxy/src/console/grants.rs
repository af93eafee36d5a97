//! `grant …`: what is on devices now, and for whom.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::grant::Standing;
use tidegate_common::id::SessionId;
use tidegate_common::name::{AccountName, CredentialName, DeviceName, UserName};

use super::grammar::GrantList;
use super::screen::Screen;
use super::show::{ago, maybe, until};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::agents::{GrantSeen, GrantState, What};
use crate::store::SessionRow;

/// How a line of the list stands: what the registry knows, and what outlived its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Applying,
    Active,
    Ending,
    Standing,
}

impl From<GrantState> for State {
    fn from(state: GrantState) -> Self {
        match state {
            GrantState::Applying => Self::Applying,
            GrantState::Active => Self::Active,
            GrantState::Ending => Self::Ending,
        }
    }
}

/// One grant, or one privilege that outlived its session.
#[derive(Serialize)]
struct Line {
    session: Option<SessionId>,
    user: Option<UserName>,
    credential: Option<CredentialName>,
    device: DeviceName,
    /// The account on the device that has it.
    account: AccountName,
    state: State,
    privileges: Vec<String>,
    /// What the agent says it did.
    applied: Vec<String>,
    /// When it was ordered.
    since: Option<Timestamp>,
    /// When it ends whatever the lease says.
    expires: Option<Timestamp>,
    /// For how long it lives if nothing more reaches the agent.
    lease_left_seconds: Option<u64>,
    agent_linked: bool,
    /// Why it could not be undone.
    why: Option<String>,
    /// When the session ended that it outlived.
    session_ended: Option<Timestamp>,
}

impl Line {
    fn of_grant(grant: GrantSeen, session: Option<&SessionRow>) -> Self {
        let What { device, account, privileges, applied, since, expires } = grant.what;
        Self {
            session: Some(grant.session),
            user: session.map(|row| row.user.clone()),
            credential: session.map(|row| row.target.clone()),
            device,
            account,
            state: grant.state.into(),
            privileges: privileges.iter().map(ToString::to_string).collect(),
            applied,
            since: Some(since),
            expires,
            lease_left_seconds: Some(grant.lease_left.as_secs()),
            agent_linked: grant.linked,
            why: None,
            session_ended: None,
        }
    }

    /// A session of another device than the one that speaks is none of its own.
    fn of_standing(device: DeviceName, one: Standing, session: Option<&SessionRow>, linked: bool) -> Self {
        let session = session.filter(|row| row.target.device == device);
        Self {
            session: session.map(|row| row.id),
            user: session.map(|row| row.user.clone()),
            credential: session.map(|row| row.target.clone()),
            device,
            account: one.account,
            state: State::Standing,
            privileges: vec![one.what.to_string()],
            applied: Vec::new(),
            since: session.map(|row| row.started),
            expires: None,
            lease_left_seconds: None,
            agent_linked: linked,
            why: Some(one.why.to_string()),
            session_ended: session.and_then(|row| row.ended),
        }
    }

    fn state(&self) -> &'static str {
        match self.state {
            State::Applying => "applying",
            State::Active => "active",
            State::Ending => "ending",
            State::Standing => "standing",
        }
    }

    fn cells(&self, now: Timestamp) -> [String; 7] {
        [
            maybe(self.session),
            maybe(self.user.as_ref()),
            self.credential.as_ref().map_or_else(|| self.device.to_string(), ToString::to_string),
            self.state().to_owned(),
            self.since.map(|at| ago(at, now)).unwrap_or_default(),
            self.left(now),
            self.privileges.join("; "),
        ]
    }

    /// For how long without word from the proxy, and until when at the latest.
    fn left(&self, now: Timestamp) -> String {
        let lease = self.lease_left_seconds.map(|seconds| format!("{seconds}s"));
        let expires = self.expires.map(|at| until(at, now));
        lease.into_iter().chain(expires).collect::<Vec<_>>().join(", ")
    }

    /// What the table has no room for.
    fn note(&self, now: Timestamp) -> Option<String> {
        let privileges = self.privileges.join("; ");
        let away = if self.agent_linked { "" } else { "; its agent is away, so this is what it said last" };
        if let Some(why) = &self.why {
            let whose = self.session.map(|id| format!(" from session {id}")).unwrap_or_default();
            let ended =
                self.session_ended.map(|at| format!(", which ended {}", ago(at, now))).unwrap_or_default();
            return Some(format!("{}: {privileges}: stands{whose}{ended}: {why}{away}", self.device));
        }
        let session = maybe(self.session);
        (!self.agent_linked).then(|| {
            format!("{}: the agent is away; it ends session {session} when the lease is over", self.device)
        })
    }
}

pub(super) async fn list(
    services: &Services,
    actor: &Actor,
    asked: GrantList,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let own = actor.name().filter(|_| !actor.reads_all());
    if let (Some(own), Some(other)) = (own, &asked.user)
        && own != other
    {
        actor.must_read_all()?;
    }
    let user = own.cloned().or(asked.user);
    let mut lines = gather(services).await?;
    lines.retain(|line| asked.device.as_ref().is_none_or(|device| line.device == *device));
    lines.retain(|line| user.is_none() || line.user == user);
    let now = Timestamp::now();
    let table = || {
        let heading = ["SESSION", "USER", "CREDENTIAL", "STATE", "SINCE", "LEASE", "PRIVILEGES"];
        let mut table = Table::new(heading);
        lines.iter().for_each(|line| table.row(line.cells(now)));
        table
    };
    screen.list_or(&lines, table, "Nothing is granted anywhere, and nothing stands.").await?;
    let notes: Vec<String> = lines.iter().filter_map(|line| line.note(now)).collect();
    screen.notes(&notes).await?;
    Ok(0)
}

/// What lives by its session's age, then what stands by its device.
async fn gather(services: &Services) -> Result<Vec<Line>, Failure> {
    let grants = services.agents.grants();
    let standing = services.store.standing(None).await?;
    let sessions = grants.iter().map(|grant| grant.session);
    let sessions: Vec<SessionId> =
        sessions.chain(standing.iter().filter_map(|(_, one)| one.session)).collect();
    let rows = services.store.sessions_of(&sessions).await?;
    let rows: HashMap<SessionId, SessionRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    let granted = grants.into_iter().map(|grant| {
        let row = rows.get(&grant.session);
        Line::of_grant(grant, row)
    });
    let mut lines: Vec<Line> = granted.collect();
    for (device, one) in standing {
        let (row, linked) =
            (one.session.and_then(|id| rows.get(&id)), services.agents.link(&device).is_some());
        lines.push(Line::of_standing(device, one, row, linked));
    }
    Ok(lines)
}
