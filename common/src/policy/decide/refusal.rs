//! Why a decision is no.

use std::fmt;

use jiff::Timestamp;

use super::super::at_once::Full;
use super::super::criteria::Field;
use super::super::login::LoginGone;
use super::super::outside::NoEntry;
use crate::model::{Action, PanicScope};
use crate::name::{AccessGroupName, CredentialName};

/// No. What the user reads does not tell whether the credential exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(super) target: CredentialName,
    pub(super) action: Action,
    pub(super) why: Why,
}

impl Refusal {
    /// The true reason, for administrators and the audit log only.
    #[must_use]
    pub fn why(&self) -> &Why {
        &self.why
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Login(gone) => write!(f, "{gone}; connect again"),
            Why::Panic(_) | Why::Full(_) => self.why.fmt(f),
            Why::Entry(why) => why.fmt(f),
            // Whom it lists and matches knew what it gave.
            Why::NoGroup { closest: Some((group, Miss::Unconfirmed(_))) } => write!(
                f,
                "access group `{group}` gives no access to {} now: nobody confirmed its users in time; ask its owner to",
                self.target
            ),
            Why::NoGroup { closest: Some((group, Miss::Unread)) } => write!(
                f,
                "access group `{group}` gives no access to {} on this gate, which cannot read what a newer one wrote of \
                 its review; ask an administrator to upgrade it",
                self.target
            ),
            _ => {
                // Of any credential alike, also of none.
                let what = match self.action {
                    Action::Session => "access to",
                    Action::ViewPassword => "viewing the password of",
                };
                write!(
                    f,
                    "{what} {} is not given to you; `access list` shows what you may reach",
                    self.target
                )
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// Why a decision is no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// No such user.
    #[error("the user is not known")]
    UnknownUser,
    /// The user may not log in.
    #[error("the user is disabled")]
    DisabledUser,
    /// What they logged in with does not prove it any more.
    #[error("{0}")]
    Login(LoginGone),
    /// A panic stops it.
    #[error("{0} is stopped by a panic until an administrator lifts it")]
    Panic(PanicScope),
    /// They may not enter from where they come, or not to that.
    #[error("{0}")]
    Entry(Box<NoEntry>),
    /// No such credential.
    #[error("the credential does not exist")]
    UnknownCredential,
    /// There are as many sessions at once as the group allows.
    #[error("{0}")]
    Full(Full),
    /// The group's longest session is over.
    #[error("the longest session that the group allows is over")]
    TooLong,
    /// No group counts; the one that came closest, and what it misses.
    #[error("no access group gives it{}", closest_text(closest.as_ref()))]
    NoGroup {
        /// The group that came closest.
        closest: Option<(AccessGroupName, Miss)>,
    },
}

fn closest_text(closest: Option<&(AccessGroupName, Miss)>) -> String {
    closest.map(|(group, miss)| format!(" (closest: `{group}`, but {miss})")).unwrap_or_default()
}

/// Why a group does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Miss {
    /// The user is not in it.
    #[error("it does not list the user")]
    NotListed,
    /// A field of its criteria does not match.
    #[error("its criteria do not match the credential in `{0}`")]
    Criteria(Field),
    /// It does not allow the action.
    #[error("it does not allow the action `{0}`")]
    Action(Action),
    /// It is for another credential.
    #[error("it is for another credential")]
    OtherCredential,
    /// It is exceptional access that begins later.
    #[error("it begins at {0}")]
    Begins(Timestamp),
    /// It is exceptional access that is over.
    #[error("it ended at {0}")]
    Ended(Timestamp),
    /// It is outside its dates, days or times.
    #[error("it is outside its access limitation now")]
    Closed,
    /// Its owners did not confirm its users in time.
    #[error("nobody confirmed its users in time, so it grants nothing since {0:.0}")]
    Unconfirmed(Timestamp),
    /// A newer gate wrote something of its review.
    #[error("its review was written by a newer gate, and this one cannot read it")]
    Unread,
}

impl Miss {
    /// How far the group is from counting.
    pub(super) fn distance(&self) -> u8 {
        match self {
            Self::Closed | Self::Unconfirmed(_) | Self::Unread | Self::Begins(_) | Self::Ended(_) => 0,
            Self::Action(_) => 1,
            Self::Criteria(_) | Self::OtherCredential => 2,
            Self::NotListed => 3,
        }
    }
}
