//! A session from its admission to its seal.
//!
//! A permit goes in; then, in this order and never another: the audit log knows of
//! it; its recording is open, and its grant applied and verified; its device has let
//! us in; and only then does a channel carry a byte. However it ends, the order to
//! revoke goes out first, then connections close and the recording is sealed.

mod granted_end;
mod live;
mod policy_watch;
mod stages;

pub use live::{Entry as LiveEntry, Facts, Keyboard, LiveSession, LiveSessions, OpenChannel, Oversight};
pub use policy_watch::Warning;

use std::net::IpAddr;
use std::sync::Arc;

use tidegate_common::audit::EndCause;
use tidegate_common::id::SessionId;
use tidegate_common::policy::Permit;
use tokio::sync::{mpsc, watch};

use crate::access::Access;
use crate::agents::Registry;
use crate::audit_log::AuditLog;
use crate::changes::{Feed, Watchers};
use crate::recordings::{Recorder, Recordings};
use crate::store::Store;
use crate::upstream::{Means, Upstream};

/// What sessions need of the rest of the program.
pub struct Sessions {
    /// Policy.
    pub access: Access,
    /// Grants.
    pub agents: Registry,
    /// The audit log.
    pub audit: AuditLog,
    /// Where sessions are listed.
    pub store: Store,
    /// Where they are recorded.
    pub recordings: Recordings,
    /// What it takes to reach devices.
    pub means: Means,
    /// Those that live now.
    pub live: LiveSessions,
    /// Those that are held against a change.
    pub watchers: Watchers,
}

/// Where a session stands, for the channels that belong to it.
#[derive(Clone)]
pub enum Phase {
    /// Being recorded, granted, dialled; the sentence is for a user who has waited for a while.
    Opening(Option<Arc<str>>),
    /// Channels can be opened.
    Open(Arc<Open>),
    /// Over; the sentence is for the user, who has none when they left by themselves.
    Over(Option<Arc<str>>),
}

impl Phase {
    /// Whether it is not decided yet whether channels can be opened.
    pub fn is_opening(&self) -> bool {
        matches!(self, Self::Opening(_))
    }
}

/// What a channel needs of its open session.
pub struct Open {
    /// The session.
    pub id: SessionId,
    /// What is kept of it.
    pub recorder: Recorder,
    /// Its device.
    pub upstream: Arc<Upstream>,
    /// The audit log.
    pub audit: AuditLog,
    /// What it is permitted.
    pub permit: Arc<Permit>,
    /// What the device does otherwise than its channels ask, for whoever starts a program.
    pub remark: Option<String>,
    /// Where its commands go to be held against its change, if it rests on one.
    pub compared: Option<Feed>,
    /// The newest warning that its end is near.
    pub warnings: watch::Sender<Option<Warning>>,
    /// Its handle.
    pub live: LiveSession,
    agents: Registry,
}

impl Open {
    /// Tells the device's agent that a channel of the session has started there.
    pub fn attached(&self) {
        self.agents.attached(self.id, &self.permit.target().device);
    }
}

#[cfg(test)]
impl Open {
    /// A session that is open, with nothing behind it but these.
    pub fn testing(live: LiveSession, recorder: Recorder, upstream: Arc<Upstream>, audit: AuditLog) -> Self {
        let (permit, warnings, remark) = (Arc::new(live.permit().clone()), watch::Sender::new(None), None);
        let agents = Registry::new(std::time::Duration::from_secs(30), crate::store::testing::gate("gate1"));
        Self {
            id: live.id(),
            recorder,
            upstream,
            audit,
            permit,
            remark,
            compared: None,
            warnings,
            live,
            agents,
        }
    }
}

/// Why a session shall end, and what its user reads.
#[derive(Debug, Clone)]
pub struct End {
    /// For the audit log.
    pub cause: EndCause,
    /// For the user; `None` when they left by themselves.
    pub message: Option<String>,
}

/// A session as its connection holds it. Dropping it ends the session.
pub struct Held {
    /// The session.
    pub id: SessionId,
    /// What it was permitted when it began.
    pub permit: Arc<Permit>,
    phase: watch::Receiver<Phase>,
    // Its drop is the user's leaving.
    _user: mpsc::Sender<End>,
}

impl Held {
    /// Where the session stands, now and later.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }
}

/// An id for a session that begins, or is refused, now.
pub fn new_id() -> SessionId {
    let millis = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
    SessionId::new(millis, rand::random())
}

impl Sessions {
    /// Starts the session that `permit` permits to the user who comes from `origin`.
    pub fn start(self: &Arc<Self>, permit: Permit, origin: IpAddr) -> Held {
        let id = new_id();
        let (phase_sender, phase) = watch::channel(Phase::Opening(None));
        let (user, user_left) = mpsc::channel(1);
        let (end, ordered) = mpsc::channel(1);
        let permit = Arc::new(permit);
        let live = LiveSession::new(id, Arc::clone(&permit), origin, end);
        let requested = stages::Requested::new(Arc::clone(self), live, Arc::clone(&permit), phase_sender);
        tokio::spawn(requested.run(user_left, ordered));
        Held { id, permit, phase, _user: user }
    }
}
