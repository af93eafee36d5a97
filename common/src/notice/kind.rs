//! The kinds of notices and the channels they go by: the one list of each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::choices::choices;

macro_rules! kinds {
    ($( $(#[$doc:meta])* $kind:ident = $word:literal, $key:literal; )+) => {
        /// The kinds of notices.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum NoticeKind {
            $( $(#[$doc])* #[serde(rename = $key)] $kind, )+
        }

        impl NoticeKind {
            /// Every one.
            pub const ALL: [Self; [$( $key ),+].len()] = [$( Self::$kind, )+];

            /// As a command line and the store write it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $( Self::$kind => $word, )+ }
            }

            /// As TOML writes it: a key of `[user.notify]`.
            #[must_use]
            pub fn key(self) -> &'static str {
                match self { $( Self::$kind => $key, )+ }
            }
        }
    };
}

kinds! {
    /// You are asked to approve.
    ApprovalAsked = "approval-asked", "approval_asked";
    /// Your request was decided.
    RequestDecided = "request-decided", "request_decided";
    /// A request was decided, and you are on the group's copy list.
    DecisionCopied = "decision-copied", "decision_copied";
    /// Something ends soon.
    EndsSoon = "ends-soon", "ends_soon";
    /// Somebody let themselves in, in an emergency.
    EmergencyUsed = "emergency-used", "emergency_used";
    /// A command ran that was not expected.
    UnexpectedCommand = "unexpected-command", "unexpected_command";
    /// What came of a session under a change.
    ChangeReported = "change-reported", "change_reported";
    /// A privilege outlived its session.
    PrivilegeStands = "privilege-stands", "privilege_stands";
    /// A device's agent is away.
    AgentAway = "agent-away", "agent_away";
    /// A link to enter.
    Link = "link", "link";
    /// A recording is altered or incomplete.
    RecordingDamaged = "recording-damaged", "recording_damaged";
    /// A disk is near its floor.
    DiskLow = "disk-low", "disk_low";
    /// Somebody looks whether notices arrive.
    Test = "test", "test";
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for NoticeKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.word() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::word).join(", ");
            format!("`{}` is no kind of notice; known are {known}", crate::unseen::quoted(text, 40))
        })
    }
}

choices! {
    /// How a notice reaches a person.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    Channel: "channel; use mail, sms or webhook" {
        /// To the user's `email`.
        Mail = "mail",
        /// To the user's `phone`.
        Sms = "sms",
        /// To the gate's webhook, with the user's name.
        Webhook = "webhook",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_from_its_word_and_its_key_is_the_same_word() {
        for kind in NoticeKind::ALL {
            assert_eq!(kind.word().parse(), Ok(kind));
            assert_eq!(kind.word().replace('-', "_"), kind.key());
        }
        let refused = "soon\u{1b}".parse::<NoticeKind>().unwrap_err();
        assert!(
            refused.starts_with("`soon\\u{1b}` is no kind of notice; known are approval-asked, "),
            "{refused}"
        );
    }
}
