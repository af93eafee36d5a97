//! Whether what was given still holds: a permit, and a log-in. Each question that was asked at the
//! beginning is asked again, and what does not hold any more says why.

use jiff::Timestamp;

use super::decide::{Decision, Facts, Live, Miss, Why, decide_live};
use super::login::{LoginGone, Proved};
use super::outside::{Coming, NoEntry, enter};
use super::permit::Permit;
use super::stopped;
use crate::change::{Change, NotCovered};
use crate::id::RequestId;
use crate::model::{PanicScope, Request, RequestState, Snapshot};
use crate::name::{AccessGroupName, CredentialName};

/// Why a permit no longer holds; each is a sentence for the person in the session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The request's window, the limitation or the longest session is over.
    #[error("the time of this access is over")]
    TimeOver,
    /// Somebody took the request back.
    #[error("request {id} was revoked by {by}{}", comment.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Revoked {
        /// Which request.
        id: RequestId,
        /// Who.
        by: String,
        /// With what remark.
        comment: Option<crate::model::Text>,
    },
    /// The request it rests on is not approved any more.
    #[error("request {0} no longer stands")]
    RequestGone(RequestId),
    /// The user was disabled or deleted.
    #[error("your account in Tidegate was disabled")]
    UserDisabled,
    /// What the user logged in with does not prove it any more.
    #[error("{0}")]
    Login(LoginGone),
    /// A panic stops it.
    #[error("{0} is stopped by a panic until an administrator lifts it")]
    Panic(PanicScope),
    /// They may not enter from where they come any more.
    #[error("{0}")]
    Entry(Box<NoEntry>),
    /// No group gives this access any more.
    #[error("an administrator withdrew this access")]
    Withdrawn,
    /// A group now asks for more than was given.
    #[error("access group `{0}` now asks for more; connect again")]
    MoreNeeded(AccessGroupName),
    /// Policy could not be asked, so nothing is permitted.
    #[error("the gate could not check this access any more; connect again")]
    Unchecked,
    /// The gate cannot read what a newer gate wrote, so nothing new is permitted.
    #[error(
        "nothing new begins on this gate: it cannot read what a newer one wrote; ask an administrator to upgrade it"
    )]
    Behind,
    /// The credential, its device or its privileges are not what was granted.
    #[error("{0} was changed by an administrator; connect again")]
    Changed(CredentialName),
    /// The change it rests on is closed or taken back.
    #[error("{0}")]
    ChangeOver(NotCovered),
}

/// Whether a permit still holds: the same decision, taken again. Gives the permit
/// as it is from now on (its expiry and conditions may have changed).
///
/// `requests` must hold the permit's request, if it has one, and `changes` its change. Where the rules alone
/// approved the request and somebody has to, the requests for more time for it count as well.
///
/// # Errors
/// Why the session must end.
pub fn recheck(
    snapshot: &Snapshot,
    permit: &Permit,
    now: Timestamp,
    coming: Coming<'_>,
    requests: &[Request],
    changes: &[Change],
) -> Result<Permit, EndReason> {
    let entry = snapshot.user_entry(&permit.user.name);
    if let (Some(login), Some(entry)) = (&permit.login, entry.filter(|entry| entry.user.enabled)) {
        login.holds(snapshot, entry, coming.accesses, now).map_err(EndReason::Login)?;
    }
    if let Some(id) = permit.request {
        let request = requests.iter().find(|request| request.id == id);
        let group = snapshot.group(permit.group());
        match request.map(|request| match group {
            Some(group) => request.state_under(group, now),
            None => request.state_at(now),
        }) {
            Some(RequestState::Approved { window })
                if window.contains(now) && request.is_some_and(|request| request.limits.is_open(now)) => {}
            Some(RequestState::Approved { .. }) => return Err(EndReason::TimeOver),
            Some(RequestState::Revoked { by, comment, .. }) => {
                return Err(EndReason::Revoked { id, by, comment });
            }
            _ => return Err(EndReason::RequestGone(id)),
        }
    }
    if permit.expires.is_some_and(|end| end <= now) && permit.request.is_none() {
        return Err(EndReason::TimeOver);
    }
    let facts = Facts {
        now,
        user: &permit.user.name,
        target: &permit.credential.name,
        action: permit.action,
        origin: permit.origin,
        coming,
        login: permit.login.as_ref(),
        claims: &permit.claims,
        refused_code: None,
        requests,
        live: &[],
        changes,
    };
    let remote_access = permit.remote_access();
    let live = Live { since: permit.since, requested: permit.request.is_some(), remote_access };
    match decide_live(snapshot, &facts, Some(live)) {
        Decision::Permitted(next) => {
            let same = next.credential == permit.credential && next.device == permit.device;
            if same { Ok(next) } else { Err(EndReason::Changed(permit.target().clone())) }
        }
        // It rested on what people had approved of its request, and that is over.
        Decision::Needs(_) if permit.expires.is_some_and(|end| end <= now) => Err(EndReason::TimeOver),
        Decision::Needs(needs) => Err(match needs.change.and_then(|need| need.wrong) {
            Some(NotCovered::Late { .. }) => EndReason::TimeOver,
            Some(why) if permit.change.is_some() => EndReason::ChangeOver(why),
            _ => EndReason::MoreNeeded(needs.group),
        }),
        Decision::Refused(refusal) => Err(match refusal.why() {
            Why::UnknownUser | Why::DisabledUser => EndReason::UserDisabled,
            Why::Login(gone) => EndReason::Login(*gone),
            Why::Panic(scope) => EndReason::Panic(scope.clone()),
            Why::Entry(why) => EndReason::Entry(why.clone()),
            Why::UnknownCredential => EndReason::Changed(permit.target().clone()),
            Why::NoGroup { closest: Some((_, Miss::Closed | Miss::Unconfirmed(_))) } => EndReason::TimeOver,
            // Only what begins is counted.
            Why::Full(_) => EndReason::Withdrawn,
            Why::TooLong => EndReason::TimeOver,
            Why::NoGroup { .. } => EndReason::Withdrawn,
        }),
    }
}

/// Whether what a user shows proves who they are, wherever they come from.
///
/// # Errors
/// Why not.
pub fn proves(
    snapshot: &Snapshot,
    proved: &Proved,
    coming: &Coming<'_>,
    now: Timestamp,
) -> Result<(), EndReason> {
    let entry = snapshot.user_entry(&proved.user).filter(|entry| entry.user.enabled);
    let entry = entry.ok_or(EndReason::UserDisabled)?;
    proved.login.holds(snapshot, entry, coming.accesses, now).map_err(EndReason::Login)?;
    match stopped::log_in(snapshot, &proved.user) {
        Some(scope) => Err(EndReason::Panic(scope.clone())),
        None => Ok(()),
    }
}

/// Whether a user who has logged in still is in: enabled, with what they proved it with, and
/// from where they come. Gives the moment when that ends by itself, where there is one.
///
/// # Errors
/// Why their connection and all on it must end.
pub fn still_in(
    snapshot: &Snapshot,
    proved: &Proved,
    coming: &Coming<'_>,
    now: Timestamp,
) -> Result<Option<Timestamp>, EndReason> {
    proves(snapshot, proved, coming, now)?;
    let entry = enter(snapshot, &proved.user, coming, now).map_err(|why| EndReason::Entry(why.into()))?;
    Ok([proved.login.until(), entry.until()].into_iter().flatten().min())
}
