//! Which agents are connected, and which grants live.
//!
//! The registry is the truth about grants: a session that is in it is on every
//! lease that goes to its device, one that has left it is not. A grant leaves it
//! when it is revoked, when its agent says that it ended, or when the agent has
//! been away for a whole lease: by then the agent has ended it by itself. One that was
//! revoked is remembered as ending until its agent has said that it is gone.

mod error;
mod extension;
mod live;
mod orders;
mod questions;
mod view;

pub use error::GrantError;
pub use extension::NotExtended;
pub use live::LiveGrant;
pub use view::{GrantSeen, GrantState, What};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_common::grant::{Ended, Failure, PrivilegeKind, Receipt};
use tidegate_common::id::SessionId;
use tidegate_common::name::{DeviceName, GateName};
use tidegate_common::wire::{FromProxy, Sight};
use tokio::sync::{mpsc, oneshot, watch};

use super::budgets::Budgets;
use super::vouching::Vouched;

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
    /// The version of the protocol that its link speaks.
    pub protocol: u16,
    /// The agent's version.
    pub version: String,
    /// What it can grant.
    pub kinds: Vec<PrivilegeKind>,
    /// sshd's host keys.
    pub vouched: Vouched,
    /// Whether sshd takes certificates only for this device.
    pub bound: bool,
    /// Whether it can be asked why its sshd let somebody not in.
    pub explains: bool,
    /// Whether it can be asked what its sshd does otherwise than a session asks.
    pub remarks: bool,
    /// Whether its host's kernel tells what runs.
    pub witness: Sight,
    /// When the link came up.
    pub since: Instant,
}

struct Link {
    number: u64,
    sender: mpsc::Sender<FromProxy>,
    status: LinkStatus,
    /// Ends the link's task, with a word for the agent's log.
    leave: Option<oneshot::Sender<String>>,
    /// The agent has said its last word, and its successor is about to link.
    replaced: bool,
}

/// A link that came up.
pub(super) struct Connected {
    pub(super) number: u64,
    /// Why the proxy ends it; nothing when a newer one took its place.
    pub(super) leave: oneshot::Receiver<String>,
}

enum Stage {
    Requested(oneshot::Sender<Result<Receipt, GrantError>>),
    Active(oneshot::Sender<GrantOver>),
}

struct Entry {
    what: What,
    /// When a lease that lists it was last sent, or else its order.
    renewed: tokio::time::Instant,
    stage: Stage,
    /// A later end that its agent has not answered for yet.
    extension: Option<extension::Ordered>,
}

/// A grant that was revoked.
struct Leaving {
    what: What,
    renewed: tokio::time::Instant,
    /// Whoever waits for the agent's word.
    reply: Option<oneshot::Sender<Ended>>,
}

/// A link that broke.
struct Broken {
    number: u64,
    replaced: bool,
}

#[derive(Default)]
struct State {
    links: HashMap<DeviceName, Link>,
    live: HashMap<SessionId, Entry>,
    ending: HashMap<SessionId, Leaving>,
    /// The links that broke, of devices that are not back.
    broken: HashMap<DeviceName, Broken>,
    questions: questions::Questions,
    next_link: u64,
}

/// The registry; clones share it.
#[derive(Clone)]
pub struct Registry {
    state: Arc<Mutex<State>>,
    lease: Duration,
    gate: GateName,
    budgets: Budgets,
    /// The number of the newest link, for those who wait for one.
    newest: watch::Sender<u64>,
}

impl Registry {
    /// An empty registry of this gate, with leases of this length.
    pub fn new(lease: Duration, gate: GateName) -> Self {
        let (state, budgets, newest) = (Arc::default(), Budgets::default(), watch::Sender::new(0));
        Self { state, lease, gate, budgets, newest }
    }

    /// What each agent may have written down.
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// With budgets of these.
    #[cfg(test)]
    pub(super) fn with(self, budgets: Budgets) -> Self {
        Self { budgets, ..self }
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

    /// Tells the agent that the session is about to log in on its host, `from` here.
    pub fn dialled(&self, session: SessionId, device: &DeviceName, from: SocketAddr) {
        if let Some(link) = self.state().links.get(device) {
            let _ = link.sender.try_send(FromProxy::Dialled { session, from });
        }
    }

    /// Tells the agent that a session's login has reached its host.
    pub fn attached(&self, session: SessionId, device: &DeviceName) {
        if let Some(link) = self.state().links.get(device) {
            let _ = link.sender.try_send(FromProxy::Attached { session });
        }
    }

    /// Ends a device's link; `why` is for the agent's log. From now on the agent is not
    /// linked, whatever its peer still takes or sends.
    pub fn dismiss(&self, device: &DeviceName, why: &str) {
        let Some((number, leave)) =
            self.state().links.get_mut(device).map(|link| (link.number, link.leave.take()))
        else {
            return;
        };
        // A task that has ended already hears nothing of it.
        let _ = leave.map(|leave| leave.send(why.to_owned()));
        self.disconnected(device, number);
    }

    // What the links report.

    /// A link came up; an older one of the same device is dropped, its task ends.
    pub(super) fn connected(
        &self,
        device: &DeviceName,
        status: LinkStatus,
        alive: &[SessionId],
        sender: mpsc::Sender<FromProxy>,
    ) -> Connected {
        let (ending, leave) = oneshot::channel();
        let mut state = self.state();
        state.next_link += 1;
        let number = state.next_link;
        // The agent's word on these may have been lost with the link before.
        let unheard = state.ending.iter().filter(|(_, leaving)| leaving.what.device == *device);
        for (session, _) in unheard {
            let _ = sender.try_send(FromProxy::Revoke { session: *session });
        }
        let why = state.away(device);
        state.broken.remove(device);
        let (orders, protocol) = (sender.clone(), status.protocol);
        let link = Link { number, sender, status, leave: Some(ending), replaced: false };
        state.links.insert(device.clone(), link);
        state.lose(device, &why, |session, _| !alive.contains(session));
        // And so may its word on a later end.
        for (session, entry) in state.live.iter_mut().filter(|(_, entry)| entry.what.device == *device) {
            let order = entry.order_again(*session, protocol, &self.gate);
            order.into_iter().for_each(|order| drop(orders.try_send(order)));
        }
        drop(state);
        self.newest.send_replace(number);
        Connected { number, leave }
    }

    /// What of this gate shall live on at `device`.
    pub(super) fn lease_for(&self, device: &DeviceName) -> FromProxy {
        FromProxy::Lease { gate: Some(self.gate.clone()), live: self.live(device) }
    }

    /// The sessions that shall live on, for a lease to `device`.
    pub(super) fn live(&self, device: &DeviceName) -> Vec<SessionId> {
        let mut state = self.state();
        let of_device = state.live.iter_mut().filter(|(_, entry)| entry.what.device == *device);
        let renewed = of_device.map(|(session, entry)| {
            entry.renewed = tokio::time::Instant::now();
            *session
        });
        renewed.collect()
    }

    /// The devices whose agents are linked.
    pub(super) fn linked(&self) -> Vec<DeviceName> {
        self.state().links.keys().cloned().collect()
    }

    /// The agent applied a grant.
    pub(super) fn granted(&self, session: SessionId, device: &DeviceName, receipt: Receipt) {
        let mut state = self.state();
        let Some(entry) = state.live.get_mut(&session).filter(|entry| entry.what.device == *device) else {
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
        self.not_granted(session, device, GrantError::Refused { device: device.clone(), failure });
    }

    /// The agent took no order, because it is about to be replaced.
    pub(super) fn later(&self, session: SessionId, device: &DeviceName) {
        self.not_granted(session, device, GrantError::Replaced(device.clone()));
    }

    fn not_granted(&self, session: SessionId, device: &DeviceName, why: GrantError) {
        let mut state = self.state();
        state.left(session, device);
        if state.live.get(&session).is_none_or(|entry| entry.what.device != *device) {
            return;
        }
        if let Some(Entry { stage: Stage::Requested(reply), .. }) = state.live.remove(&session) {
            let _ = reply.send(Err(why));
        }
    }

    /// The agent is replaced; this link ends, and its successor's comes.
    pub(super) fn replaced(&self, device: &DeviceName, number: u64) {
        let mut state = self.state();
        let link = state.links.get_mut(device).filter(|link| link.number == number);
        link.into_iter().for_each(|link| link.replaced = true);
    }

    /// A grant ended on its host. Answers whether someone here waited for it.
    pub(super) fn ended(&self, session: SessionId, device: &DeviceName, ended: &Ended) -> bool {
        let mut state = self.state();
        if let Some(Leaving { reply, .. }) = state.left(session, device) {
            return reply.is_some_and(|waiting| waiting.send(ended.clone()).is_ok());
        }
        if state.live.get(&session).is_none_or(|entry| entry.what.device != *device) {
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
        let replaced = state.links.remove(device).is_some_and(|link| link.replaced);
        state.broken.insert(device.clone(), Broken { number, replaced });
        let why = state.away(device);
        state.lose(device, &why, |_, entry| matches!(entry.stage, Stage::Requested(_)));
        drop(state);
        let (registry, device) = (self.clone(), device.clone());
        tokio::spawn(async move {
            tokio::time::sleep(registry.lease).await;
            registry.give_up(&device, number);
        });
    }

    /// The lease is over since this link broke, and none came after it.
    fn give_up(&self, device: &DeviceName, number: u64) {
        let mut state = self.state();
        if state.broken.get(device).is_some_and(|broken| broken.number == number) {
            state.broken.remove(device);
            state.lose(device, &GrantError::Away(device.clone()), |_, _| true);
            state.ending.retain(|_, leaving| leaving.what.device != *device);
        }
    }
}

impl State {
    /// A grant that was revoked is off its device, as its agent says.
    fn left(&mut self, session: SessionId, device: &DeviceName) -> Option<Leaving> {
        let of_device = |leaving: &&Leaving| leaving.what.device == *device;
        self.ending.get(&session).filter(of_device)?;
        self.ending.remove(&session)
    }

    /// Tells those who wait for, or have, these grants on a device that they are gone.
    fn lose(&mut self, device: &DeviceName, why: &GrantError, which: impl Fn(&SessionId, &Entry) -> bool) {
        let of_device =
            |session: &SessionId, entry: &mut Entry| entry.what.device == *device && which(session, entry);
        self.live.extract_if(of_device).for_each(|(_, entry)| entry.lose(why));
    }

    /// Why an order that got no answer got none: the agent has gone, or makes way for another.
    fn away(&self, device: &DeviceName) -> GrantError {
        let leaves = self.links.get(device).is_some_and(|link| link.replaced);
        let has_left = self.broken.get(device).is_some_and(|broken| broken.replaced);
        if leaves || has_left {
            GrantError::Replaced(device.clone())
        } else {
            GrantError::Away(device.clone())
        }
    }
}

impl Entry {
    fn lose(self, why: &GrantError) {
        match self.stage {
            Stage::Requested(reply) => {
                let _ = reply.send(Err(why.clone()));
            }
            Stage::Active(over) => {
                let _ = over.send(GrantOver::Lost);
            }
        }
    }
}

#[cfg(test)]
mod tests;
