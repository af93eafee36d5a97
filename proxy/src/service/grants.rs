//! What is on devices now, and for whom.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::grant::Standing;
use tidegate_common::id::SessionId;
use tidegate_common::name::{AccountName, CredentialName, DeviceName, UserName};

use super::operation::Operation;
use super::{Actor, Failure, Services};
use crate::agents::{GrantSeen, GrantState, What};
use crate::store::SessionRow;

/// How a grant stands: what the registry knows, and what outlived its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The agent is about to grant it.
    Applying,
    /// It is there.
    Active,
    /// The agent is about to take it away.
    Ending,
    /// It outlived its session.
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
#[derive(Debug, Clone, Serialize)]
pub struct GrantView {
    /// Whose it is; none of what nobody knows the session of.
    pub session: Option<SessionId>,
    /// Who is in that session.
    pub user: Option<UserName>,
    /// To what it is.
    pub credential: Option<CredentialName>,
    /// Where.
    pub device: DeviceName,
    /// The account on the device that has it.
    pub account: AccountName,
    /// How it stands.
    pub state: State,
    /// What is granted.
    pub privileges: Vec<String>,
    /// What the agent says it did.
    pub applied: Vec<String>,
    /// When it was ordered.
    pub since: Option<Timestamp>,
    /// When it ends whatever the lease says.
    pub expires: Option<Timestamp>,
    /// For how long it lives if nothing more reaches the agent.
    pub lease_left_seconds: Option<u64>,
    /// Whether the device's agent is linked now.
    pub agent_linked: bool,
    /// Why it could not be undone.
    pub why: Option<String>,
    /// When the session ended that it outlived.
    pub session_ended: Option<Timestamp>,
}

impl GrantView {
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
}

/// Which grants to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// On this device only.
    pub device: Option<DeviceName>,
    /// Of this user only.
    pub user: Option<UserName>,
}

/// The actor's own grants, or everybody's for those who read all: what lives by its session's
/// age, then what stands by its device.
///
/// # Errors
/// When another's are asked for and the actor reads only their own, or the store fails.
pub async fn list(services: &Services, actor: &Actor, asked: Filter) -> Result<Vec<GrantView>, Failure> {
    let work = async {
        let Filter { device, user } = asked;
        let user = actor.own_or(user)?;
        let mut grants = gather(services).await?;
        grants.retain(|grant| device.as_ref().is_none_or(|device| grant.device == *device));
        grants.retain(|grant| user.is_none() || grant.user == user);
        Ok(grants)
    };
    Operation::GrantList.perform(services, actor, work).await
}

async fn gather(services: &Services) -> Result<Vec<GrantView>, Failure> {
    let grants = services.agents.grants();
    let standing = services.store.standing(None).await?;
    let sessions = grants.iter().map(|grant| grant.session);
    let sessions: Vec<SessionId> =
        sessions.chain(standing.iter().filter_map(|(_, one)| one.session)).collect();
    let rows = services.store.sessions_of(&sessions).await?;
    let rows: HashMap<SessionId, SessionRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    let granted = grants.into_iter().map(|grant| {
        let row = rows.get(&grant.session);
        GrantView::of_grant(grant, row)
    });
    let mut lines: Vec<GrantView> = granted.collect();
    for (device, one) in standing {
        let (row, linked) =
            (one.session.and_then(|id| rows.get(&id)), services.agents.link(&device).is_some());
        lines.push(GrantView::of_standing(device, one, row, linked));
    }
    Ok(lines)
}
