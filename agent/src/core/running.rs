//! What waits for its turn to change the host, and what is under way.

use tidegate_common::id::SessionId;

use super::unit::{Pace, Unit};

/// One change of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    Grant(SessionId),
    /// What is quick of a session's end.
    End(SessionId),
    /// What is slow of it.
    Rest(SessionId),
    /// Undo again what stands; all of one pace.
    Retry(Pace, Vec<Unit>),
}

/// The jobs under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Running {
    quick: Option<Job>,
    slow: Option<Job>,
}

impl Running {
    pub fn at(&self, pace: Pace) -> Option<&Job> {
        match pace {
            Pace::Quick => self.quick.as_ref(),
            Pace::Slow => self.slow.as_ref(),
        }
    }

    pub fn put(&mut self, pace: Pace, job: Option<Job>) {
        match pace {
            Pace::Quick => self.quick = job,
            Pace::Slow => self.slow = job,
        }
    }

    /// The job of this pace is done.
    pub fn done(&mut self, pace: Pace) {
        self.put(pace, None);
    }

    /// The session's grant is done, whichever way it went.
    pub fn granted(&mut self, session: SessionId) {
        if self.slow == Some(Job::Grant(session)) {
            self.slow = None;
        }
    }

    pub fn is_idle(&self) -> bool {
        self.quick.is_none() && self.slow.is_none()
    }
}

impl Job {
    pub fn pace(&self) -> Pace {
        match self {
            Self::End(_) => Pace::Quick,
            Self::Grant(_) | Self::Rest(_) => Pace::Slow,
            Self::Retry(pace, _) => *pace,
        }
    }
}
