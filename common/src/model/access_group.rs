//! Who may use which credentials, under which conditions (docs: "Access group").

mod approver;
mod byte_size;
mod check;
mod resource;
mod review;

pub use approver::{Approver, ApproverKind, Level};
pub use byte_size::ByteSize;
pub(super) use resource::read_conditions;
pub use review::{Confirmed, GroupReview, ReviewTerms};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Pattern, Text};
use crate::name::{AccessGroupName, UserName};
use crate::time::{Length, Limitation, Schedule};

/// What a user wants to do with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Start a session.
    Session,
    /// View the password.
    ViewPassword,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Session => "session",
            Self::ViewPassword => "view password",
        })
    }
}

/// One `[[access_group]]`. An action without its terms is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessGroup {
    /// Its name.
    pub name: AccessGroupName,
    /// For people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Who may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserName>,
    /// Who approves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Approver>,
    /// Who is told what was decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy: Vec<UserName>,
    /// Which credentials.
    #[serde(default)]
    pub criteria: Criteria,
    /// Starting a session, if allowed at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Terms>,
    /// Viewing a password, if allowed at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Terms>,
    /// What every request must carry.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request: RequestTerms,
    /// How often somebody confirms its users, if anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewTerms>,
    /// When the group grants at all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limitation: Limitation,
    /// What a session may do.
    #[serde(default, skip_serializing_if = "is_default")]
    pub conditions: Conditions,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl AccessGroup {
    /// The terms of the action, if the group allows it.
    #[must_use]
    pub fn terms(&self, action: Action) -> Option<&Terms> {
        match action {
            Action::Session => self.session.as_ref(),
            Action::ViewPassword => self.password.as_ref(),
        }
    }

    /// Whether a session's user is told who watches it.
    #[must_use]
    pub fn tells_of_watchers(&self) -> bool {
        !self.session.as_ref().is_some_and(|terms| terms.silent_watch)
    }
}

/// What an action demands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// A free text, and a registered reason where any is enabled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub justification: bool,
    /// The id of a planned change (sessions only).
    #[serde(default, skip_serializing_if = "is_default")]
    pub change: bool,
    /// The approval of other people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Whether approval may be skipped in an emergency, with a second justification.
    #[serde(default, skip_serializing_if = "is_default")]
    pub emergency: bool,
    /// The longest that an emergency opens; an hour unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency_window: Option<Length>,
    /// Whether the user is not told that somebody watches (sessions only).
    #[serde(default, skip_serializing_if = "is_default")]
    pub silent_watch: bool,
}

impl Terms {
    /// More is no emergency any more.
    pub(super) const MOST_EMERGENCY: Length = Length::hours(24);

    /// The longest that an emergency opens.
    #[must_use]
    pub fn emergency_window(&self) -> Length {
        self.emergency_window.unwrap_or(Length::minutes(60))
    }
}

/// How approval is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// How many distinct people approve (in each level, if it is in levels).
    #[serde(default = "one")]
    pub needed: u8,
    /// How many rejections end the request. In levels, one does.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub rejections: u8,
    /// Level by level, from the lowest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub levels: bool,
    /// Days and times at which approval is needed at all (in the limitation's zone).
    #[serde(default, skip_serializing_if = "Schedule::is_always")]
    pub when: Schedule,
}

fn one() -> u8 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_one(value: &u8) -> bool {
    *value == 1
}

/// Which credentials: within a field one value is enough, between fields all must
/// match, and an empty field matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criteria {
    /// Device names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Pattern>,
    /// Products of devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<Pattern>,
    /// Account names of credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Pattern>,
    /// Tags of devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_tags: Vec<Pattern>,
    /// Tags of credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credential_tags: Vec<Pattern>,
    /// Sites (websites) of devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<Pattern>,
    /// Types of devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_types: Vec<Pattern>,
    /// Types of credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credential_types: Vec<Pattern>,
}

impl Criteria {
    /// Whether no field says anything; such criteria match nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether they match other credentials for each user.
    pub(crate) fn names_user(&self) -> bool {
        let Self {
            devices,
            products,
            accounts,
            device_tags,
            credential_tags,
            sites,
            device_types,
            credential_types,
        } = self;
        let fields = [
            devices,
            products,
            accounts,
            device_tags,
            credential_tags,
            sites,
            device_types,
            credential_types,
        ];
        fields.into_iter().flatten().any(Pattern::names_user)
    }
}

/// What every request under the group must carry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestTerms {
    /// A governance code.
    #[serde(default, skip_serializing_if = "is_default")]
    pub governance: bool,
    /// A registered reason, also where nobody has to justify.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reason: bool,
}

/// What a session under the group may do; off unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// Forwards that may be opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forwards: Vec<Forward>,
    /// The longest a session may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<Length>,
    /// How many sessions there may be at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sessions_at_once: AtOnce,
    /// How much of a channel without a terminal is kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exec_output_limit: ByteSize,
    /// Whether the recording also holds what is typed, passwords included.
    #[serde(default, skip_serializing_if = "is_default")]
    pub record_input: bool,
}

/// How many sessions there may be at once; as many as one likes where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtOnce {
    /// That one user has by this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_user: Option<u16>,
    /// To one credential, by whichever group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_credential: Option<u16>,
}

impl AtOnce {
    /// Whether it bounds nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a session can carry beside its own channels (RFC 4254, 6.3 and 7; OpenSSH PROTOCOL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forward {
    /// `ssh -L` and `-D`: connections from the client to what the device reaches.
    Local,
    /// `ssh -R`: connections from the device to what the client reaches.
    Remote,
    /// X11 windows on the client.
    X11,
    /// The client's authentication agent.
    Agent,
}

impl FromStr for Forward {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "local" => Ok(Self::Local),
            "remote" => Ok(Self::Remote),
            "x11" => Ok(Self::X11),
            "agent" => Ok(Self::Agent),
            other => {
                let shown = crate::unseen::quoted(other, 40);
                Err(format!("`{shown}` is no forward; use local, remote, x11 or agent"))
            }
        }
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::X11 => "x11",
            Self::Agent => "agent",
        })
    }
}
