//! What people are told without having asked: a closed list of kinds, each with typed contents.
//!
//! A notice says what happened, where and what to do, and holds no secret: the code of a link
//! stands beside it ([`crate::policy::Notification`]). Every text in it is bounded and harmless on
//! one line, whoever wrote it. How it reads is for who sends it.

mod kind;

pub use kind::{Channel, NoticeKind};

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::audit::{Asked, CommandSource, CommandText, Note, Notes, Verdict};
use crate::id::{RemoteAccessId, RequestId, SessionId};
use crate::name::{ChangeId, CredentialName, DeviceName, GateName, ReasonName, UserGroupName, UserName};

/// What a person wrote: a justification, a comment.
pub type NoticeText = Note<1000>;

/// For how long an agent is away before anybody is told.
const AWAY: SignedDuration = SignedDuration::from_mins(5);

/// For how long sending is tried.
const TRIED: SignedDuration = SignedDuration::from_hours(24);

/// What a request asks for: who, what, why and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Its number.
    pub request: RequestId,
    /// Who wants access.
    pub user: UserName,
    /// To which credentials.
    pub targets: Notes,
    /// To do what.
    pub asked: Asked,
    /// Why, in free text.
    pub justification: Option<NoticeText>,
    /// Why, as registered.
    pub reason: Option<ReasonName>,
    /// The planned change that it belongs to.
    pub change: Option<ChangeId>,
    /// The organisation's code for it.
    pub governance: Option<NoticeText>,
    /// From when it is wanted, or good; at once where nothing is said.
    pub from: Option<Timestamp>,
    /// For how long, in words.
    pub length: Option<Note>,
    /// Until when it is good.
    pub until: Option<Timestamp>,
    /// From where it was made.
    pub origin: Option<IpAddr>,
}

/// What a remote access, or a batch of them, asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// Its number; of a batch the first one's.
    pub access: RemoteAccessId,
    /// Whether it is a batch for all of the group.
    pub batch: bool,
    /// For whom.
    pub users: Notes,
    /// How many they are.
    pub count: u64,
    /// As whose members.
    pub group: UserGroupName,
    /// What it reaches, in words.
    pub reaches: Notes,
    /// Why, in free text.
    pub justification: Option<NoticeText>,
    /// Why, as registered.
    pub reason: Option<ReasonName>,
    /// The organisation's code for it.
    pub governance: Option<NoticeText>,
    /// From when it is wanted.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Who made it.
    pub by: Note,
    /// From where.
    pub origin: Option<IpAddr>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// Which way.
    pub outcome: Outcome,
    /// By whom; nobody where time or the rules decided.
    pub by: Option<Note>,
    /// With what remark.
    pub comment: Option<NoticeText>,
}

/// Which way a request was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is good.
    Approved,
    /// Somebody said no.
    Rejected,
    /// The requester took it back.
    Cancelled,
    /// An approver or an administrator took it back.
    Revoked,
    /// Nobody decided in time.
    Expired,
}

impl Outcome {
    /// As a sentence says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The window of a request.
    Window,
    /// The access of a user from outside.
    RemoteAccess,
    /// An access that an administrator gave without a group.
    ExceptionalAccess,
    /// The confirmation of a group's members.
    GroupReview,
}

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Notice {
    /// The reader is asked to approve.
    ApprovalAsked {
        /// What is asked for.
        wanted: Wanted,
        /// In which level the reader approves, where approval is in levels.
        level: Option<u8>,
        /// What a session would change on the host, in words.
        changes: Notes,
        /// Until when somebody may decide.
        expires: Timestamp,
    },
    /// The reader is asked to approve that somebody may enter from outside.
    RemoteAccessAsked {
        /// What is asked for.
        remote: Remote,
        /// Until when somebody may decide.
        expires: Timestamp,
    },
    /// What the reader asked for, that somebody may enter from outside, was decided.
    RemoteAccessDecided {
        /// What was asked for.
        remote: Remote,
        /// What became of it; of a batch, of the first one that was decided so.
        decided: Decided,
    },
    /// The reader's request was decided.
    RequestDecided {
        /// What was asked for.
        wanted: Wanted,
        /// What became of it.
        decided: Decided,
    },
    /// Somebody's request was decided, and the reader is on the group's copy list.
    DecisionCopied {
        /// What was asked for.
        wanted: Wanted,
        /// What became of it.
        decided: Decided,
    },
    /// Something ends soon.
    EndsSoon {
        /// What.
        what: Ending,
        /// Its name or number.
        name: Note,
        /// Whose it is.
        user: UserName,
        /// When.
        ends: Timestamp,
        /// When the reader is told.
        from: Timestamp,
    },
    /// Somebody let themselves in, in an emergency.
    EmergencyUsed {
        /// To what and why.
        wanted: Wanted,
        /// Why nobody was asked.
        emergency: NoticeText,
    },
    /// A command ran that was not expected.
    UnexpectedCommand {
        /// In which session.
        session: SessionId,
        /// Whose session.
        user: UserName,
        /// On which credential.
        target: CredentialName,
        /// Who says that it ran.
        source: CommandSource,
        /// The command.
        command: CommandText,
        /// The change that does not expect it.
        change: Option<ChangeId>,
        /// The rule that names it.
        rule: Option<Note>,
        /// Whether the session was ended because of it.
        ended: bool,
    },
    /// A session under a change is over: what ran in it, and what was expected.
    ChangeReported {
        /// Which change.
        change: ChangeId,
        /// As it is called.
        title: Note,
        /// Which session.
        session: SessionId,
        /// Whose session.
        user: UserName,
        /// On which credential.
        target: CredentialName,
        /// How much was as expected, in percent.
        percent: u64,
        /// What had to run and did not.
        missing: Notes,
        /// What ran and was not expected, and who saw it.
        unexpected: Notes,
        /// How many commands came faster than they could be compared.
        not_compared: u64,
        /// Whether the host's kernel, where it is asked, told all of it.
        whole: bool,
        /// Whether the gate stopped before all of it was compared.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cut_off: bool,
    },
    /// A privilege outlived its session.
    PrivilegeStands {
        /// Which session.
        session: SessionId,
        /// On which credential.
        target: CredentialName,
        /// What stands.
        standing: Notes,
    },
    /// A device's agent is away.
    AgentAway {
        /// Which device.
        device: DeviceName,
        /// Since when.
        since: Timestamp,
        /// What ended its link.
        why: Note,
    },
    /// The reader may enter with the code that stands beside the notice.
    Link {
        /// Who gave it.
        by: Option<UserName>,
        /// To what it leads.
        access: Note,
        /// Until when the code is good.
        expires: Timestamp,
    },
    /// A recording is altered or incomplete.
    RecordingDamaged {
        /// Of which session, where that is known.
        session: Option<SessionId>,
        /// What it was found to be.
        found: Verdict,
        /// Which file, or what is wrong with it.
        what: Note,
    },
    /// A disk of a gate is near its floor.
    DiskLow {
        /// Which gate.
        gate: GateName,
        /// A directory on that disk.
        place: Note,
        /// How many bytes are free.
        free: u64,
        /// Below how many sessions end.
        floor: u64,
    },
    /// Somebody looks whether notices arrive.
    Test {
        /// Who.
        by: Note,
    },
}

impl Notice {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> NoticeKind {
        match self {
            // Whoever chose by what they are asked for approvals chose it for both, and so of outcomes.
            Self::ApprovalAsked { .. } | Self::RemoteAccessAsked { .. } => NoticeKind::ApprovalAsked,
            Self::RequestDecided { .. } | Self::RemoteAccessDecided { .. } => NoticeKind::RequestDecided,
            Self::DecisionCopied { .. } => NoticeKind::DecisionCopied,
            Self::EndsSoon { .. } => NoticeKind::EndsSoon,
            Self::EmergencyUsed { .. } => NoticeKind::EmergencyUsed,
            Self::UnexpectedCommand { .. } => NoticeKind::UnexpectedCommand,
            Self::ChangeReported { .. } => NoticeKind::ChangeReported,
            Self::PrivilegeStands { .. } => NoticeKind::PrivilegeStands,
            Self::AgentAway { .. } => NoticeKind::AgentAway,
            Self::Link { .. } => NoticeKind::Link,
            Self::RecordingDamaged { .. } => NoticeKind::RecordingDamaged,
            Self::DiskLow { .. } => NoticeKind::DiskLow,
            Self::Test { .. } => NoticeKind::Test,
        }
    }

    /// When it is sent: at once, but for what ends later than soon and what may pass by itself.
    #[must_use]
    pub fn due(&self, made: Timestamp) -> Timestamp {
        match self {
            Self::EndsSoon { from, .. } => made.max(*from),
            // One that is back by then was away for an update, or a blink of the network.
            Self::AgentAway { since, .. } => made.max(since.checked_add(AWAY).unwrap_or(made)),
            _ => made,
        }
    }

    /// Until when it is worth sending: a day, and no longer than what it tells of.
    #[must_use]
    pub fn expires(&self, made: Timestamp) -> Timestamp {
        let day = made.checked_add(TRIED).unwrap_or(Timestamp::MAX);
        match self {
            Self::ApprovalAsked { expires, .. }
            | Self::RemoteAccessAsked { expires, .. }
            | Self::Link { expires, .. } => day.min(*expires),
            // It waits for its moment first.
            Self::EndsSoon { ends, .. } => *ends,
            _ => day,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test() -> Notice {
        Notice::Test { by: Note::new("operator") }
    }

    #[test]
    fn a_notice_reads_back_and_names_its_kind_as_the_kind_does() {
        let text = serde_json::to_string(&test()).unwrap();
        assert_eq!(text, r#"{"kind":"test","by":"operator"}"#);
        assert_eq!(serde_json::from_str::<Notice>(&text).unwrap(), test());
        assert_eq!(test().kind().word(), "test");
        let long = format!(r#"{{"kind":"test","by":"{}"}}"#, "x".repeat(513));
        assert!(serde_json::from_str::<Notice>(&long).is_err(), "every text is bounded");
    }

    #[test]
    fn a_notice_is_tried_for_a_day_and_no_longer_than_what_it_tells_of() {
        let made = Timestamp::UNIX_EPOCH;
        let after = |hours| made + SignedDuration::from_hours(hours);
        assert_eq!(test().expires(made), after(24));
        let link = |expires| Notice::Link { by: None, access: Note::new("the gate"), expires };
        assert_eq!(link(after(1)).expires(made), after(1));
        assert_eq!(link(after(100)).expires(made), after(24));
    }
}
