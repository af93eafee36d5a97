//! How many sessions there may be at once: of one user by a group, and to one credential whoever has
//! them. A session that lives is never ended by it.

use std::fmt;

use jiff::Timestamp;

use crate::id::SessionId;
use crate::model::AccessGroup;
use crate::name::{AccessGroupName, CredentialName, UserName};

/// A session that lives on some gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user: UserName,
    /// To what.
    pub target: CredentialName,
    /// By which access group.
    pub group: AccessGroupName,
    /// Since when.
    pub since: Timestamp,
}

/// There are as many sessions as there may be. It names the user's own, and nobody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    group: AccessGroupName,
    target: CredentialName,
    most: u16,
    /// Whether the bound is the user's, or the credential's.
    of_user: bool,
    own: Vec<LiveSession>,
    others: usize,
}

/// So many of the user's own are named.
const NAMED: usize = 3;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, target, most, of_user, own, others } = self;
        let plural = if *most == 1 { "session" } else { "sessions" };
        match of_user {
            true => write!(f, "access group `{group}` allows you {most} {plural} at once, and you have ")?,
            false => write!(
                f,
                "access group `{group}` allows {most} {plural} to {target} at once, and there are "
            )?,
        }
        write!(f, "{}", own.len() + others)?;
        let named = own.iter().take(NAMED).map(|session| {
            let id: String = session.id.to_string().chars().take(10).collect();
            format!(
                "{} since {} UTC (session {id})",
                session.target,
                session.since.strftime("%Y-%m-%d %H:%M")
            )
        });
        let named: Vec<_> = named.collect();
        match (named.is_empty(), of_user) {
            (true, _) => f.write_str(", none of them yours; come again when one has ended"),
            (false, true) => write!(f, ": {}; end one of them and come again", named.join(", ")),
            (false, false) => write!(f, ", of them yours: {}; end it, or come again later", named.join(", ")),
        }
    }
}

impl std::error::Error for Full {}

/// Whether one more session of the user's with the credential fits, among those that live.
///
/// # Errors
/// When it does not.
pub(super) fn fits(
    group: &AccessGroup,
    user: &UserName,
    target: &CredentialName,
    live: &[LiveSession],
) -> Result<(), Full> {
    let bounds = &group.conditions.sessions_at_once;
    let full = |most: Option<u16>, of_user: bool, counts: &dyn Fn(&&LiveSession) -> bool| {
        let most = most?;
        let (own, others): (Vec<_>, Vec<_>) =
            live.iter().filter(counts).partition(|session| session.user == *user);
        let own: Vec<LiveSession> = own.into_iter().cloned().collect();
        let others = others.len();
        let (group, target) = (group.name.clone(), target.clone());
        (own.len() + others >= usize::from(most)).then_some(Full {
            group,
            target,
            most,
            of_user,
            own,
            others,
        })
    };
    let by_user =
        full(bounds.per_user, true, &|session| session.user == *user && session.group == group.name);
    let by_credential = || full(bounds.per_credential, false, &|session| session.target == *target);
    match by_user.or_else(by_credential) {
        Some(full) => Err(full),
        None => Ok(()),
    }
}
