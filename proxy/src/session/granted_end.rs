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
use crate::agents::NotExtended;

/// What became of an order for a later end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The grant ends then.
    Moved,
    /// It does not, or the log does not have it.
    Kept,
    /// The agent has not said. It may take it all the same, and says so when it is asked again.
    Silent,
}

/// The order for a later end, until its answer is here.
type Order = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The end that the agent was given, as far as it is known.
#[derive(Debug, Clone, Copy)]
struct Known {
    end: Timestamp,
    /// The later end that was ordered last, unless it has to be ordered again.
    asked: Option<Timestamp>,
    /// The later end that the agent was silent on: the log has its order already.
    silent: Option<Timestamp>,
    kept: bool,
}

impl Known {
    /// The end to order, where policy has one that is later and was not ordered yet.
    fn wanted(&self, permitted: Option<Timestamp>) -> Option<Timestamp> {
        permitted.filter(|until| *until > self.end && self.asked != Some(*until))
    }

    fn take(&mut self, answer: Answer) {
        match (answer, self.asked) {
            (Answer::Moved, Some(until)) => self.end = until,
            (Answer::Silent, _) => self.silent = self.asked.take(),
            (Answer::Moved | Answer::Kept, _) => {}
        }
        self.kept = answer != Answer::Moved;
    }
}

/// The end that the agent was given.
pub struct GrantedEnd {
    sessions: Arc<Sessions>,
    session: SessionId,
    target: CredentialName,
    known: Known,
    /// No other is ordered before its answer.
    order: Option<Order>,
}

impl GrantedEnd {
    /// Of a session that was granted something under this permit; none where it has no end.
    pub fn new(sessions: &Arc<Sessions>, session: SessionId, permit: &Permit) -> Option<Self> {
        let (sessions, target) = (Arc::clone(sessions), permit.target().clone());
        let end = permit.expires()?;
        let known = Known { end, asked: None, silent: None, kept: false };
        Some(Self { sessions, session, target, known, order: None })
    }

    /// When what was granted ends.
    pub fn end(&self) -> Timestamp {
        self.known.end
    }

    /// Whether the agent did not take the later end that it was told of last.
    pub fn is_kept(&self) -> bool {
        self.known.kept
    }

    /// Orders the end that policy has now, where it is a later one that was not ordered yet. An agent
    /// that is too old for it is told nothing.
    pub fn follow(&mut self, permitted: Option<Timestamp>) {
        let later = self.known.wanted(permitted);
        let Some(until) = later.filter(|_| self.order.is_none()) else { return };
        if self.sessions.agents.knows_no_extension(self.session) {
            return;
        }
        self.known.asked = Some(until);
        let (sessions, session, target) = (Arc::clone(&self.sessions), self.session, self.target.clone());
        let again = self.known.silent == Some(until);
        self.order = Some(Box::pin(async move { order(&sessions, session, target, (until, again)).await }));
    }

    /// Waits for the answer to what was ordered, and takes it; for ever where nothing was. Cancel safe.
    pub async fn answered(&mut self) {
        let Some(order) = &mut self.order else { return std::future::pending().await };
        let answer = order.await;
        self.order = None;
        self.known.take(answer);
    }
}

/// Orders a later end, which the log has before, and tells whether the agent and the log have it. Of
/// an order that is given again because the agent was silent, only another answer is logged.
async fn order(
    sessions: &Sessions,
    session: SessionId,
    target: CredentialName,
    (until, again): (Timestamp, bool),
) -> Answer {
    let ordered = Event::GrantExtensionOrdered { session, target: target.clone(), until };
    if !again && let Err(error) = sessions.audit.append(ordered).await {
        tracing::error!(%session, %error, "a later end of a grant was not ordered");
        return Answer::Kept;
    }
    let (answer, event) = match sessions.agents.extend(session, until).await {
        Ok(()) => (Answer::Moved, Event::GrantExtended { session, target, until }),
        Err(NotExtended::Silent) if again => return Answer::Silent,
        Err(error) => {
            let answer = if error == NotExtended::Silent { Answer::Silent } else { Answer::Kept };
            let why = Note::new(error.to_string());
            (answer, Event::GrantExtensionRefused { session, target, until, why })
        }
    };
    match sessions.audit.tell(event).await {
        Ok(_) => answer,
        Err(error) => {
            tracing::error!(%session, %error, "whether a grant ends later is not in the log yet");
            Answer::Kept
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_is_silent_is_asked_again_and_one_that_has_answered_is_not() {
        let (end, until) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let after = |answer| {
            let mut known = Known { end, asked: Some(until), silent: None, kept: false };
            assert_eq!(known.wanted(Some(until)), None, "it is asked already");
            known.take(answer);
            (known.wanted(Some(until)), known.end, known.kept, known.silent)
        };
        assert_eq!(after(Answer::Silent), (Some(until), end, true, Some(until)), "which is not logged again");
        assert_eq!(after(Answer::Kept), (None, end, true, None));
        assert_eq!(after(Answer::Moved), (None, until, false, None));
    }
}
