//! The proof that policy said yes. Only [`super::decide()`] and [`recheck`] of an
//! earlier permit make one.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::at_once::{self, Full, LiveSession};
use super::decide::{Decision, Facts, Live, Miss, Why, decide_live};
use super::login::{Login, LoginGone};
use super::outside::{Coming, NoEntry, Resting};
use crate::change::{Change, NotCovered};
use crate::grant::Privilege;
use crate::id::{RemoteAccessId, RequestId};
use crate::model::{
    AccessGroup, Action, Claims, Credential, Device, Forward, PanicScope, Request, RequestState, Snapshot,
    User,
};
use crate::name::{AccessGroupName, CredentialName, UserName};

/// Subject, target, conditions and expiry of one admission. Whoever dials or
/// grants takes one of these and resolves nothing again.
#[derive(Debug, Clone)]
#[must_use]
pub struct Permit {
    pub(super) user: Arc<User>,
    pub(super) credential: Arc<Credential>,
    pub(super) device: Arc<Device>,
    pub(super) group: Arc<AccessGroup>,
    pub(super) action: Action,
    pub(super) origin: Option<IpAddr>,
    pub(super) login: Option<Arc<Login>>,
    pub(super) claims: Claims,
    pub(super) request: Option<RequestId>,
    pub(super) emergency: bool,
    pub(super) sessions: Option<u32>,
    pub(super) change: Option<Arc<Change>>,
    pub(super) since: Timestamp,
    pub(super) expires: Option<Timestamp>,
    pub(super) reported: Option<NoEntry>,
    pub(super) remote_access: Option<Resting>,
}

impl Permit {
    /// Whom it lets through.
    #[must_use]
    pub fn user(&self) -> &UserName {
        &self.user.name
    }

    /// To which credential.
    #[must_use]
    pub fn target(&self) -> &CredentialName {
        &self.credential.name
    }

    /// The credential, as it was when the permit was given.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The device that holds the credential.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The access group that governs.
    #[must_use]
    pub fn group(&self) -> &AccessGroupName {
        &self.group.name
    }

    /// To do what.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// From where, where that was known.
    #[must_use]
    pub fn origin(&self) -> Option<IpAddr> {
        self.origin
    }

    /// What was claimed, the request's claims included.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The approved request it rests on, where approval was needed or the claims are its.
    #[must_use]
    pub fn request(&self) -> Option<RequestId> {
        self.request
    }

    /// What would have refused it, if that were not only told.
    #[must_use]
    pub fn reported(&self) -> Option<&NoEntry> {
        self.reported.as_ref()
    }

    /// The remote access it rests on, where its user comes from outside.
    #[must_use]
    pub fn remote_access(&self) -> Option<RemoteAccessId> {
        self.remote_access.as_ref().map(|resting| resting.id)
    }

    /// The remote access that counts its sessions, and how many it admits.
    #[must_use]
    pub fn counted(&self) -> Option<(RemoteAccessId, u32)> {
        self.remote_access.as_ref().and_then(|resting| Some((resting.id, resting.sessions?)))
    }

    /// Whether approval was skipped in an emergency.
    #[must_use]
    pub fn emergency(&self) -> bool {
        self.emergency
    }

    /// How many sessions the request is for, where it is for so many only; this is one of them.
    #[must_use]
    pub fn sessions(&self) -> Option<u32> {
        self.sessions
    }

    /// The change it rests on, where one is demanded.
    #[must_use]
    pub fn change(&self) -> Option<&Arc<Change>> {
        self.change.as_ref()
    }

    /// When it was given.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// When it ends by itself: the request's window, the group's limitation or
    /// longest session, the change's due, the certificate of the log-in, whichever is first.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Whether it is its request's window that ends it.
    #[must_use]
    pub fn ends_with_request(&self) -> bool {
        let until = self.login.as_ref().and_then(|login| login.until());
        let due = self.change.as_ref().map(|change| change.due);
        self.request.is_some() && [until, due].iter().all(|end| end.is_none() || *end != self.expires)
    }

    /// What the session is granted on the device.
    #[must_use]
    pub fn privileges(&self) -> &[Privilege] {
        match self.action {
            Action::Session => &self.credential.privileges,
            Action::ViewPassword => &[],
        }
    }

    /// Whether the session may open such a forward.
    #[must_use]
    pub fn allows(&self, forward: Forward) -> bool {
        self.group.conditions.forwards.contains(&forward)
    }

    /// How many bytes of a channel without a terminal are recorded.
    #[must_use]
    pub fn exec_output_limit(&self) -> u64 {
        self.group.conditions.exec_output_limit.bytes()
    }

    /// Whether the group bounds how many sessions there are at once.
    #[must_use]
    pub fn bounds_sessions(&self) -> bool {
        self.action == Action::Session && !self.group.conditions.sessions_at_once.is_none()
    }

    /// Whether there is room for the session among those that live.
    ///
    /// # Errors
    /// When the group's bounds are reached.
    pub fn room(&self, live: &[LiveSession]) -> Result<(), Full> {
        at_once::room(&self.group, &self.user.name, &self.credential.name, live)
    }

    /// Whether the user is told who watches the session.
    #[must_use]
    pub fn tells_of_watchers(&self) -> bool {
        self.group.tells_of_watchers()
    }

    /// Whether what is typed is recorded too.
    #[must_use]
    pub fn record_input(&self) -> bool {
        self.group.conditions.record_input
    }
}

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
/// `requests` must hold the permit's request, if it has one, and `changes` its change.
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
