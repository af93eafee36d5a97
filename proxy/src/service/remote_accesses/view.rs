//! A remote access as it is told.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{
    Approved, Claims, Limited, RemoteAccess, RemoteAccessState, RemoteAccessWord, Scope, Text,
};
use tidegate_common::name::{UserGroupName, UserName};
use tidegate_common::time::Window;

/// A remote access; its state is one word.
#[derive(Debug, Clone, Serialize)]
pub struct RemoteAccessView {
    /// Its number.
    pub id: RemoteAccessId,
    /// The first of those that were requested with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<RemoteAccessId>,
    /// What has become of it.
    pub state: RemoteAccessWord,
    /// Who may enter.
    pub user: UserName,
    /// As one of which user group.
    pub group: UserGroupName,
    /// What it keeps to; none where it is full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited: Option<Limited>,
    /// What is claimed for it.
    #[serde(flatten)]
    pub claims: Claims,
    /// When it is good.
    pub window: Window,
    /// Who requested it.
    pub by: String,
    /// When.
    pub created: Timestamp,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<IpAddr>,
    /// How many approvals it needs, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed: Option<u8>,
    /// Who approved it.
    pub approvals: Vec<Approved>,
    /// Who rejected or cancelled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// With what remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<Text>,
    /// Sessions that it has admitted.
    pub used: u32,
    /// How many more it admits; none where any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u32>,
    /// How many keys log in for as long as it lasts.
    pub keys: usize,
}

impl RemoteAccessView {
    pub(super) fn of(access: &RemoteAccess) -> Self {
        let (needed, ended_by, remark) = match &access.state {
            RemoteAccessState::Pending { needed, .. } => (Some(*needed), None, None),
            RemoteAccessState::Granted | RemoteAccessState::Expired { .. } => (None, None, None),
            RemoteAccessState::Rejected { by, comment, .. }
            | RemoteAccessState::Cancelled { by, comment, .. } => (None, Some(by.clone()), comment.clone()),
        };
        Self {
            id: access.id,
            batch: access.batch,
            state: access.word_at(Timestamp::now()),
            user: access.user.clone(),
            group: access.group.clone(),
            limited: match &access.scope {
                Scope::Full => None,
                Scope::Limited(limited) => Some(limited.clone()),
            },
            claims: access.claims.clone(),
            window: access.window,
            by: access.by.clone(),
            created: access.created,
            origin: access.origin,
            needed,
            approvals: access.approvals.clone(),
            ended_by,
            remark,
            used: access.used,
            left: access.sessions_left(),
            keys: access.keys.len(),
        }
    }
}
