//! A request as it is told, and what its session would change.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::id::RequestId;
use tidegate_common::model::{Action, Claims, Request, RequestState, Review, StateWord, Vote};
use tidegate_common::name::{AccessGroupName, CredentialName, DeviceName, UserName};
use tidegate_common::time::{Length, Window};
use tidegate_common::unseen::printable;

use crate::service::Services;

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
    pub target: CredentialName,
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
    /// When it is good, of an approved one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Who revoked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<String>,
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
        let (window, revoked_by) = match &request.state {
            RequestState::Approved { window } => (Some(*window), None),
            RequestState::Revoked { by, .. } => (None, Some(by.clone())),
            _ => (None, None),
        };
        Self {
            id: request.id,
            state: request.state_word(Timestamp::now()),
            user: request.user.clone(),
            target: request.target.clone(),
            action: request.action,
            group: request.group.clone(),
            claims: request.claims.clone(),
            created: request.created,
            expires: request.expires,
            start: request.wish.start,
            duration: request.wish.duration,
            window,
            revoked_by,
            origin: request.origin,
            votes: request.votes.clone(),
            to_review: request.wants_review(),
            review: request.review.clone(),
        }
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
    /// None where nothing will be changed any more.
    pub plan: Option<Plan>,
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

pub(super) async fn plan(services: &Services, request: &Request) -> Option<Plan> {
    let snapshot = services.access.snapshot();
    let credential = snapshot.credential(&request.target).cloned();
    let waits = matches!(request.state, RequestState::Pending | RequestState::Approved { .. });
    let credential =
        credential.filter(|one| waits && request.action == Action::Session && !one.privileges.is_empty())?;
    let device = request.target.device.clone();
    let told = services.agents.plan(Arc::clone(&credential)).await;
    let checked = told.is_some();
    let lines = told.unwrap_or_else(|| credential.privileges.iter().map(ToString::to_string).collect());
    let plain = |line: String| line.chars().map(printable).collect();
    Some(Plan { device, checked, lines: lines.into_iter().map(plain).collect() })
}
