//! A grant that lives, and its end at our word.

use std::time::Duration;

use tidegate_common::grant::{Ended, Receipt};
use tidegate_common::id::SessionId;
use tidegate_common::wire::FromProxy;
use tokio::sync::oneshot;

use super::{Entry, GrantOver, Leaving, Registry};

/// How long an agent may take to end one before the session's end is told without it.
const REVOKE_DEADLINE: Duration = Duration::from_secs(10);
/// Grants of one device that are remembered as ending; more are forgotten at once.
const MOST_ENDING: usize = 1024;

/// A grant that lives. Dropping it revokes it, if nobody did.
pub struct LiveGrant {
    pub(super) registry: Registry,
    pub(super) session: SessionId,
    /// What the agent applied.
    pub receipt: Receipt,
    pub(super) over: oneshot::Receiver<GrantOver>,
    pub(super) revoked: bool,
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
        self.registry.withdraw(self.session, Some(reply));
        tokio::time::timeout(REVOKE_DEADLINE, answer).await.ok()?.ok()
    }
}

impl Drop for LiveGrant {
    fn drop(&mut self) {
        if !self.revoked {
            self.registry.withdraw(self.session, None);
        }
    }
}

impl Registry {
    /// Takes a session off the leases and tells the agent, if it can be told at once.
    /// Where it can't, the next lease tells it. Whoever waits for the agent's word waits
    /// only for one that is linked.
    pub(super) fn withdraw(&self, session: SessionId, reply: Option<oneshot::Sender<Ended>>) {
        let mut state = self.state();
        let Some(Entry { what, renewed, .. }) = state.live.remove(&session) else { return };
        let link = state.links.get(&what.device);
        let reply = reply.filter(|_| link.is_some());
        if let Some(link) = link {
            let _ = link.sender.try_send(FromProxy::Revoke { session });
        }
        let as_many = state.ending.values().filter(|leaving| leaving.what.device == what.device);
        if as_many.count() < MOST_ENDING {
            state.ending.insert(session, Leaving { what, renewed, reply });
        }
    }
}
