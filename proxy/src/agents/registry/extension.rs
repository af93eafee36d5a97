//! A later end of a grant that lives.

use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::audit::Note;
use tidegate_common::id::SessionId;
use tidegate_common::name::{DeviceName, GateName};
use tidegate_common::wire::{EXTENDS, FromProxy};
use tokio::sync::oneshot;

use super::{Entry, Registry};

/// How long an agent that is linked may take to have a grant end later.
const EXTENSION_DEADLINE: Duration = Duration::from_secs(20);

/// Why a grant ends when it was to end before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotExtended {
    /// The agent does not know the order.
    #[error("the device's agent is too old to be told of another end; update it")]
    Old,
    /// The agent says so.
    #[error("the device's agent refuses it: {0}")]
    Refused(Note),
    /// The agent did not answer in time.
    #[error("the device's agent does not answer")]
    Silent,
    /// There is no such grant any more.
    #[error("the grant is over")]
    Over,
}

/// A later end that was ordered.
pub(super) struct Ordered {
    until: Timestamp,
    reply: oneshot::Sender<Result<(), NotExtended>>,
}

impl Registry {
    /// Whether the agent that has the session's grant is linked and too old to be told of a later end.
    pub fn knows_no_extension(&self, session: SessionId) -> bool {
        let state = self.state();
        let device = state.live.get(&session).map(|entry| &entry.what.device);
        let link = device.and_then(|device| state.links.get(device));
        link.is_some_and(|link| link.status.protocol < EXTENDS)
    }

    /// Has the session's grant end later, and waits until its agent says that it does. Where the agent is
    /// away, its next link gets the order; an agent that is away for a lease has no grant any more.
    ///
    /// # Errors
    /// When it does not; the grant ends when it was to end before, as far as is known here.
    pub async fn extend(&self, session: SessionId, until: Timestamp) -> Result<(), NotExtended> {
        let (reply, answer) = oneshot::channel();
        let linked = {
            let mut state = self.state();
            let state = &mut *state;
            let entry = state.live.get_mut(&session).ok_or(NotExtended::Over)?;
            let link = state.links.get(&entry.what.device);
            entry.extension = Some(Ordered { until, reply });
            let order = link.map(|link| (link.sender.clone(), link.status.protocol));
            order.and_then(|(sender, protocol)| {
                Some((sender, entry.order_again(session, protocol, &self.gate)?))
            })
        };
        if let Some((sender, order)) = linked {
            // One that breaks now has a successor, which gets it again.
            let _ = sender.send(order).await;
        }
        match tokio::time::timeout(self.lease + EXTENSION_DEADLINE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NotExtended::Over),
            Err(_) => Err(NotExtended::Silent),
        }
    }

    /// The agent has the grant end then.
    pub(in crate::agents) fn extended(&self, session: SessionId, device: &DeviceName, until: Timestamp) {
        let mut state = self.state();
        let Some(entry) = state.live.get_mut(&session).filter(|entry| entry.what.device == *device) else {
            return;
        };
        if let Some(Ordered { reply, .. }) = entry.ordered(until) {
            entry.what.expires = Some(until);
            let _ = reply.send(Ok(()));
        }
    }

    /// The agent does not.
    pub(in crate::agents) fn not_extended(
        &self,
        session: SessionId,
        device: &DeviceName,
        until: Timestamp,
        why: Note,
    ) {
        let mut state = self.state();
        let Some(entry) = state.live.get_mut(&session).filter(|entry| entry.what.device == *device) else {
            return;
        };
        if let Some(Ordered { reply, .. }) = entry.ordered(until) {
            let _ = reply.send(Err(NotExtended::Refused(why)));
        }
    }
}

impl Entry {
    /// The order for a later end that has no answer yet, for a link that speaks this version.
    pub(super) fn order_again(
        &mut self,
        session: SessionId,
        protocol: u16,
        gate: &GateName,
    ) -> Option<FromProxy> {
        let Ordered { until, reply } = self.extension.take()?;
        if protocol < EXTENDS {
            let _ = reply.send(Err(NotExtended::Old));
            return None;
        }
        if reply.is_closed() {
            return None;
        }
        self.extension = Some(Ordered { until, reply });
        Some(FromProxy::Extend { session, gate: gate.clone(), until })
    }

    /// What was ordered, where it was this end.
    fn ordered(&mut self, until: Timestamp) -> Option<Ordered> {
        let this = self.extension.as_ref().is_some_and(|ordered| ordered.until == until);
        if this { self.extension.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{connect, db01, granted, registry, status};
    use super::super::{GrantOver, LinkStatus};
    use super::*;

    fn session() -> SessionId {
        SessionId::new(1, 7)
    }

    fn until() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[tokio::test]
    async fn a_later_end_is_the_grants_once_its_agent_says_so_and_another_device_has_no_say() {
        let registry = registry();
        let (_grant, mut orders) = granted(&registry, 7).await;
        let answer = async {
            let Some(FromProxy::Extend { session: of, until: end, .. }) = orders.recv().await else {
                panic!()
            };
            assert_eq!((of, end), (session(), until()));
            registry.not_extended(of, &"db02".parse().unwrap(), end, Note::new("a lie"));
            registry.extended(of, &db01(), Timestamp::MAX);
            assert_eq!(registry.grants()[0].what.expires, None);
            registry.extended(of, &db01(), end);
        };
        let (told, ()) = tokio::join!(registry.extend(session(), until()), answer);
        assert_eq!(told, Ok(()));
        assert_eq!(registry.grants()[0].what.expires, Some(until()));
    }

    #[tokio::test]
    async fn what_the_agent_refuses_and_a_grant_that_is_over_are_told_with_the_reason() {
        let registry = registry();
        let (grant, mut orders) = granted(&registry, 7).await;
        let answer = async {
            assert!(matches!(orders.recv().await, Some(FromProxy::Extend { .. })));
            registry.not_extended(session(), &db01(), until(), Note::new("the grant ends already"));
        };
        let (told, ()) = tokio::join!(registry.extend(session(), until()), answer);
        assert_eq!(told, Err(NotExtended::Refused(Note::new("the grant ends already"))));
        let ends = async {
            assert!(matches!(orders.recv().await, Some(FromProxy::Extend { .. })));
            drop(grant);
        };
        let (told, ()) = tokio::join!(registry.extend(session(), until()), ends);
        assert_eq!(told, Err(NotExtended::Over));
        assert_eq!(registry.extend(session(), until()).await, Err(NotExtended::Over));
    }

    #[tokio::test]
    async fn an_agent_of_before_is_not_told_what_would_end_its_link() {
        let registry = registry();
        let (_grant, _orders) = granted(&registry, 7).await;
        assert!(!registry.knows_no_extension(session()));
        let old = LinkStatus { protocol: EXTENDS - 1, ..status() };
        let mut orders = connect(&registry, old, &[session()]);
        assert!(registry.knows_no_extension(session()));
        assert_eq!(registry.extend(session(), until()).await, Err(NotExtended::Old));
        assert!(orders.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_was_away_for_a_moment_is_told_again_and_one_that_is_silent_is_waited_for_no_longer()
     {
        let registry = registry();
        let (mut grant, mut orders) = granted(&registry, 7).await;
        let comes_back = async {
            assert!(matches!(orders.recv().await, Some(FromProxy::Extend { .. })));
            // Its answer was lost with the link.
            let mut orders = connect(&registry, status(), &[session()]);
            assert!(matches!(orders.recv().await, Some(FromProxy::Extend { .. })), "not told again");
            registry.extended(session(), &db01(), until());
            orders
        };
        let (told, mut orders) = tokio::join!(registry.extend(session(), until()), comes_back);
        assert_eq!(told, Ok(()));
        assert_eq!(registry.extend(session(), Timestamp::MAX).await, Err(NotExtended::Silent));
        assert!(matches!(orders.recv().await, Some(FromProxy::Extend { .. })));
        // Nobody waits for it any more.
        let mut orders = connect(&registry, status(), &[session()]);
        assert!(orders.try_recv().is_err());
        assert!(tokio::time::timeout(Duration::ZERO, grant.over()).await.is_err());
        drop(connect(&registry, status(), &[]));
        assert!(matches!(grant.over().await, GrantOver::Lost));
    }
}
