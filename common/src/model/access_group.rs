//! Who may use which credentials, under which conditions (docs: "Access group").

mod check;
mod resource;

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
    /// When the group grants at all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limitation: Limitation,
    /// What a session may do.
    #[serde(default, skip_serializing_if = "is_default")]
    pub conditions: Conditions,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
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

/// Somebody who approves, and in which level.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// Who.
    pub user: UserName,
    /// In which level.
    #[serde(default)]
    pub level: Level,
}

/// 1, 2 or 3; 1 approves first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Level(u8);

impl Default for Level {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u8> for Level {
    type Error = String;
    fn try_from(level: u8) -> Result<Self, String> {
        match level {
            1..=3 => Ok(Self(level)),
            _ => Err(format!("{level} is no level; use 1, 2 or 3")),
        }
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> u8 {
        level.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
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
    /// How much of a channel without a terminal is kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exec_output_limit: ByteSize,
    /// Whether the recording also holds what is typed, passwords included.
    #[serde(default, skip_serializing_if = "is_default")]
    pub record_input: bool,
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
                Err(format!("`{}` is no forward; use local, remote, x11 or agent", other.escape_default()))
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

/// A number of bytes, as written: `512 KiB`, `8 MiB`; 8 MiB unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(u64);

impl ByteSize {
    /// How many bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl Default for ByteSize {
    fn default() -> Self {
        Self(8 << 20)
    }
}

const UNITS: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

impl FromStr for ByteSize {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (unit, shift) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
            let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            number.checked_mul(1 << shift).filter(|bytes| *bytes <= 1 << 40)
        };
        read().map(Self).ok_or_else(|| {
            let text: String = text.chars().take(40).flat_map(char::escape_default).collect();
            format!("`{text}` is no size; write it as 512 KiB, 8 MiB or 1 GiB (at most 1 TiB)")
        })
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> String {
        size.to_string()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, shift): &&(&str, u32)| self.0 >= 1 << shift && self.0.is_multiple_of(1 << shift);
        let (unit, shift) = UNITS.iter().find(fits).unwrap_or(&("B", 0));
        f.pad(&format!("{} {unit}", self.0 >> shift))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print_with_their_unit() {
        for (text, bytes) in
            [("8 MiB", 8 << 20), ("512KiB", 512 << 10), ("0 B", 0), ("1000 B", 1000), ("1 TiB", 1 << 40)]
        {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.bytes(), bytes);
            assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }
        for text in ["8", "MiB", "-1 MiB", "8 MB", "99999999999 GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
