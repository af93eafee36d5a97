//! What waits for its turn to change the host, and what is under way.

use tidegate_common::id::SessionId;

use super::unit::{Pace, Unit};

/// One change of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    Grant(SessionId),
    /// Have a session's grant end then, which is later.
    Extend(SessionId, jiff::Timestamp),
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

    /// The later end that the session's grant is being given.
    pub fn extends(&self, session: SessionId) -> Option<jiff::Timestamp> {
        match &self.slow {
            Some(Job::Extend(of, until)) if *of == session => Some(*until),
            _ => None,
        }
    }

    /// That is done, whichever way it went; tells which end it was.
    pub fn extended(&mut self, session: SessionId) -> Option<jiff::Timestamp> {
        let until = self.extends(session)?;
        self.slow = None;
        Some(until)
    }

    pub fn is_idle(&self) -> bool {
        self.quick.is_none() && self.slow.is_none()
    }
}

impl Job {
    pub fn pace(&self) -> Pace {
        match self {
            Self::End(_) => Pace::Quick,
            Self::Grant(_) | Self::Extend(..) | Self::Rest(_) => Pace::Slow,
            Self::Retry(pace, _) => *pace,
        }
    }

    /// Whether it gives something, which it may share with another session.
    pub fn gives(&self) -> bool {
        matches!(self, Self::Grant(_) | Self::Extend(..))
    }
}
