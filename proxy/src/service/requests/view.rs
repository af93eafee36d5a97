//! A request as it is told, and what its session would change.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::id::{RequestId, SessionId};
use tidegate_common::model::{
    Action, Claims, Credential, LeftOut, Limits, Request, RequestState, Review, StateWord, Text, Vote, named,
};
use tidegate_common::name::{AccessGroupName, CredentialName, DeviceName, UserName};
use tidegate_common::time::{Length, Window};
use tidegate_common::unseen::printable;

use crate::service::Services;
use crate::store::SessionRow;

/// A request; its state is one word.
#[derive(Debug, Clone, Serialize)]
pub struct RequestView {
    /// Its number.
    pub id: RequestId,
    /// What has become of it.
    pub state: StateWord,
    /// Who wants access.
    pub user: UserName,
    /// To what.
    pub targets: Vec<CredentialName>,
    /// What was asked for and an approver left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// To do what.
    pub action: Action,
    /// The access group that governs it.
    pub group: AccessGroupName,
    /// What is claimed for it.
    #[serde(flatten)]
    pub claims: Claims,
    /// When it was made.
    pub created: Timestamp,
    /// When it expires if nobody decides.
    pub expires: Timestamp,
    /// From when it is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// For how long it is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Length>,
    /// Days, times and number of sessions that it is bounded to.
    #[serde(skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// How many sessions were begun on it.
    pub used: u32,
    /// How many may still be begun, where they are bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u32>,
    /// The request that it wants more time for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extends: Option<RequestId>,
    /// When it is good, of an approved one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Who revoked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<String>,
    /// When it came to its end before its window did, or without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// What was said when it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_why: Option<Text>,
    /// From where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<IpAddr>,
    /// Who approved or rejected, in order.
    pub votes: Vec<Vote>,
    /// Whether it is an emergency that nobody has looked at yet.
    pub to_review: bool,
    /// Who looked at it, of an emergency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

impl RequestView {
    pub(super) fn of(request: &Request) -> Self {
        let (window, ended) = match &request.state {
            RequestState::Pending => (None, None),
            RequestState::Approved { window } => (Some(*window), None),
            RequestState::Rejected { at }
            | RequestState::Cancelled { at }
            | RequestState::Revoked { at, .. }
            | RequestState::Expired { at } => (None, Some(*at)),
        };
        let (revoked_by, revoked_why) = match &request.state {
            RequestState::Revoked { by, comment, .. } => (Some(by.clone()), comment.clone()),
            _ => (None, None),
        };
        Self {
            id: request.id,
            state: request.state_word(Timestamp::now()),
            user: request.user.clone(),
            targets: request.targets.clone(),
            left_out: request.left_out.clone(),
            action: request.action,
            group: request.group.clone(),
            claims: request.claims.clone(),
            created: request.created,
            expires: request.expires,
            start: request.wish.start,
            duration: request.wish.duration,
            limits: request.limits.clone(),
            used: request.used,
            remaining: request.limits.sessions.map(|most| most.saturating_sub(request.used)),
            extends: request.extends,
            window,
            revoked_by,
            ended,
            revoked_why,
            origin: request.origin,
            votes: request.votes.clone(),
            to_review: request.wants_review(),
            review: request.review.clone(),
        }
    }

    /// Its credentials, as a sentence names them.
    #[must_use]
    pub fn what(&self) -> String {
        named(&self.targets)
    }

    /// Whether it skipped approval.
    #[must_use]
    pub fn is_emergency(&self) -> bool {
        self.claims.emergency.is_some()
    }
}

/// A request, and what its session would change.
#[derive(Debug, Clone, Serialize)]
pub struct ShownRequest {
    /// The request.
    #[serde(flatten)]
    pub request: RequestView,
    /// For how long it would open if it were approved now; none where nobody votes on it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_for: Option<Length>,
    /// The longest session of its group, which bounds that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest: Option<Length>,
    /// On each device; nothing where nothing will be changed any more.
    pub plan: Vec<Plan>,
    /// The sessions that rested on it, the newest first.
    pub sessions: Vec<RequestSession>,
}

/// A session that rested on a request.
#[derive(Debug, Clone, Serialize)]
pub struct RequestSession {
    /// Its id.
    pub id: SessionId,
    /// To what.
    pub target: CredentialName,
    /// From where.
    pub origin: IpAddr,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; none while it lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

impl RequestSession {
    pub(super) fn of(row: SessionRow) -> Self {
        let SessionRow { id, target, origin, started, ended, outcome, .. } = row;
        Self { id, target, origin, started, ended, outcome }
    }
}

/// What the session would change on its device.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Where.
    pub device: DeviceName,
    /// Whether the device's agent says so now; otherwise it is what the credential has.
    pub checked: bool,
    /// One change each.
    pub lines: Vec<String>,
}

pub(super) async fn plan(services: &Services, request: &Request) -> Vec<Plan> {
    let waits = matches!(request.state, RequestState::Pending | RequestState::Approved { .. });
    if !waits || request.action != Action::Session || request.extends.is_some() {
        return Vec::new();
    }
    let snapshot = services.access.snapshot();
    let credentials = request.targets.iter().filter_map(|target| snapshot.credential(target).cloned());
    let changed = credentials.filter(|credential| !credential.privileges.is_empty());
    futures::future::join_all(changed.map(|credential| plan_of(services, credential))).await
}

async fn plan_of(services: &Services, credential: Arc<Credential>) -> Plan {
    let told = services.agents.plan(Arc::clone(&credential)).await;
    let checked = told.is_some();
    let lines = told.unwrap_or_else(|| credential.privileges.iter().map(ToString::to_string).collect());
    let plain = |line: String| line.chars().map(printable).collect();
    let device = credential.name.device.clone();
    Plan { device, checked, lines: lines.into_iter().map(plain).collect() }
}
