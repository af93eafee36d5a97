//! What can go wrong with resources, and how it is told.

use tidegate_common::model::{Kind, Mistakes, Panic, PanicScope, Problem, ResourceName, Resources};
use tidegate_common::name::{AccessGroupName, UserGroupName};
use tidegate_common::policy::NoConfirmation;

use super::{Behind, Overtaken};
use crate::audit_log::AuditError;
use crate::store::{Revision, StoreError};
use crate::turn::Retryable;

/// Why resources were not read, changed or asked.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The text is wrong; every mistake is listed.
    #[error("nothing was applied:\n{0}")]
    Mistakes(Mistakes),
    /// A line of it is meant to say of which revision it is, and does not.
    #[error(
        "nothing was applied: `{0}` says no revision; write it as it was exported (# revision 42), take the \
         line out, or apply with --force"
    )]
    Revision(String),
    /// It says that it is of a revision that is not there yet: it is another gate's, or of before the
    /// store was restored.
    #[error(
        "nothing was applied: the text says that it is of revision {since}, and this gate is at {now}; export \
         again and make the edit there, or apply with --force"
    )]
    Ahead {
        /// What it says.
        since: Revision,
        /// Where the store is.
        now: Revision,
    },
    /// What it writes was changed since it was exported.
    #[error("{0}")]
    Overtaken(Overtaken),
    /// There is no such resource.
    #[error("there is no {0}")]
    Unknown(ResourceName),
    /// The user is a limited one.
    #[error(
        "user `{user}` is limited, with the group {group}; edit the `limited_users` of that user group instead"
    )]
    Limited {
        /// Who.
        user: String,
        /// With which group.
        group: UserGroupName,
    },
    /// Other resources lean on it.
    #[error("{what} is still in use, nothing was deleted; without it:\n{}", leaning(.problems))]
    InUse {
        /// What was to be deleted.
        what: String,
        /// What would be wrong then.
        problems: Vec<Problem>,
    },
    /// What a user chose cannot be.
    #[error("nothing was chosen:\n{}", list(.0))]
    Choice(Vec<Problem>),
    /// What is in the store does not hold together.
    #[error("the resources in the store do not hold together:\n{}", list(.0))]
    Broken(Vec<Problem>),
    /// A resource does not print.
    #[error("the resources cannot be written as TOML: {0}")]
    Print(String),
    /// Whoever asked lost the right, or what they logged in with, before it came to it.
    #[error("nothing was changed: {0}")]
    Right(String),
    /// A name that is not there stops nothing.
    #[error("nothing was stopped: {0} cannot be, since there is none of that name")]
    NothingToStop(PanicScope),
    /// It is stopped already.
    #[error("{} is stopped already, by {} since {:.0}: {}", .0.scope, .0.by, .0.since, .0.justification)]
    Stopped(Panic),
    /// It is not stopped.
    #[error("{0} is not stopped; `panic list` shows what is")]
    NotStopped(PanicScope),
    /// Too many stand.
    #[error("{} panics stand, which is the most; `panic all` stops everything", Panic::MOST)]
    Panics,
    /// A confirmation does not count.
    #[error(transparent)]
    NoConfirmation(#[from] NoConfirmation),
    /// It would be written over what this gate cannot read.
    #[error(
        "nothing was confirmed: a newer gate wrote of the review of access group `{0}` what this one cannot \
         read; confirm it there, or upgrade this gate"
    )]
    UnreadReview(AccessGroupName),
    /// Another gate has told the owners of a group.
    #[error("they were told already")]
    ToldAlready,
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log failed; nothing was changed.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// This gate is too old for what another one wrote.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// The proxy is stopping.
    #[error("the gate is stopping; try again later")]
    Stopping,
}

impl AccessError {
    /// Of what is not there as a resource of its own.
    pub(super) fn missing(resources: &Resources, name: &ResourceName) -> Self {
        let mut limited = resources.limited_users().filter(|_| name.kind == Kind::User);
        let group = limited
            .find(|(_, limited)| limited.name.as_str() == name.name)
            .map(|(group, _)| group.name.clone());
        match group {
            Some(group) => Self::Limited { user: name.name.clone(), group },
            None => Self::Unknown(name.clone()),
        }
    }
}

impl Retryable for AccessError {
    fn is_changed(&self) -> bool {
        matches!(self, Self::Audit(error) if error.is_changed())
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// The same without the advice to add what is about to go.
fn leaning(problems: &[Problem]) -> String {
    let short = |problem: &Problem| {
        let why = problem.why.split_once("; ").map_or(problem.why.as_str(), |(why, _)| why);
        format!("  {}: {why}", problem.of)
    };
    problems.iter().map(short).collect::<Vec<_>>().join("\n")
}
