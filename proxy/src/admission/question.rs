//! What is asked before a session, and how it reads. The fields are for whoever shows it in a
//! way of their own; [`Ask::instructions`] and [`Question::prompt`] are for terminals.

use std::borrow::Cow;

use serde::Serialize;
use tidegate_common::id::RequestId;
use tidegate_common::model::Text;
use tidegate_common::name::{ChangeId, CredentialName, ReasonName};
use tidegate_common::time::Length;

const EMERGENCY: &str = "In an emergency, say why this can't wait for approval: you get in at once, every approver is told, and one \
                         of them reviews it afterwards. Otherwise just press Enter.";

/// Changes that are listed in a question.
const SHOWN: usize = 15;

/// A change that is open for what is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenChange {
    /// Its id.
    pub id: ChangeId,
    /// In a few words.
    pub title: Text,
}

/// One question, or what is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "question", rename_all = "kebab-case")]
pub enum Question {
    /// Why; a text.
    Justification {
        /// For which credential.
        target: CredentialName,
    },
    /// One of the registered reasons, by its number (from 1) or its name.
    Reason {
        /// For which credential.
        target: CredentialName,
        /// Those to choose from.
        reasons: Vec<ReasonName>,
    },
    /// Under which change; its number (from 1) or its id.
    Change {
        /// For which credential.
        target: CredentialName,
        /// Those that are open for it.
        open: Vec<OpenChange>,
    },
    /// A governance code; a text.
    Governance {
        /// For which credential.
        target: CredentialName,
    },
    /// Why this can't wait; empty, or a word that says no, when it can.
    Emergency,
    /// For how long; empty for as long as is usual.
    Duration {
        /// For which credential.
        target: CredentialName,
        /// For how long it is where nothing is said.
        usual: Length,
        /// For how long at most, where that is bounded.
        longest: Option<Length>,
    },
    /// Nothing to type: approvers are asked.
    Waiting {
        /// The request that they vote on.
        request: RequestId,
        /// For which credential.
        target: CredentialName,
        /// Whether it was made just now; else it waited already.
        made: bool,
        /// Approvals that it needs.
        needed: u8,
        /// Whether so many in each level.
        levels: bool,
        /// Whether an emergency would be let in at once.
        urgent: bool,
        /// For how many seconds it has been waited; none the first time that it is shown.
        waited: Option<u64>,
    },
}

impl Question {
    /// What stands before the place to type; none where there is nothing to type.
    #[must_use]
    pub fn prompt(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self {
            Self::Justification { .. } => "Justification: ",
            Self::Reason { .. } => "Reason (number or name): ",
            Self::Change { .. } => "Change (number or ID): ",
            Self::Governance { .. } => "Governance code: ",
            Self::Emergency => "Emergency, why it cannot wait (Enter: none): ",
            Self::Duration { usual, .. } => return Some(format!("For how long [{usual}]: ").into()),
            Self::Waiting { .. } => return None,
        }))
    }

    fn text(&self) -> String {
        match self {
            Self::Justification { target } => format!("Access to {target} wants a justification."),
            Self::Reason { target, reasons } => {
                let lines =
                    reasons.iter().enumerate().map(|(at, reason)| format!("  {}  {reason}\n", at + 1));
                format!("Access to {target} wants a reason:\n{}", lines.collect::<String>())
            }
            Self::Change { target, open } => {
                let lines = open
                    .iter()
                    .enumerate()
                    .take(SHOWN)
                    .map(|(at, change)| format!("  {}  {}  {}\n", at + 1, change.id, change.title));
                let more = match open.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    more => format!("  and {more} more; `change list` shows all\n"),
                };
                format!("Access to {target} wants an approved change:\n{}{more}", lines.collect::<String>())
            }
            Self::Governance { target } => format!("Access to {target} wants a governance code."),
            Self::Emergency => EMERGENCY.to_owned(),
            Self::Duration { target, usual, longest } => {
                let most = longest.map(|longest| format!("; {longest} at most")).unwrap_or_default();
                format!(
                    "For how long do you want access to {target}? Press Enter for {usual}, or type another length, \
                     such as 15m{most}."
                )
            }
            Self::Waiting { request, waited: Some(waited), .. } => {
                format!(
                    "Request {request} still waits for approval ({} min {:02} s).",
                    waited / 60,
                    waited % 60
                )
            }
            Self::Waiting { request, target, made, needed, levels, urgent, waited: None } => {
                let said = if *made { "is made" } else { "already waits" };
                let people = if *needed == 1 { "approval" } else { "approvals" };
                let per_level = if *levels { " in each level" } else { "" };
                let emergency =
                    if *urgent { " Should it become an emergency, leave and come again." } else { "" };
                format!(
                    "Request {request} for {target} {said} for {needed} {people}{per_level}. You get in as soon as \
                     it is given; Ctrl-C leaves, and the request stays.{emergency}"
                )
            }
        }
    }
}

/// A question, and what was wrong with the answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ask {
    /// What is asked.
    #[serde(flatten)]
    pub question: Question,
    /// Why the last answer to it was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

impl Ask {
    pub(super) fn of(question: Question) -> Self {
        Self { question, wrong: None }
    }

    /// The text above the place to type.
    #[must_use]
    pub fn instructions(&self) -> String {
        self.wrong.clone().unwrap_or_else(|| self.question.text())
    }
}
