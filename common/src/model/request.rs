//! A wish for access, with what is claimed for it and who approved. It grants
//! nothing by itself: [`crate::policy::decide()`] does, when it sees one approved.

mod limits;
mod span;
mod urgent;

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::{AccessGroup, Action, Level, Terms, Text};
use crate::choices::choices;
use crate::id::RequestId;
use crate::name::{AccessGroupName, ChangeId, CredentialName, ReasonName, UserName};
use crate::time::{Length, Window};
pub use limits::Limits;
pub use span::{NoTime, can_be_asked, comes};
pub use urgent::{maybe_urgent, urgent};

/// What a user says for an access.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Why, in free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<Text>,
    /// Why, as registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonName>,
    /// The planned change it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeId>,
    /// The organisation's code for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governance: Option<Text>,
    /// That it is an emergency, and why: the second justification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Text>,
}

impl Claims {
    /// These, and what they leave open from `other`. An emergency is never taken over.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            justification: self.justification.clone().or_else(|| other.justification.clone()),
            reason: self.reason.clone().or_else(|| other.reason.clone()),
            change: self.change.clone().or_else(|| other.change.clone()),
            governance: self.governance.clone().or_else(|| other.governance.clone()),
            emergency: self.emergency.clone(),
        }
    }
}

/// When a requester wants access; approval without a `start` opens it at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// From when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// For how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Length>,
}

/// One request: one user, one action, one or more credentials under one access group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// Who wants access.
    pub user: UserName,
    /// To what. An approver may leave some out.
    #[serde(alias = "target", deserialize_with = "one_or_more")]
    pub targets: Vec<CredentialName>,
    /// What was asked for and an approver left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// To do what.
    pub action: Action,
    /// What is claimed for it.
    pub claims: Claims,
    /// The access group that governed when it was made; its approvers decide.
    pub group: AccessGroupName,
    /// When it is wanted.
    pub wish: Wish,
    /// What it is bounded to beside its window.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// The approved request that it wants more time for. Such a one grants nothing itself:
    /// its approval moves the other's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<RequestId>,
    /// When it was made.
    pub created: Timestamp,
    /// When it expires if nobody decides.
    pub expires: Timestamp,
    /// From where it was made.
    pub origin: Option<IpAddr>,
    /// What has become of it.
    pub state: RequestState,
    /// Who approved or rejected, in order.
    pub votes: Vec<Vote>,
    /// Who looked at it afterwards, of an emergency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// How many sessions were begun on it. The store counts them beside the rest.
    #[serde(skip)]
    pub used: u32,
}

/// A request of before names one credential.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CredentialName>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(CredentialName),
        More(Vec<CredentialName>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(one) => vec![one],
        Either::More(more) => more,
    })
}

/// A credential that an approver left out of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Which.
    pub target: CredentialName,
    /// By whom.
    pub by: UserName,
    /// When.
    pub at: Timestamp,
}

/// An approver's look at an emergency, which nobody had approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// Who.
    pub by: UserName,
    /// When.
    pub at: Timestamp,
    /// From where.
    pub origin: Option<IpAddr>,
    /// With what remark.
    pub comment: Option<Text>,
}

/// What has become of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RequestState {
    /// Waits for approvers.
    Pending,
    /// Good within the window.
    Approved { window: Window },
    /// An approver said no.
    Rejected { at: Timestamp },
    /// The requester took it back.
    Cancelled { at: Timestamp },
    /// An approver or administrator took it back, maybe while in use.
    Revoked { at: Timestamp, by: String, comment: Option<Text> },
    /// Nobody decided in time.
    Expired { at: Timestamp },
}

impl RequestState {
    /// One word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved { .. } => "approved",
            Self::Rejected { .. } => "rejected",
            Self::Cancelled { .. } => "cancelled",
            Self::Revoked { .. } => "revoked",
            Self::Expired { .. } => "expired",
        }
    }
}

choices! {
    /// A request's state as lists name it: an approval whose window has ended is over.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "kebab-case")]
    StateWord: "state of a request" {
        /// Waits for approvers.
        Pending = "pending",
        /// Good within its window.
        Approved = "approved",
        /// Was good within its window.
        Over = "over",
        /// An approver said no.
        Rejected = "rejected",
        /// The requester took it back.
        Cancelled = "cancelled",
        /// An approver or administrator took it back.
        Revoked = "revoked",
        /// Nobody decided in time.
        Expired = "expired",
    }
}

/// What one approver said. A person has one vote in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Who.
    pub by: UserName,
    /// In whose place, where not in their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_in_for: Option<UserName>,
    /// In which level.
    pub level: Level,
    /// Yes or no.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
    /// From where.
    pub origin: Option<IpAddr>,
    /// With what remark.
    pub comment: Option<Text>,
}

impl Vote {
    /// In whose place it was given.
    #[must_use]
    pub fn place_of(&self) -> &UserName {
        self.stands_in_for.as_ref().unwrap_or(&self.by)
    }
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Yes.
    Approve,
    /// No.
    Reject,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
        })
    }
}

impl Request {
    /// The state at a moment: a pending request whose time is over has expired,
    /// whether or not anybody wrote that down.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> RequestState {
        match &self.state {
            RequestState::Pending if self.expires <= now => RequestState::Expired { at: self.expires },
            state => state.clone(),
        }
    }

    /// The same under its group as it is now: no window is longer than the group's longest
    /// session, and an emergency's no longer than what the group gives one.
    #[must_use]
    pub fn state_under(&self, group: &AccessGroup, now: Timestamp) -> RequestState {
        match self.state_at(now) {
            RequestState::Approved { window } => {
                let terms = group.terms(self.action).filter(|_| self.is_emergency());
                let most = [group.conditions.longest, terms.map(Terms::emergency_window)];
                let ends = most.into_iter().flatten().map(|most| most.after(window.start));
                let end = ends.fold(window.end, Timestamp::min);
                RequestState::Approved { window: Window { end, ..window } }
            }
            state => state,
        }
    }

    /// The state at a moment in one word.
    #[must_use]
    pub fn state_word(&self, now: Timestamp) -> StateWord {
        match self.state_at(now) {
            RequestState::Pending => StateWord::Pending,
            RequestState::Approved { window } if window.end <= now => StateWord::Over,
            RequestState::Approved { .. } => StateWord::Approved,
            RequestState::Rejected { .. } => StateWord::Rejected,
            RequestState::Cancelled { .. } => StateWord::Cancelled,
            RequestState::Revoked { .. } => StateWord::Revoked,
            RequestState::Expired { .. } => StateWord::Expired,
        }
    }

    /// Its credentials, as a sentence names them: `ops@db01`, `ops@db01 and 2 more`.
    #[must_use]
    pub fn what(&self) -> String {
        named(&self.targets)
    }

    /// Whether it is an emergency that nobody has looked at yet.
    #[must_use]
    pub fn wants_review(&self) -> bool {
        self.is_emergency() && self.review.is_none()
    }

    /// Whether it skipped approval.
    #[must_use]
    pub fn is_emergency(&self) -> bool {
        self.claims.emergency.is_some()
    }

    /// Whether somebody approved it; where nobody had to, the rules alone did.
    #[must_use]
    pub fn has_approval(&self) -> bool {
        self.votes.iter().any(|vote| vote.verdict == Verdict::Approve)
    }
}

/// The first, and how many more.
#[must_use]
pub fn named(targets: &[CredentialName]) -> String {
    match targets {
        [] => "nothing".to_owned(),
        [one] => one.to_string(),
        [one, other] => format!("{one} and {other}"),
        [one, more @ ..] => format!("{one} and {} more", more.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_before_reads_with_its_one_credential() {
        let before = r#"{"id":7,"user":"operator","target":"ops@db01","action":"session","claims":{},
            "group":"dba","wish":{},"created":"2026-06-01T12:00:00Z","expires":"2026-06-02T12:00:00Z",
            "origin":null,"state":{"state":"pending"},"votes":[]}"#;
        let read: Request = serde_json::from_str(before).unwrap();
        assert_eq!(named(&read.targets), "ops@db01");
        assert!(read.limits.is_none() && read.extends.is_none() && read.left_out.is_empty());
        let again: Request = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
        let more = before.replace(r#""target":"ops@db01""#, r#""targets":["ops@db01","a@b","c@d"]"#);
        let read: Request = serde_json::from_str(&more).unwrap();
        assert_eq!(read.what(), "ops@db01 and 2 more");
    }
}
