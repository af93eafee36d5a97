//! The proof that policy said yes. Only [`super::decide()`] and [`super::recheck()`] of an
//! earlier permit make one.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::at_once::{self, Full, LiveSession};
use super::login::Login;
use super::outside::{NoEntry, Resting};
use crate::change::Change;
use crate::grant::Privilege;
use crate::id::{RemoteAccessId, RequestId};
use crate::model::{AccessGroup, Action, Claims, Credential, Device, Forward, User};
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

    /// Whether the session fits among those that live.
    ///
    /// # Errors
    /// When the group's bounds are reached.
    pub fn fits(&self, live: &[LiveSession]) -> Result<(), Full> {
        at_once::fits(&self.group, &self.user.name, &self.credential.name, live)
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
