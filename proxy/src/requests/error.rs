//! Why something could not be done with a request.

use tidegate_common::id::RequestId;
use tidegate_common::name::{AccessGroupName, CredentialName, ReasonName};
use tidegate_common::policy::{Needs, NoVote, Refusal};
use tidegate_common::time::Length;

use super::create::{MOST_SESSIONS, MOST_TARGETS};
use super::extend::NoExtension;
use super::review::NoReview;
use crate::access::Behind;
use crate::audit_log::AuditError;
use crate::store::StoreError;
use crate::turn::Retryable;
use tidegate_common::model::NoTime;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is none of that number, or none that concerns the one who asks.
    #[error("there is no request {0} that concerns you; `request list` shows those that do")]
    Unknown(RequestId),
    /// Policy refuses the access.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Nobody has to approve, and nothing has to be said.
    #[error("{0} needs no approval and no word: connect with ssh")]
    NotNeeded(CredentialName),
    /// The group asks for more.
    #[error("access group `{}` asks for more: {}", .0.group, missing(.0))]
    Missing(Box<Needs>),
    /// The group allows no emergency access.
    #[error("access group `{0}` allows no emergency access; make an ordinary request")]
    NoEmergency(AccessGroupName),
    /// The reason is none, or is disabled.
    #[error("`{named}` is no reason that can be chosen{}", of_these(.known))]
    NoReason {
        /// What was said.
        named: ReasonName,
        /// Those that can be.
        known: Vec<ReasonName>,
    },
    /// More credentials than one request takes, or none.
    #[error("a request is for {MOST_TARGETS} credentials at most, and for one at least")]
    Targets,
    /// No session at all, or more than anybody counts.
    #[error("a request is for 1 to {MOST_SESSIONS} sessions; leave the number out to bound nothing")]
    Sessions,
    /// Its credentials came under several groups meanwhile.
    #[error("its credentials are under several access groups now; ask again")]
    Apart,
    /// An emergency that is to be bounded.
    #[error("an emergency is bounded by its access group; leave days, times and sessions out")]
    EmergencyLimits,
    /// More time for what is not to be extended.
    #[error("request {id} can't be extended: {why}")]
    NoExtension {
        /// Which request.
        id: RequestId,
        /// Why not.
        why: NoExtension,
    },
    /// It gave another one more time.
    #[error("request {id} has given request {of} more time; take that one back")]
    Extended {
        /// This one.
        id: RequestId,
        /// That one.
        of: RequestId,
    },
    /// The approver names what nobody asked for.
    #[error("request {id} is not for {target}")]
    NotIn {
        /// Which request.
        id: RequestId,
        /// What was named.
        target: CredentialName,
    },
    /// One like it waits already.
    #[error("request {id} for {target} waits already")]
    Waiting {
        /// That one.
        id: RequestId,
        /// For what.
        target: CredentialName,
    },
    /// An emergency that is to begin later.
    #[error("an emergency begins now; leave the start out, or make an ordinary request")]
    EmergencyStart,
    /// More than any session under the group takes.
    #[error("access group `{group}` gives {longest} at most; ask for no more")]
    TooLong {
        /// Which group.
        group: AccessGroupName,
        /// Its longest session.
        longest: Length,
    },
    /// This person may not review it now.
    #[error("request {id} takes no review of yours: {why}")]
    NoReview {
        /// Which request.
        id: RequestId,
        /// Why not.
        why: NoReview,
    },
    /// An emergency of the kind is open.
    #[error("request {id} for {target} is an emergency that is open already: connect with ssh")]
    Open {
        /// That one.
        id: RequestId,
        /// For what.
        target: CredentialName,
    },
    /// The user has too many that wait.
    #[error("too many of your requests wait already; cancel some with `request cancel`")]
    TooMany,
    /// Nobody has looked at the user's last emergencies.
    #[error("too many of your emergencies wait for their review; ask an approver for `request review`")]
    Unreviewed,
    /// The start is over or more than a year away.
    #[error("the start must lie in the future, at most a year ahead")]
    Start,
    /// Nobody asks for such a time.
    #[error(transparent)]
    Time(#[from] NoTime),
    /// The approver gave more time than was asked for.
    #[error("an approval may shorten what was asked for ({asked}), not lengthen it")]
    Longer {
        /// What was asked for.
        asked: Length,
    },
    /// It does not wait, or is not good any more.
    #[error("request {id} is {state} already")]
    State {
        /// Which request.
        id: RequestId,
        /// What it is.
        state: &'static str,
    },
    /// The group that governs it was deleted.
    #[error("the access group of request {0} is gone; ask its requester to make a new one")]
    GroupGone(RequestId),
    /// This person may not vote on it now.
    #[error("request {id} takes no vote of yours: {why}")]
    NoVote {
        /// Which request.
        id: RequestId,
        /// Why not.
        why: NoVote,
    },
    /// Only the requester cancels.
    #[error("request {0} is not yours to cancel; `request revoke` takes it back")]
    NotYours(RequestId),
    /// Only the requester asks for more time.
    #[error("request {0} is not yours to extend; its requester asks for more time")]
    NotYourTime(RequestId),
    /// The requester cancels rather than revokes.
    #[error("request {0} is your own; `request cancel` takes it back")]
    Cancel(RequestId),
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log failed; nothing was changed.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// This gate is too old for what another one wrote.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// The proxy is stopping.
    #[error("the gate is stopping; try again later")]
    Stopping,
}

impl Retryable for RequestError {
    fn is_changed(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Changed),
            Self::Audit(error) => error.is_changed(),
            _ => false,
        }
    }
}

fn of_these(known: &[ReasonName]) -> String {
    let names: Vec<_> = known.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        "; none is registered and enabled".to_owned()
    } else {
        format!("; choose one of {}", names.join(", "))
    }
}

fn missing(needs: &Needs) -> String {
    let reasons: Vec<_> = needs.reasons.iter().map(ToString::to_string).collect();
    let parts = [
        needs.justification.then(|| "a justification (--justification)".to_owned()),
        (!reasons.is_empty()).then(|| format!("a reason (--reason, one of {})", reasons.join(", "))),
        needs.change.as_ref().map(|need| format!("an approved change (--change ID; {need})")),
        needs.refused_code.clone(),
        (needs.governance && needs.refused_code.is_none())
            .then(|| "a governance code (--governance)".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
