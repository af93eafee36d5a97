//! From an order to a grant that lives.

use std::time::Duration;

use tidegate_common::grant::login_account;
use tidegate_common::id::SessionId;
use tidegate_common::name::DeviceName;
use tidegate_common::wire::{FromProxy, GrantOrder, NAMES_GATES};
use tokio::sync::oneshot;

use super::{Entry, GrantError, LiveGrant, Registry, Stage, What};

/// How long an agent may take to apply and verify a grant.
const GRANT_DEADLINE: Duration = Duration::from_secs(20);
/// How long orders wait for the successor of an agent that is replaced.
const SUCCESSION: Duration = Duration::from_secs(10);

impl Registry {
    /// Orders a grant and waits until it is applied and verified. An agent that is just
    /// being replaced has not taken the order; its successor gets it.
    ///
    /// # Errors
    /// When it is not; nothing of it is left then, or ends by its lease.
    pub async fn grant(&self, device: &DeviceName, order: GrantOrder) -> Result<LiveGrant, GrantError> {
        let by = tokio::time::Instant::now() + SUCCESSION;
        loop {
            let link = self.state().links.get(device).map_or(0, |link| link.number);
            match self.order(device, order.clone()).await {
                Err(GrantError::Replaced(_)) if self.succeeded(device, link, by).await => {}
                result => return result,
            }
        }
    }

    /// Waits for a link of this device that is newer than the one of this number; tells
    /// whether it came in time.
    async fn succeeded(&self, device: &DeviceName, number: u64, by: tokio::time::Instant) -> bool {
        let mut newest = self.newest.subscribe();
        let newer = |_: &u64| self.state().links.get(device).is_some_and(|link| link.number > number);
        let came = tokio::time::timeout_at(by, newest.wait_for(newer)).await;
        matches!(came, Ok(Ok(_)))
    }

    async fn order(&self, device: &DeviceName, mut order: GrantOrder) -> Result<LiveGrant, GrantError> {
        let session = order.session;
        let (reply, answer) = oneshot::channel();
        let sender = {
            let mut state = self.state();
            let link = state.links.get(device).ok_or_else(|| state.away(device))?;
            let missing =
                order.privileges.iter().map(|one| one.kind()).find(|kind| !link.status.kinds.contains(kind));
            if let Some(kind) = missing {
                return Err(GrantError::Kind { device: device.clone(), kind });
            }
            let sender = link.sender.clone();
            // Agents of before refuse an order that says more than they know.
            order.gate = (link.status.protocol >= NAMES_GATES).then(|| self.gate.clone());
            let what = What {
                device: device.clone(),
                account: login_account(session, &order.account, &order.privileges),
                privileges: order.privileges.clone(),
                applied: Vec::new(),
                since: jiff::Timestamp::now(),
                expires: order.expires,
            };
            let renewed = tokio::time::Instant::now();
            let stage = Stage::Requested(reply);
            state.live.insert(session, Entry { what, renewed, stage, extension: None });
            sender
        };
        let mut pending = Pending { registry: self, session: Some(session) };
        sender.send(FromProxy::Grant(order)).await.map_err(|_| self.state().away(device))?;
        let receipt = match tokio::time::timeout(GRANT_DEADLINE, answer).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) => return Err(GrantError::Away(device.clone())),
            Err(_) => return Err(GrantError::Silent(device.clone())),
        };
        let (over_sender, over) = oneshot::channel();
        match self.state().live.get_mut(&session) {
            Some(entry) => {
                entry.stage = Stage::Active(over_sender);
                entry.what.applied.clone_from(&receipt.applied);
            }
            None => return Err(GrantError::Away(device.clone())),
        }
        pending.session = None;
        Ok(LiveGrant { registry: self.clone(), session, receipt, over, revoked: false })
    }
}

/// An order whose answer nobody may wait for any more: withdrawn when dropped.
struct Pending<'a> {
    registry: &'a Registry,
    session: Option<SessionId>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.registry.withdraw(session, None);
        }
    }
}
