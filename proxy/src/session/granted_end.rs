//! When the device's agent ends what it granted to a session, and how that end follows policy's to a
//! later one.

use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_common::audit::{Event, Note};
use tidegate_common::id::SessionId;
use tidegate_common::name::CredentialName;
use tidegate_common::policy::Permit;

use super::Sessions;

/// The order for a later end, until its answer is here: whether the grant ends then.
type Order = Pin<Box<dyn Future<Output = bool> + Send>>;

/// The end that the agent was given.
pub struct GrantedEnd {
    sessions: Arc<Sessions>,
    session: SessionId,
    target: CredentialName,
    end: Timestamp,
    /// The later end that was ordered last; no other is ordered before its answer.
    asked: Option<Timestamp>,
    order: Option<Order>,
    kept: bool,
}

impl GrantedEnd {
    /// Of a session that was granted something under this permit; none where it has no end.
    pub fn new(sessions: &Arc<Sessions>, session: SessionId, permit: &Permit) -> Option<Self> {
        let (sessions, target) = (Arc::clone(sessions), permit.target().clone());
        let (asked, order, kept) = (None, None, false);
        permit.expires().map(|end| Self { sessions, session, target, end, asked, order, kept })
    }

    /// When what was granted ends.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// Whether the agent did not take the later end that it was told of last.
    pub fn is_kept(&self) -> bool {
        self.kept
    }

    /// Orders the end that policy has now, where it is a later one that was not ordered yet. An agent
    /// that is too old for it is told nothing.
    pub fn follow(&mut self, permitted: Option<Timestamp>) {
        let later = permitted.filter(|until| *until > self.end && self.asked != Some(*until));
        let Some(until) = later.filter(|_| self.order.is_none()) else { return };
        if self.sessions.agents.knows_no_extension(self.session) {
            return;
        }
        self.asked = Some(until);
        let (sessions, session, target) = (Arc::clone(&self.sessions), self.session, self.target.clone());
        self.order = Some(Box::pin(async move { order(&sessions, session, target, until).await }));
    }

    /// Waits for the answer to what was ordered, and takes it; for ever where nothing was. Cancel safe.
    pub async fn answered(&mut self) {
        let Some(order) = &mut self.order else { return std::future::pending().await };
        let moved = order.await;
        self.order = None;
        if let Some(until) = self.asked.filter(|_| moved) {
            self.end = until;
        }
        self.kept = !moved;
    }
}

/// Orders a later end, which the log has before, and tells whether the agent and the log have it.
async fn order(sessions: &Sessions, session: SessionId, target: CredentialName, until: Timestamp) -> bool {
    let ordered = Event::GrantExtensionOrdered { session, target: target.clone(), until };
    if let Err(error) = sessions.audit.append(ordered).await {
        tracing::error!(%session, %error, "a later end of a grant was not ordered");
        return false;
    }
    let (moved, event) = match sessions.agents.extend(session, until).await {
        Ok(()) => (true, Event::GrantExtended { session, target, until }),
        Err(error) => {
            let why = Note::new(error.to_string());
            (false, Event::GrantExtensionRefused { session, target, until, why })
        }
    };
    match sessions.audit.tell(event).await {
        Ok(_) => moved,
        Err(error) => {
            tracing::error!(%session, %error, "whether a grant ends later is not in the log yet");
            false
        }
    }
}
