//! A remote access: a user of a group may enter from outside for a time. It gives no permission on
//! credentials; a limited one takes some away from what access groups give.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Action, Claims, PublicKey, Text};
use crate::choices::choices;
use crate::id::RemoteAccessId;
use crate::name::{CredentialName, DeviceName, UserGroupName, UserName};
use crate::time::{Limitation, Window};

/// One remote access of one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteAccess {
    /// Its number.
    pub id: RemoteAccessId,
    /// The first of those that were requested with it for a whole group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<RemoteAccessId>,
    /// Who may enter.
    pub user: UserName,
    /// As one of which user group; its locations hold.
    pub group: UserGroupName,
    /// What they may reach.
    pub scope: Scope,
    /// What is claimed for it.
    pub claims: Claims,
    /// When.
    pub window: Window,
    /// Who requested it, as the audit log calls them.
    pub by: String,
    /// When it was requested.
    pub created: Timestamp,
    /// From where.
    pub origin: Option<IpAddr>,
    /// What has become of it.
    pub state: RemoteAccessState,
    /// Who approved it, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approved>,
    /// Sessions that it has admitted.
    #[serde(default)]
    pub used: u32,
    /// Whether somebody was told that it ends.
    #[serde(default)]
    pub end_told: bool,
    /// Keys that log the user in for as long as it lasts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<PublicKey>,
    /// Whether it was given before the user of that name was made: it is another's, and a limited user
    /// does not go with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub before_user: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// One approval of a remote access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// Who.
    pub by: UserName,
    /// When.
    pub at: Timestamp,
    /// From where.
    pub origin: Option<IpAddr>,
    /// With what remark.
    pub comment: Option<Text>,
}

/// What a remote access reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All that the user's access groups allow.
    Full,
    /// Of that, what is named here.
    Limited(Limited),
}

/// Devices, credentials, times and sessions that a limited access keeps to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limited {
    /// Sessions with every credential on these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceName>,
    /// These, each for what stands beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<AllowedCredential>,
    /// Days and times.
    #[serde(default)]
    pub times: Limitation,
    /// So many sessions; any number where none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
}

/// A credential, and what may be done with it: written `ops@db01`, `ops@db01:view-password` or
/// `ops@db01:login,view-password`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedCredential {
    /// Which.
    pub name: CredentialName,
    /// What for.
    pub actions: Vec<Action>,
}

impl FromStr for AllowedCredential {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, actions) = text.split_once(':').unwrap_or((text, "login"));
        let name = name.parse().map_err(|error| format!("{error}"))?;
        let action = |word: &str| match word {
            "login" => Ok(Action::Session),
            "view-password" => Ok(Action::ViewPassword),
            other => Err(format!(
                "`{}` is nothing that a credential can be opened for; use login or view-password",
                crate::unseen::quoted(other, 40)
            )),
        };
        let mut actions = actions.split(',').map(action).collect::<Result<Vec<_>, _>>()?;
        actions.dedup();
        Ok(Self { name, actions })
    }
}

impl fmt::Display for AllowedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |action: &Action| match action {
            Action::Session => "login",
            Action::ViewPassword => "view-password",
        };
        let actions: Vec<_> = self.actions.iter().map(word).collect();
        write!(f, "{}:{}", self.name, actions.join(","))
    }
}

impl Limited {
    /// Whether it opens this.
    #[must_use]
    pub fn reaches(&self, target: &CredentialName, action: Action) -> bool {
        match self.credentials.iter().find(|allowed| allowed.name == *target) {
            Some(allowed) => allowed.actions.contains(&action),
            None => action == Action::Session && self.devices.contains(&target.device),
        }
    }

    /// How many sessions are left; none where any number is.
    #[must_use]
    pub fn left(&self, used: u32) -> Option<u32> {
        self.sessions.map(|most| most.saturating_sub(used))
    }
}

/// What has become of a remote access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RemoteAccessState {
    /// Waits for so many approvals.
    Pending {
        /// How many it needs.
        needed: u8,
        /// When it expires if nobody decides.
        until: Timestamp,
    },
    /// Good within its window.
    Granted,
    /// Somebody said no.
    Rejected { at: Timestamp, by: String, comment: Option<Text> },
    /// Somebody took it back, maybe while in use.
    Cancelled { at: Timestamp, by: String, comment: Option<Text> },
    /// Nobody decided in time.
    Expired { at: Timestamp },
}

impl RemoteAccessState {
    /// As it is written down.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Granted => "granted",
            Self::Rejected { .. } => "rejected",
            Self::Cancelled { .. } => "cancelled",
            Self::Expired { .. } => "expired",
        }
    }
}

choices! {
    /// The state of a remote access at a moment.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "kebab-case")]
    RemoteAccessWord: "state of a remote access" {
        /// Waits for approval.
        Pending = "pending",
        /// Begins later.
        Upcoming = "upcoming",
        /// Good now.
        Active = "active",
        /// Was good in its time.
        Over = "over",
        /// Somebody said no.
        Rejected = "rejected",
        /// Somebody took it back.
        Cancelled = "cancelled",
        /// Nobody decided in time.
        Expired = "expired",
    }
}

impl RemoteAccess {
    /// What it is at a moment, in one word.
    #[must_use]
    pub fn word_at(&self, now: Timestamp) -> RemoteAccessWord {
        match &self.state {
            RemoteAccessState::Rejected { .. } => RemoteAccessWord::Rejected,
            RemoteAccessState::Cancelled { .. } => RemoteAccessWord::Cancelled,
            RemoteAccessState::Expired { .. } => RemoteAccessWord::Expired,
            RemoteAccessState::Pending { until, .. } if *until <= now || self.window.end <= now => {
                RemoteAccessWord::Expired
            }
            RemoteAccessState::Pending { .. } => RemoteAccessWord::Pending,
            RemoteAccessState::Granted if self.window.end <= now => RemoteAccessWord::Over,
            RemoteAccessState::Granted if now < self.window.start => RemoteAccessWord::Upcoming,
            RemoteAccessState::Granted => RemoteAccessWord::Active,
        }
    }

    /// The state it has at a moment: time alone expires one that nobody decided on.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> RemoteAccessState {
        match &self.state {
            RemoteAccessState::Pending { until, .. } if self.word_at(now) == RemoteAccessWord::Expired => {
                RemoteAccessState::Expired { at: self.window.end.min(*until) }
            }
            state => state.clone(),
        }
    }

    /// Whether it may be, or become, good.
    #[must_use]
    pub fn stands_at(&self, now: Timestamp) -> bool {
        use RemoteAccessWord::{Active, Pending, Upcoming};
        matches!(self.word_at(now), Active | Pending | Upcoming)
    }

    /// How many sessions are left; none where any number is.
    #[must_use]
    pub fn sessions_left(&self) -> Option<u32> {
        match &self.scope {
            Scope::Full => None,
            Scope::Limited(limited) => limited.left(self.used),
        }
    }
}
