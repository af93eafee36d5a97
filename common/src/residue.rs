//! What a session left behind on its host, as the agent found it: a bounded list
//! of findings, each with its kind, and what could not be looked at.
//!
//! The agent can tell what changed while a session lived, not who changed it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most findings of one report; what is over it is only counted.
pub const MOST_FINDINGS: usize = 200;

/// The longest name or detail of a finding, in bytes.
pub const MOST_TEXT: usize = 256;

/// One report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residue {
    /// At most [`MOST_FINDINGS`].
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: u64,
    /// Where the agent could not look, and why; one sentence each.
    pub unseen: Vec<String>,
    /// How long the look took, in milliseconds.
    pub millis: u64,
}

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    pub kind: FindingKind,
    pub change: Change,
    /// A path, an account, a group, an address: what it is depends on the kind.
    pub what: String,
    /// What people want to know of it; may be empty.
    pub detail: String,
}

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A process that was ended.
    Process,
    /// A table, or a job, of cron(8).
    Cron,
    /// A job of at(1).
    At,
    /// A unit of systemd, of the host or of an account, or lingering.
    Unit,
    /// `authorized_keys` of an account.
    Key,
    /// A file that gives a privilege by itself: with the setuid or setgid bit, capabilities, a
    /// device node, or one of root's that others may change.
    Setuid,
    /// sudoers(5).
    Sudoers,
    /// An account, its password or its ageing.
    Account,
    /// A group.
    Group,
    /// A socket that listens.
    Socket,
    /// What the dynamic linker loads into every program.
    Preload,
    /// What every login shell runs.
    Profile,
    /// PAM's configuration.
    Pam,
    /// sshd's or ssh's configuration.
    Ssh,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    New,
    Changed,
    Gone,
    /// Of a process: it was asked to end and did.
    Ended,
    /// Of a process: it had to be killed.
    Killed,
}

impl Residue {
    /// Cut to its bounds, whoever sent it.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let over = self.findings.len().saturating_sub(MOST_FINDINGS);
        self.findings.truncate(MOST_FINDINGS);
        self.more = self.more.saturating_add(u64::try_from(over).unwrap_or(u64::MAX));
        for finding in &mut self.findings {
            finding.what = plain(&finding.what);
            finding.detail = plain(&finding.detail);
        }
        self.unseen.truncate(32);
        self.unseen.iter_mut().for_each(|unseen| *unseen = plain(unseen));
        self
    }
}

/// Bounded, on one line, without what moves the cursor.
fn plain(text: &str) -> String {
    crate::note::Note::<MOST_TEXT>::new(text).as_str().to_owned()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.change, self.kind, self.what)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Process => "process",
            Self::Cron => "cron job",
            Self::At => "at job",
            Self::Unit => "unit",
            Self::Key => "authorized key",
            Self::Setuid => "privileged file",
            Self::Sudoers => "sudoers",
            Self::Account => "account",
            Self::Group => "group",
            Self::Socket => "socket",
            Self::Preload => "preload",
            Self::Profile => "profile",
            Self::Pam => "PAM",
            Self::Ssh => "ssh",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::Ended => "ended",
            Self::Killed => "killed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_report_over_its_bound_counts_the_rest_and_holds_nothing_that_moves_the_cursor() {
        let finding = Finding {
            kind: FindingKind::Cron,
            change: Change::New,
            what: "/etc/cron.d/\u{1b}[2Jx".to_owned(),
            detail: "y".repeat(10_000),
        };
        let residue = Residue { findings: vec![finding; 450], more: 3, ..Residue::default() }.bounded();
        assert_eq!((residue.findings.len(), residue.more), (MOST_FINDINGS, 253));
        assert_eq!(residue.findings[0].what, "/etc/cron.d/\\u{1b}[2Jx");
        assert!(residue.findings[0].detail.len() <= MOST_TEXT);
    }

    proptest! {
        #[test]
        fn a_bounded_report_fits_a_frame(texts in prop::collection::vec("\\PC{0,400}", 0..300)) {
            let finding = |text: &String| Finding {
                kind: FindingKind::Setuid, change: Change::Changed, what: text.clone(), detail: text.clone(),
            };
            let findings = texts.iter().map(finding).collect();
            let residue = Residue { findings, unseen: texts, ..Residue::default() }.bounded();
            let message = crate::wire::FromAgent::Residue { session: crate::id::SessionId::new(1, 1), residue };
            prop_assert!(crate::wire::encode(&message).is_ok());
        }
    }
}
