//! Planned work: a window, devices and the commands that are expected, and how what ran is held
//! against it. A change grants nothing by itself; [`crate::policy::decide()`] lets a session rest
//! on one that is approved, where an access group demands that.

mod command;
mod compare;
mod draft;
mod processes;
mod programs;
mod report;
#[cfg(test)]
mod tests;

pub use command::CommandPattern;
pub use compare::{Comparer, Unexpected};
pub use draft::{Draft, DraftError, DraftPart};
pub use programs::{base, is_interpreter, is_shell};
pub use report::{Outcome, Report, Score};

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{AccessGroup, Snapshot, Text};
use crate::name::{AccessGroupName, ChangeId, DeviceName, UserName};

/// Expected commands of one change, at most.
pub const MOST_EXPECTED: usize = 500;

/// Devices of one change, at most.
pub const MOST_DEVICES: usize = 256;

/// People responsible for one change, at most.
pub const MOST_RESPONSIBLE: usize = 32;

/// One planned piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// As the organisation calls it.
    pub id: ChangeId,
    /// In a few words.
    pub title: Text,
    /// In more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// From when on sessions may rest on it.
    pub start: Timestamp,
    /// Until when: sessions that rest on it end then.
    pub due: Timestamp,
    /// Under which access group.
    pub group: AccessGroupName,
    /// On which devices.
    pub devices: Vec<DeviceName>,
    /// What shall run.
    pub expected: Vec<Expected>,
    /// Whether in this order.
    #[serde(default)]
    pub ordered: bool,
    /// Who is told of what is not expected, and reads the report.
    pub responsible: Vec<UserName>,
    /// Whether what is not expected ends the session.
    #[serde(default)]
    pub interrupt: bool,
    /// Who wrote it.
    pub author: UserName,
    /// When.
    pub created: Timestamp,
    /// What has become of it.
    pub state: ChangeState,
}

/// One expected command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// A line, or a pattern with `*`.
    pub command: CommandPattern,
    /// Whether nothing is missing without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// What has become of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ChangeState {
    /// Somebody else than its author has to approve it.
    WaitingApproval,
    /// Sessions may rest on it.
    Approved { by: String, at: Timestamp, comment: Option<Text> },
    /// An approver said no.
    Rejected { by: String, at: Timestamp, comment: Option<Text> },
    /// It was taken back, maybe while in use.
    Cancelled { by: String, at: Timestamp, comment: Option<Text> },
    /// It is closed, and all that had to run did.
    Executed { by: String, at: Timestamp, comment: Option<Text> },
    /// It is closed, and something that had to run did not.
    PartiallyExecuted { by: String, at: Timestamp, comment: Option<Text> },
    /// Nobody approved it until it was due; the store keeps it waiting.
    Expired { at: Timestamp },
}

/// A change's state in a word or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeStateWord {
    /// Somebody else than its author has to approve it.
    WaitingApproval,
    /// Sessions may rest on it.
    Approved,
    /// An approver said no.
    Rejected,
    /// It was taken back.
    Cancelled,
    /// All that had to run did.
    Executed,
    /// Something that had to run did not.
    PartiallyExecuted,
    /// Nobody approved it until it was due.
    Expired,
}

impl ChangeStateWord {
    /// In the order in which they come.
    pub const ALL: [Self; 7] = [
        Self::WaitingApproval,
        Self::Approved,
        Self::Rejected,
        Self::Cancelled,
        Self::Executed,
        Self::PartiallyExecuted,
        Self::Expired,
    ];

    /// As command lines and the store write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::WaitingApproval => "waiting-approval",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Executed => "executed",
            Self::PartiallyExecuted => "partially-executed",
            Self::Expired => "expired",
        }
    }
}

/// As a sentence says it.
impl fmt::Display for ChangeStateWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::WaitingApproval => "waiting for approval",
            Self::PartiallyExecuted => "partially executed",
            other => other.word(),
        })
    }
}

impl FromStr for ChangeStateWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|state| state.word() == text)
            .ok_or_else(|| format!("`{}` is no state of a change", crate::unseen::quoted(text, 40)))
    }
}

/// Why a change covers no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCovered {
    /// There is none of that id, or it is another access group's. Both read alike.
    #[error("there is no change `{0}` that is open to you")]
    Unknown(ChangeId),
    /// Nobody has approved it, or it is over.
    #[error("change `{id}` is {state}")]
    State {
        /// Which.
        id: ChangeId,
        /// What it is.
        state: ChangeStateWord,
    },
    /// It is about other devices.
    #[error("change `{id}` is not for {device}, only for {}", list(.devices))]
    Device {
        /// Which.
        id: ChangeId,
        /// Where the session would go.
        device: DeviceName,
        /// Its devices.
        devices: Vec<DeviceName>,
    },
    /// It has not begun.
    #[error("change `{id}` begins only at {start}")]
    Early {
        /// Which.
        id: ChangeId,
        /// When it begins.
        start: Timestamp,
    },
    /// Its time is over.
    #[error("the time of change `{id}` was over at {due}")]
    Late {
        /// Which.
        id: ChangeId,
        /// When it was over.
        due: Timestamp,
    },
}

fn list(devices: &[DeviceName]) -> String {
    const SHOWN: usize = 8;
    let mut names: Vec<_> = devices.iter().take(SHOWN).map(ToString::to_string).collect();
    if devices.len() > SHOWN {
        names.push(format!("{} more", devices.len() - SHOWN));
    }
    names.join(", ")
}

/// Why a person may not approve or reject a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoApproval {
    /// They wrote it.
    #[error("nobody approves their own change")]
    Own,
    /// They are no approver of its access group.
    #[error("only an approver of its access group does that")]
    Stranger,
}

impl Change {
    /// The state in a word.
    #[must_use]
    pub fn state_word(&self) -> ChangeStateWord {
        match self.state {
            ChangeState::WaitingApproval => ChangeStateWord::WaitingApproval,
            ChangeState::Approved { .. } => ChangeStateWord::Approved,
            ChangeState::Rejected { .. } => ChangeStateWord::Rejected,
            ChangeState::Cancelled { .. } => ChangeStateWord::Cancelled,
            ChangeState::Executed { .. } => ChangeStateWord::Executed,
            ChangeState::PartiallyExecuted { .. } => ChangeStateWord::PartiallyExecuted,
            ChangeState::Expired { .. } => ChangeStateWord::Expired,
        }
    }

    /// The same as it reads at a moment: time alone expires one that nobody decided on.
    #[must_use]
    pub fn read_at(self, now: Timestamp) -> Self {
        match self.state {
            ChangeState::WaitingApproval if self.due <= now => {
                Self { state: ChangeState::Expired { at: self.due }, ..self }
            }
            _ => self,
        }
    }

    /// Whether a session on the device under the access group may rest on it at the moment.
    ///
    /// # Errors
    /// Why not.
    pub fn covers(
        &self,
        group: &AccessGroupName,
        device: &DeviceName,
        now: Timestamp,
    ) -> Result<(), NotCovered> {
        let id = || self.id.clone();
        if self.group != *group {
            return Err(NotCovered::Unknown(id()));
        }
        if self.state_word() != ChangeStateWord::Approved {
            return Err(NotCovered::State { id: id(), state: self.clone().read_at(now).state_word() });
        }
        if !self.devices.contains(device) {
            let (device, devices) = (device.clone(), self.devices.clone());
            return Err(NotCovered::Device { id: id(), device, devices });
        }
        if now < self.start {
            return Err(NotCovered::Early { id: id(), start: self.start });
        }
        if now >= self.due {
            return Err(NotCovered::Late { id: id(), due: self.due });
        }
        Ok(())
    }

    /// Whether it is about the person: they wrote it, are responsible for it, work under its
    /// access group, or approve there.
    #[must_use]
    pub fn concerns(&self, user: &UserName, snapshot: &Snapshot, now: Timestamp) -> bool {
        let under = |group: &Arc<AccessGroup>| {
            group.users.contains(user) || approves(snapshot, group, &self.author, user, now)
        };
        self.author == *user
            || self.responsible.contains(user)
            || snapshot.group(&self.group).is_some_and(under)
    }

    /// Whether the person may approve or reject it: in their own place, or in that of somebody else
    /// for whom they stand in.
    ///
    /// # Errors
    /// Why not.
    pub fn ballot(&self, user: &UserName, snapshot: &Snapshot, now: Timestamp) -> Result<(), NoApproval> {
        if self.author == *user {
            return Err(NoApproval::Own);
        }
        let group = snapshot.group(&self.group);
        let may = group.is_some_and(|group| approves(snapshot, group, &self.author, user, now));
        if may { Ok(()) } else { Err(NoApproval::Stranger) }
    }
}

/// Whether the group names the person as an approver for the author, or somebody other than the author
/// for whom they stand in.
fn approves(
    snapshot: &Snapshot,
    group: &AccessGroup,
    author: &UserName,
    user: &UserName,
    now: Timestamp,
) -> bool {
    snapshot.entitled(group, author, user, now).any(|(person, _)| person == user || person != author)
}
