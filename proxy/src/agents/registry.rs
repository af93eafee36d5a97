//! Which agents are connected, and which grants live.
//!
//! The registry is the truth about grants: a session that is in it is on every
//! lease that goes to its device, one that has left it is not. A grant leaves it
//! when it is revoked, when its agent says that it ended, or when the agent has
//! been away for a whole lease: by then the agent has ended it by itself.

mod plans;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_common::grant::{Ended, Failure, PrivilegeKind, Receipt};
use tidegate_common::id::SessionId;
use tidegate_common::name::DeviceName;
use tidegate_common::wire::{FromProxy, GrantOrder, Sight};
use tokio::sync::{mpsc, oneshot};

/// How long an agent may take to apply and verify a grant.
const GRANT_DEADLINE: Duration = Duration::from_secs(20);
/// How long an agent may take to end one before the session's end is told without it.
const REVOKE_DEADLINE: Duration = Duration::from_secs(10);

/// Why a grant is not there. The sentences are for the user.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GrantError {
    /// No link.
    #[error(
        "the agent on {0} is away, so nothing can be granted there; ask its administrator to look at tidegate-agent.service"
    )]
    Away(DeviceName),
    /// The agent could not apply or verify it.
    #[error("{device} could not grant the privileges ({failure}); nothing was left behind")]
    Refused {
        /// Where.
        device: DeviceName,
        /// What the agent said.
        failure: Failure,
    },
    /// The agent does not answer.
    #[error("the agent on {0} does not answer; try again, or ask its administrator")]
    Silent(DeviceName),
    /// The agent can't do that kind.
    #[error(
        "the agent on {device} can't grant `{kind}`: {}",
        match .kind {
            PrivilegeKind::Sudo => "sudo is not installed there; install it, and restart tidegate-agent",
            _ => "it is too old; update it",
        }
    )]
    Kind {
        /// Where.
        device: DeviceName,
        /// Which kind.
        kind: PrivilegeKind,
    },
}

/// How a grant went without the session asking for it.
#[derive(Debug, Clone)]
pub enum GrantOver {
    /// The agent ended it.
    Ended(Ended),
    /// The agent has been away for a whole lease, or came back without it.
    Lost,
}

/// What is known of a connected agent.
#[derive(Debug, Clone)]
pub struct LinkStatus {
    /// The agent's version.
    pub version: String,
    /// What it can grant.
    pub kinds: Vec<PrivilegeKind>,
    /// sshd's host keys, as OpenSSH lines.
    pub host_keys: Vec<String>,
    /// What it could not undo.
    pub standing: Vec<Failure>,
    /// Whether its host's kernel tells what runs.
    pub witness: Sight,
    /// When the link came up.
    pub since: Instant,
}

struct Link {
    number: u64,
    sender: mpsc::Sender<FromProxy>,
    status: LinkStatus,
}

enum Stage {
    Requested(oneshot::Sender<Result<Receipt, GrantError>>),
    Active(oneshot::Sender<GrantOver>),
}

struct Entry {
    device: DeviceName,
    stage: Stage,
}

#[derive(Default)]
struct State {
    links: HashMap<DeviceName, Link>,
    live: HashMap<SessionId, Entry>,
    ending: HashMap<SessionId, oneshot::Sender<Ended>>,
    plans: plans::Questions,
    next_link: u64,
    /// The last link of devices that have none now.
    away: HashMap<DeviceName, u64>,
}

/// The registry; clones share it.
#[derive(Clone)]
pub struct Registry {
    state: Arc<Mutex<State>>,
    lease: Duration,
}

/// A grant that lives. Dropping it revokes it, if nobody did.
pub struct LiveGrant {
    registry: Registry,
    session: SessionId,
    device: DeviceName,
    /// What the agent applied.
    pub receipt: Receipt,
    over: oneshot::Receiver<GrantOver>,
    revoked: bool,
}

impl Registry {
    /// An empty registry with leases of this length.
    pub fn new(lease: Duration) -> Self {
        Self { state: Arc::default(), lease }
    }

    /// How long a grant lives without word from us.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent of a device, if it is connected.
    pub fn status(&self, device: &DeviceName) -> Option<LinkStatus> {
        self.state().links.get(device).map(|link| link.status.clone())
    }

    /// Orders a grant and waits until it is applied and verified.
    ///
    /// # Errors
    /// When it is not; nothing of it is left then, or ends by its lease.
    pub async fn grant(&self, device: &DeviceName, order: GrantOrder) -> Result<LiveGrant, GrantError> {
        let session = order.session;
        let (reply, answer) = oneshot::channel();
        let sender = {
            let mut state = self.state();
            let link = state.links.get(device).ok_or_else(|| GrantError::Away(device.clone()))?;
            let missing =
                order.privileges.iter().map(|one| one.kind()).find(|kind| !link.status.kinds.contains(kind));
            if let Some(kind) = missing {
                return Err(GrantError::Kind { device: device.clone(), kind });
            }
            let sender = link.sender.clone();
            let entry = Entry { device: device.clone(), stage: Stage::Requested(reply) };
            state.live.insert(session, entry);
            sender
        };
        let mut pending = Pending { registry: self, session: Some(session), device };
        sender.send(FromProxy::Grant(order)).await.map_err(|_| GrantError::Away(device.clone()))?;
        let receipt = match tokio::time::timeout(GRANT_DEADLINE, answer).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) => return Err(GrantError::Away(device.clone())),
            Err(_) => return Err(GrantError::Silent(device.clone())),
        };
        let (over_sender, over) = oneshot::channel();
        match self.state().live.get_mut(&session) {
            Some(entry) => entry.stage = Stage::Active(over_sender),
            None => return Err(GrantError::Away(device.clone())),
        }
        pending.session = None;
        Ok(LiveGrant {
            registry: self.clone(),
            session,
            device: device.clone(),
            receipt,
            over,
            revoked: false,
        })
    }

    /// Takes a session off the leases and tells the agent, if it can be told at once.
    /// Where it can't, the next lease tells it.
    fn withdraw(&self, session: SessionId, device: &DeviceName) {
        let mut state = self.state();
        if state.live.remove(&session).is_some()
            && let Some(link) = state.links.get(device)
        {
            let _ = link.sender.try_send(FromProxy::Revoke { session });
        }
    }

    /// Tells the agent that a session's login has reached its host.
    pub fn attached(&self, session: SessionId, device: &DeviceName) {
        if let Some(link) = self.state().links.get(device) {
            let _ = link.sender.try_send(FromProxy::Attached { session });
        }
    }

    /// Ends a device's link; `why` is for the agent's log.
    pub fn dismiss(&self, device: &DeviceName, why: &str) {
        if let Some(link) = self.state().links.get(device) {
            let _ = link.sender.try_send(FromProxy::Goodbye { why: why.to_owned() });
        }
    }

    // What the links report.

    /// A link came up; an older one of the same device is dropped, its task ends.
    pub(super) fn connected(
        &self,
        device: &DeviceName,
        status: LinkStatus,
        alive: &[SessionId],
        sender: mpsc::Sender<FromProxy>,
    ) -> u64 {
        let mut state = self.state();
        state.next_link += 1;
        let number = state.next_link;
        state.links.insert(device.clone(), Link { number, sender, status });
        state.away.remove(device);
        state.lose(device, |session, _| !alive.contains(session));
        number
    }

    /// The sessions that shall live on, for a lease to `device`.
    pub(super) fn live(&self, device: &DeviceName) -> Vec<SessionId> {
        let state = self.state();
        let of_device = state.live.iter().filter(|(_, entry)| entry.device == *device);
        of_device.map(|(session, _)| *session).collect()
    }

    /// The agent applied a grant.
    pub(super) fn granted(&self, session: SessionId, device: &DeviceName, receipt: Receipt) {
        let mut state = self.state();
        let Some(entry) = state.live.get_mut(&session).filter(|entry| entry.device == *device) else {
            return;
        };
        // Until `grant` puts its own sender there, an end would find this one, whose
        // receiver is gone: `grant` then finds the entry missing.
        let (placeholder, _) = oneshot::channel();
        if let Stage::Requested(reply) = std::mem::replace(&mut entry.stage, Stage::Active(placeholder)) {
            let _ = reply.send(Ok(receipt));
        }
    }

    /// The agent could not apply a grant.
    pub(super) fn refused(&self, session: SessionId, device: &DeviceName, failure: Failure) {
        let mut state = self.state();
        if state.live.get(&session).is_none_or(|entry| entry.device != *device) {
            return;
        }
        if let Some(Entry { stage: Stage::Requested(reply), .. }) = state.live.remove(&session) {
            let _ = reply.send(Err(GrantError::Refused { device: device.clone(), failure }));
        }
    }

    /// A grant ended on its host. Answers whether someone here waited for it.
    pub(super) fn ended(&self, session: SessionId, device: &DeviceName, ended: &Ended) -> bool {
        let mut state = self.state();
        if let Some(link) = state.links.get_mut(device) {
            link.status.standing.clone_from(&ended.standing);
        }
        if let Some(waiting) = state.ending.remove(&session) {
            return waiting.send(ended.clone()).is_ok();
        }
        if state.live.get(&session).is_none_or(|entry| entry.device != *device) {
            return false;
        }
        match state.live.remove(&session).map(|entry| entry.stage) {
            Some(Stage::Active(over)) => over.send(GrantOver::Ended(ended.clone())).is_ok(),
            Some(Stage::Requested(reply)) => reply.send(Err(GrantError::Silent(device.clone()))).is_ok(),
            None => false,
        }
    }

    /// A link broke: orders that wait for an answer fail now, and grants that live are
    /// lost when the agent is not back within a lease.
    pub(super) fn disconnected(&self, device: &DeviceName, number: u64) {
        let mut state = self.state();
        if state.links.get(device).is_none_or(|link| link.number != number) {
            return;
        }
        state.links.remove(device);
        state.away.insert(device.clone(), number);
        state.lose(device, |_, entry| matches!(entry.stage, Stage::Requested(_)));
        drop(state);
        let (registry, device) = (self.clone(), device.clone());
        tokio::spawn(async move {
            tokio::time::sleep(registry.lease).await;
            registry.give_up(&device, number);
        });
    }

    /// The agent has been away for a lease since the link of that `number`; one that was
    /// back meanwhile has a lease of its own.
    fn give_up(&self, device: &DeviceName, number: u64) {
        let mut state = self.state();
        if state.away.get(device) == Some(&number) {
            state.away.remove(device);
            state.lose(device, |_, _| true);
        }
    }
}

impl State {
    /// Tells those who wait for, or have, these grants on a device that they are gone.
    fn lose(&mut self, device: &DeviceName, which: impl Fn(&SessionId, &Entry) -> bool) {
        let of_device =
            |session: &SessionId, entry: &mut Entry| entry.device == *device && which(session, entry);
        self.live.extract_if(of_device).for_each(|(_, entry)| entry.lose(device));
    }
}

impl Entry {
    fn lose(self, device: &DeviceName) {
        match self.stage {
            Stage::Requested(reply) => {
                let _ = reply.send(Err(GrantError::Away(device.clone())));
            }
            Stage::Active(over) => {
                let _ = over.send(GrantOver::Lost);
            }
        }
    }
}

/// An order whose answer nobody may wait for any more: withdrawn when dropped.
struct Pending<'a> {
    registry: &'a Registry,
    session: Option<SessionId>,
    device: &'a DeviceName,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.registry.withdraw(session, self.device);
        }
    }
}

impl LiveGrant {
    /// Waits until the grant is over without us having revoked it. Cancel safe.
    pub async fn over(&mut self) -> GrantOver {
        (&mut self.over).await.unwrap_or(GrantOver::Lost)
    }

    /// Revokes the grant and waits for the agent's word; `None` when it can't be reached
    /// or does not answer: the lease ends the grant then.
    pub async fn revoke(mut self) -> Option<Ended> {
        self.revoked = true;
        if let Ok(GrantOver::Ended(ended)) = self.over.try_recv() {
            return Some(ended);
        }
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.registry.state();
            if state.links.contains_key(&self.device) {
                state.ending.insert(self.session, reply);
            }
        }
        self.registry.withdraw(self.session, &self.device);
        let ended = tokio::time::timeout(REVOKE_DEADLINE, answer).await.ok()?.ok();
        self.registry.state().ending.remove(&self.session);
        ended
    }
}

impl Drop for LiveGrant {
    fn drop(&mut self) {
        if !self.revoked {
            self.registry.withdraw(self.session, &self.device);
        }
    }
}

#[cfg(test)]
mod tests;
