//! Whether somebody may enter from where they come: from outside only with a remote access that is
//! good now, and from a place that its user group allows.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::id::RemoteAccessId;
use crate::model::{
    Action, Location, RemoteAccess, RemoteAccessState, RemoteAccessWord, Scope, Snapshot, UserGroup,
};
use crate::name::{CredentialName, UserGroupName, UserName};

/// From where somebody comes, and with which remote accesses.
#[derive(Debug, Clone, Copy)]
pub struct Coming<'a> {
    /// From which side.
    pub side: Side<'a>,
    /// The user's remote accesses, whatever has become of them.
    pub accesses: &'a [Arc<RemoteAccess>],
}

/// From which side somebody comes.
#[derive(Debug, Clone, Copy)]
pub enum Side<'a> {
    /// Nobody comes: a question about a user is asked.
    Asked,
    /// From a network that is called inside, or no network is.
    Inside,
    /// From anywhere else.
    Outside(Outside<'a>),
}

/// A place outside.
#[derive(Debug, Clone, Copy)]
pub struct Outside<'a> {
    /// The address.
    pub address: IpAddr,
    /// What it is taken for.
    pub located: &'a Located,
    /// Whether a refusal is only told, and not carried out.
    pub report_only: bool,
}

impl Coming<'_> {
    /// Nobody comes in.
    pub const ASKED: Coming<'static> = Coming { side: Side::Asked, accesses: &[] };

    fn report_only(&self) -> bool {
        matches!(self.side, Side::Outside(outside) if outside.report_only)
    }
}

/// What an address is taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// It is there.
    At(Location),
    /// The database does not know it.
    Unknown,
    /// There is no database, or none that can be read.
    NoDatabase,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(location) => location.fmt(f),
            Self::Unknown => f.write_str("a place that the GeoIP database does not know"),
            Self::NoDatabase => f.write_str("an unknown place, because the gate has no GeoIP database"),
        }
    }
}

/// Why somebody may not enter from where they come; each is a sentence for the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEntry {
    /// None was ever given.
    #[error("you come from outside ({0}) and have no remote access; ask an administrator for one")]
    None(IpAddr),
    /// It is not decided.
    #[error("you come from outside, and remote access {0} waits for approval")]
    Pending(RemoteAccessId),
    /// It begins later.
    #[error("you come from outside, and remote access {0} begins only at {1}")]
    Upcoming(RemoteAccessId, Timestamp),
    /// It was good.
    #[error("you come from outside, and remote access {0} ended at {1}")]
    Over(RemoteAccessId, Timestamp),
    /// It was taken back, or never given.
    #[error("you come from outside, and remote access {id} was {word} by {by}{}", said(comment.as_ref()))]
    Taken {
        /// Which.
        id: RemoteAccessId,
        /// Rejected or cancelled.
        word: RemoteAccessWord,
        /// By whom.
        by: String,
        /// With what remark.
        comment: Option<crate::model::Text>,
    },
    /// Nobody decided in time.
    #[error("you come from outside, and remote access {0} expired before anybody approved it")]
    Expired(RemoteAccessId),
    /// Its user group is gone, disabled, or no longer lists the user.
    #[error("you come from outside, and user group `{0}` no longer lets you in")]
    Group(UserGroupName),
    /// It is full, and its user is limited.
    #[error("you come from outside, and remote access {0} is full, by which a limited user does not enter")]
    Full(RemoteAccessId),
    /// A limited user comes from inside.
    #[error("you come from inside, and a limited user enters from outside only")]
    Inside,
    /// Its user group wants another place.
    #[error(
        "{address} is taken for {located}, and user group `{group}` lets its users in from {allowed} only"
    )]
    Location {
        /// Which group.
        group: UserGroupName,
        /// The address.
        address: IpAddr,
        /// What it is taken for.
        located: Located,
        /// What the group allows.
        allowed: String,
    },
    /// No remote access reaches the credential.
    #[error("remote access {0} does not reach {1} for that")]
    Scope(RemoteAccessId, CredentialName),
    /// The access is outside its days and times.
    #[error("remote access {0} is outside its days and times now")]
    Times(RemoteAccessId),
    /// Its sessions are used up.
    #[error("{}", used_up(.0, .1))]
    Used(RemoteAccessId, u32),
}

fn used_up(id: &RemoteAccessId, sessions: &u32) -> String {
    match sessions {
        1 => format!("the 1 session of remote access {id} is used up"),
        _ => format!("the {sessions} sessions of remote access {id} are used up"),
    }
}

fn said(comment: Option<&crate::model::Text>) -> String {
    comment.map(|text| format!(": {text}")).unwrap_or_default()
}

impl NoEntry {
    /// How far it is from letting somebody in; the closest is told.
    fn distance(&self) -> u8 {
        match self {
            Self::Location { .. } | Self::Scope(..) | Self::Times(_) | Self::Used(..) => 0,
            Self::Pending(_) | Self::Upcoming(..) => 1,
            Self::Group(_) | Self::Full(_) => 2,
            Self::Over(..) | Self::Expired(_) | Self::Taken { .. } => 3,
            Self::None(_) | Self::Inside => 4,
        }
    }
}

/// What somebody enters by.
#[derive(Debug, Clone)]
pub enum Entry<'a> {
    /// Nothing is asked of where they come from.
    Free,
    /// These remote accesses, each good now and from there.
    By(Vec<&'a Arc<RemoteAccess>>),
    /// They would be refused, if it were not only told.
    Reported(NoEntry),
}

impl Entry<'_> {
    /// When it ends by itself.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::By(accesses) => accesses.iter().map(|access| access.window.end).max(),
            Self::Free | Self::Reported(_) => None,
        }
    }

    /// What would be refused.
    #[must_use]
    pub fn reported(&self) -> Option<&NoEntry> {
        match self {
            Self::Reported(why) => Some(why),
            Self::Free | Self::By(_) => None,
        }
    }
}

/// Whether a user who is known may enter from where they come.
///
/// # Errors
/// Why not.
pub fn enter<'a>(
    snapshot: &Snapshot,
    user: &UserName,
    coming: &Coming<'a>,
    now: Timestamp,
) -> Result<Entry<'a>, NoEntry> {
    let outside = match coming.side {
        Side::Outside(outside) => outside,
        Side::Inside if snapshot.is_limited(user) => return Err(NoEntry::Inside),
        Side::Inside | Side::Asked => return Ok(Entry::Free),
    };
    let mut good = Vec::new();
    let mut closest = NoEntry::None(outside.address);
    for access in coming.accesses.iter().filter(|access| access.user == *user) {
        match stands(snapshot, access, now).and_then(|group| is_allowed(group, &outside)) {
            Ok(()) => good.push(access),
            Err(why) if why.distance() < closest.distance() => closest = why,
            Err(_) => {}
        }
    }
    match good.is_empty() {
        false => Ok(Entry::By(good)),
        true if outside.report_only => Ok(Entry::Reported(closest)),
        true => Err(closest),
    }
}

/// Whether a remote access is good now, from wherever its user group allows; that group if so.
///
/// # Errors
/// Why not.
pub fn stands<'s>(
    snapshot: &'s Snapshot,
    access: &RemoteAccess,
    now: Timestamp,
) -> Result<&'s UserGroup, NoEntry> {
    let id = access.id;
    match access.word_at(now) {
        RemoteAccessWord::Active => {}
        RemoteAccessWord::Pending => return Err(NoEntry::Pending(id)),
        RemoteAccessWord::Upcoming => return Err(NoEntry::Upcoming(id, access.window.start)),
        RemoteAccessWord::Over => return Err(NoEntry::Over(id, access.window.end)),
        RemoteAccessWord::Expired => return Err(NoEntry::Expired(id)),
        word @ (RemoteAccessWord::Rejected | RemoteAccessWord::Cancelled) => {
            let (by, comment) = match &access.state {
                RemoteAccessState::Rejected { by, comment, .. }
                | RemoteAccessState::Cancelled { by, comment, .. } => (by.clone(), comment.clone()),
                RemoteAccessState::Pending { .. }
                | RemoteAccessState::Granted
                | RemoteAccessState::Expired { .. } => (String::new(), None),
            };
            return Err(NoEntry::Taken { id, word, by, comment });
        }
    }
    let group = snapshot.user_group(&access.group);
    let group = group.filter(|group| group.enabled && group.lists(&access.user));
    let group = group.ok_or_else(|| NoEntry::Group(access.group.clone()))?;
    if matches!(access.scope, Scope::Full) && group.has_limited(&access.user) {
        return Err(NoEntry::Full(id));
    }
    Ok(group.as_ref())
}

fn is_allowed(group: &UserGroup, outside: &Outside<'_>) -> Result<(), NoEntry> {
    let holds = match outside.located {
        _ if !group.location.restrict => true,
        Located::At(location) => group.location.hold(location),
        Located::Unknown | Located::NoDatabase => false,
    };
    if holds {
        return Ok(());
    }
    let allowed: Vec<_> = group.location.allowed.iter().map(ToString::to_string).collect();
    Err(NoEntry::Location {
        group: group.name.clone(),
        address: outside.address,
        located: outside.located.clone(),
        allowed: allowed.join(", "),
    })
}

/// The remote access that a session rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resting {
    pub id: RemoteAccessId,
    /// How many sessions the access admits, where it counts them.
    pub sessions: Option<u32>,
    /// When the access, or the time of day that it allows, ends.
    pub until: Timestamp,
}

/// Which of the entry's remote accesses carries this action on the target; `live` is the one that
/// it began with, whose count is not asked again.
///
/// # Errors
/// Why none does.
pub(super) fn carry(
    entry: &Entry<'_>,
    coming: &Coming<'_>,
    target: &CredentialName,
    action: Action,
    live: Option<RemoteAccessId>,
    now: Timestamp,
) -> Result<Option<Resting>, NoEntry> {
    let Entry::By(accesses) = entry else { return Ok(None) };
    let mut best: Option<(bool, Resting)> = None;
    let mut closest = None;
    for access in accesses {
        let began = live == Some(access.id);
        match carries(access, target, action, began, now) {
            Ok(resting) => {
                // What it began with goes on; else what is not counted, and of those the longest.
                let rank = |began: bool, one: &Resting| (began, one.sessions.is_none(), one.until);
                if best.as_ref().is_none_or(|(was, other)| rank(began, &resting) > rank(*was, other)) {
                    best = Some((began, resting));
                }
            }
            Err(why) => closest = closest.or(Some(why)),
        }
    }
    match (best, closest) {
        (Some((_, resting)), _) => Ok(Some(resting)),
        (None, Some(_)) if coming.report_only() => Ok(None),
        (None, Some(why)) => Err(why),
        (None, None) => Ok(None),
    }
}

fn carries(
    access: &RemoteAccess,
    target: &CredentialName,
    action: Action,
    began: bool,
    now: Timestamp,
) -> Result<Resting, NoEntry> {
    let (id, end) = (access.id, access.window.end);
    let Scope::Limited(limited) = &access.scope else {
        return Ok(Resting { id, sessions: None, until: end });
    };
    if !limited.reaches(target, action) {
        return Err(NoEntry::Scope(id, target.clone()));
    }
    if !limited.times.is_open(now) {
        return Err(NoEntry::Times(id));
    }
    if !began && limited.left(access.used) == Some(0) {
        return Err(NoEntry::Used(id, limited.sessions.unwrap_or_default()));
    }
    let until = limited.times.closes(now).map_or(end, |closes| closes.min(end));
    Ok(Resting { id, sessions: limited.sessions, until })
}
