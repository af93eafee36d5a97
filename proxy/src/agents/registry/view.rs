//! The grants as people look at them.

use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::grant::Privilege;
use tidegate_common::id::SessionId;
use tidegate_common::name::{AccountName, DeviceName};

use super::{Registry, Stage};

/// How a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantState {
    /// The agent has the order and has not said yet that it is carried out.
    Applying,
    /// Applied and verified.
    Active,
    /// Revoked, and the agent has not said yet that it is gone.
    Ending,
}

/// What a grant is, from its order to its end.
#[derive(Debug, Clone)]
pub struct What {
    /// Where.
    pub device: DeviceName,
    /// The account that has it.
    pub account: AccountName,
    /// What was ordered.
    pub privileges: Vec<Privilege>,
    /// What the agent says it did, one sentence each; untrusted text.
    pub applied: Vec<String>,
    /// When it was ordered.
    pub since: Timestamp,
    /// When it ends whatever the lease says.
    pub expires: Option<Timestamp>,
}

/// One grant, as it is now.
#[derive(Debug, Clone)]
pub struct GrantSeen {
    /// The session it serves.
    pub session: SessionId,
    /// What it is.
    pub what: What,
    /// How long it would live if nothing more reached the agent.
    pub lease_left: Duration,
    /// Whether the device's agent is linked.
    pub linked: bool,
    /// How it stands.
    pub state: GrantState,
}

impl Registry {
    /// Every grant that lives or is being ended, in the order of their sessions.
    pub fn grants(&self) -> Vec<GrantSeen> {
        let state = self.state();
        let live = state.live.iter().map(|(session, entry)| {
            let how = match entry.stage {
                Stage::Requested(_) => GrantState::Applying,
                Stage::Active(_) => GrantState::Active,
            };
            (*session, &entry.what, entry.renewed, how)
        });
        let ending = state
            .ending
            .iter()
            .map(|(session, leaving)| (*session, &leaving.what, leaving.renewed, GrantState::Ending));
        let seen = live.chain(ending).map(|(session, what, renewed, how)| GrantSeen {
            session,
            what: what.clone(),
            lease_left: self.lease.saturating_sub(renewed.elapsed()),
            linked: state.links.contains_key(&what.device),
            state: how,
        });
        let mut seen: Vec<_> = seen.collect();
        seen.sort_by_key(|grant| grant.session);
        seen
    }
}
