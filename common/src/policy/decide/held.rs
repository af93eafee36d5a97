//! Why a request that is approved does not open an access now.

use std::fmt;

use jiff::Timestamp;

use crate::id::RequestId;
use crate::model::{Limits, Request, RequestState};

/// See the module. What opens soonest comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Its window opens later.
    Later {
        /// Then.
        start: Timestamp,
    },
    /// It is bounded to other days or times.
    Closed {
        /// To which.
        limits: Limits,
        /// When they open next, while its window lasts.
        opens: Option<Timestamp>,
    },
    /// As many sessions as it was for were begun.
    Spent {
        /// How many.
        sessions: u32,
    },
}

/// What holds the request back, if it is approved.
pub(super) fn held(request: &Request, state: &RequestState, now: Timestamp) -> Option<(RequestId, Held)> {
    let RequestState::Approved { window } = state else { return None };
    let limits = &request.limits;
    let why = if window.end <= now {
        return None;
    } else if window.start > now {
        Held::Later { start: window.start }
    } else if limits.are_spent(request.used) {
        Held::Spent { sessions: request.used }
    } else if !limits.is_open(now) {
        let opens = limits.opens(now).filter(|opens| *opens < window.end);
        Held::Closed { limits: Limits { sessions: None, ..limits.clone() }, opens }
    } else {
        return None;
    };
    Some((request.id, why))
}

/// The one that opens soonest.
pub(super) fn soonest(all: impl Iterator<Item = (RequestId, Held)>) -> Option<(RequestId, Held)> {
    all.min_by_key(|(id, held)| {
        let opens = match held {
            Held::Later { start } => Some(*start),
            Held::Closed { opens, .. } => *opens,
            Held::Spent { .. } => None,
        };
        (opens.is_none(), opens, std::cmp::Reverse(*id))
    })
}

impl Held {
    /// Whether it opens without anybody doing anything.
    #[must_use]
    pub fn opens(&self) -> bool {
        matches!(self, Self::Later { .. } | Self::Closed { opens: Some(_), .. })
    }

    /// The sentence about the request of this number.
    #[must_use]
    pub fn sentence(&self, id: RequestId) -> String {
        format!("request {id} is approved, but {self}")
    }
}

/// The end of the sentence.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later { start } => write!(f, "its time begins only at {start}; come again then"),
            Self::Closed { limits, opens: Some(opens) } => {
                write!(f, "is only for {limits}; come again at {opens}")
            }
            Self::Closed { limits, opens: None } => {
                write!(f, "is only for {limits}, and that does not come again before its end")
            }
            Self::Spent { sessions } => write!(
                f,
                "its {sessions} {} used up; `request create` asks for more",
                if *sessions == 1 { "session is" } else { "sessions are" }
            ),
        }
    }
}
