//! How a remote access begins.

use jiff::{Span, Timestamp};
use tidegate_common::audit::RemoteAccessStep;
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{
    Claims, Limits, NoTime, RemoteAccess, RemoteAccessState, Scope, Snapshot, UserGroup, can_be_asked, comes,
};
use tidegate_common::name::{UserGroupName, UserName};
use tidegate_common::time::{Length, Window};

use super::{RemoteAccessError, RemoteAccesses, moment, told, who};
use crate::access::{AccessError, By};
use crate::audit_log::Telling;
use crate::governance::Checked;
use crate::store::Store;

/// How far ahead a start may lie.
const FARTHEST_DAYS: i64 = 366;

/// What is requested.
#[derive(Debug, Clone)]
pub struct NewRemoteAccess {
    /// As one of this group.
    pub group: UserGroupName,
    /// For whom; for all of the group where nobody is named.
    pub user: Option<UserName>,
    /// What it reaches.
    pub scope: Scope,
    /// What is claimed for it.
    pub claims: Claims,
    /// From when; at once where nothing is said.
    pub start: Option<Timestamp>,
    /// For how long.
    pub duration: Length,
}

impl NewRemoteAccess {
    fn is_full(&self) -> bool {
        matches!(self.scope, Scope::Full)
    }
}

impl RemoteAccesses {
    /// Whom a full request for a whole group leaves out, each with the reason: its limited users.
    #[must_use]
    pub fn left_out(&self, new: &NewRemoteAccess) -> Vec<RemoteAccessError> {
        if new.user.is_some() || !new.is_full() {
            return Vec::new();
        }
        let snapshot = self.0.access.snapshot();
        let Some(group) = snapshot.user_group(&new.group) else { return Vec::new() };
        group.limited_users.iter().map(|limited| no_full(group, &limited.name)).collect()
    }

    /// What a request would make, checked as it is when it is made, and not written.
    ///
    /// # Errors
    /// When it says too little, or names what is not there.
    pub async fn review(
        &self,
        new: &NewRemoteAccess,
        by: &By,
    ) -> Result<Vec<RemoteAccess>, RemoteAccessError> {
        self.checked(new).await?;
        self.made(new, by, RemoteAccessId(1), moment())
    }

    /// What came of the governance code that is claimed, where it is taken.
    async fn checked(&self, new: &NewRemoteAccess) -> Result<Checked, RemoteAccessError> {
        match self.0.access.checked(new.claims.governance.as_ref()).await {
            Checked::Refused(why) => Err(RemoteAccessError::Code(why)),
            taken => Ok(taken),
        }
    }

    /// Requests it: one for the user, or for each of the group but [`Self::left_out`], all or none.
    ///
    /// # Errors
    /// When it says too little, names what is not there, or cannot be written.
    pub async fn create(
        &self,
        new: &NewRemoteAccess,
        by: &By,
    ) -> Result<Vec<RemoteAccess>, RemoteAccessError> {
        let checked = self.checked(new).await?;
        let mut turn = self.turn().await;
        loop {
            let done = self.create_once(new, by, &checked).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn create_once(
        &self,
        new: &NewRemoteAccess,
        by: &By,
        checked: &Checked,
    ) -> Result<Vec<RemoteAccess>, RemoteAccessError> {
        // Read first: a limited user who goes, or is made, after that moves the number of remote accesses,
        // so that this is refused and looked at again. Who went before is gone from what is looked at.
        let were = self.0.store.revisions().await?.remote_accesses;
        self.looks_again().await?;
        let first = self.0.store.next_remote_access_id().await?;
        let made = self.made(new, by, first, moment())?;
        let entry = |access| Telling::from(told(access, RemoteAccessStep::Requested, said(access), by));
        let mut entries: Vec<_> = made.iter().map(entry).collect();
        if let Some(first) = entries.first_mut() {
            first.tell(self.asks(&made));
        }
        let what = if new.user.is_none() { "batch" } else { "remote access" };
        entries.extend(checked.told(&format!("{what} {first}")).map(|event| Telling::from(by.did(event))));
        let unchanged = Store::remote_accesses_unchanged(were);
        self.write(unchanged.and(Store::remote_accesses_made(made.clone())), entries).await?;
        Ok(made)
    }

    /// Takes what other gates wrote of resources.
    async fn looks_again(&self) -> Result<(), RemoteAccessError> {
        match Box::pin(self.0.access.refresh()).await {
            Ok(()) => Ok(()),
            Err(AccessError::Store(error)) => Err(error.into()),
            Err(error) => Err(RemoteAccessError::Unread(error.to_string())),
        }
    }

    fn made(
        &self,
        new: &NewRemoteAccess,
        by: &By,
        first: RemoteAccessId,
        now: Timestamp,
    ) -> Result<Vec<RemoteAccess>, RemoteAccessError> {
        let snapshot = self.0.access.snapshot();
        let window = window(new, now)?;
        let users = users(&snapshot, new)?;
        says(&snapshot, &new.claims)?;
        reaches(&snapshot, &new.scope)?;
        opens(&new.scope, window)?;
        let settings = &self.0.settings;
        let state = match settings.approvers.is_empty() {
            true => RemoteAccessState::Granted,
            false => RemoteAccessState::Pending {
                needed: settings.needed,
                until: settings.pending.after(now.max(window.start)),
            },
        };
        let batch = new.user.is_none().then_some(first);
        let one = |(place, user): (u64, UserName)| RemoteAccess {
            id: RemoteAccessId(first.0.saturating_add(place)),
            batch,
            user,
            group: new.group.clone(),
            scope: new.scope.clone(),
            claims: new.claims.clone(),
            window,
            by: who(by),
            created: now,
            origin: by.origin,
            state: state.clone(),
            approvals: Vec::new(),
            used: 0,
            end_told: false,
            keys: Vec::new(),
            before_user: false,
        };
        Ok((0..).zip(users).map(one).collect())
    }
}

/// What the audit log is told of what is requested.
fn said(access: &RemoteAccess) -> String {
    let scope = match &access.scope {
        Scope::Full => "full",
        Scope::Limited(_) => "limited",
    };
    let state = match access.state {
        RemoteAccessState::Pending { .. } => ", to be approved",
        _ => "",
    };
    let Window { start, end } = access.window;
    let claims = &access.claims;
    let justification = claims.justification.as_ref().map(|text| format!("; {text}")).unwrap_or_default();
    let reason = claims.reason.as_ref().map(|reason| format!("; reason {reason}")).unwrap_or_default();
    let code = claims.governance.as_ref().map(|code| format!("; governance code {code}")).unwrap_or_default();
    format!("{scope}, from {start:.0} until {end:.0}{state}{justification}{reason}{code}")
}

fn window(new: &NewRemoteAccess, now: Timestamp) -> Result<Window, RemoteAccessError> {
    let start = start(new.start, now)?;
    if !can_be_asked(new.duration) {
        return Err(NoTime::Duration.into());
    }
    Ok(Window::starting(start, new.duration))
}

fn start(asked: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, RemoteAccessError> {
    let start = asked.unwrap_or(now);
    let farthest = now.checked_add(Span::new().hours(24 * FARTHEST_DAYS)).unwrap_or(Timestamp::MAX);
    let nearest = now.checked_sub(Span::new().minutes(1)).unwrap_or(now);
    if start < nearest || start > farthest { Err(RemoteAccessError::Start) } else { Ok(start) }
}

fn users(snapshot: &Snapshot, new: &NewRemoteAccess) -> Result<Vec<UserName>, RemoteAccessError> {
    let name = &new.group;
    let group = snapshot.user_group(name).ok_or_else(|| RemoteAccessError::NoGroup(name.clone()))?;
    if !group.enabled {
        return Err(RemoteAccessError::Disabled(name.clone()));
    }
    if let Some(user) = &new.user {
        return match group.lists(user) {
            true if new.is_full() && group.has_limited(user) => Err(no_full(group, user)),
            true => Ok(vec![user.clone()]),
            false => Err(RemoteAccessError::NotIn { user: user.clone(), group: name.clone() }),
        };
    }
    let limited = group.limited_users.iter().map(|limited| &limited.name);
    let all: Vec<_> = group.users.iter().chain(limited.filter(|_| !new.is_full())).cloned().collect();
    match (all.is_empty(), group.limited_users.first()) {
        (false, _) => Ok(all),
        (true, Some(limited)) => Err(no_full(group, &limited.name)),
        (true, None) => Err(RemoteAccessError::Nobody(name.clone())),
    }
}

fn no_full(group: &UserGroup, user: &UserName) -> RemoteAccessError {
    RemoteAccessError::LimitedUser { user: user.clone(), group: group.name.clone() }
}

fn says(snapshot: &Snapshot, claims: &Claims) -> Result<(), RemoteAccessError> {
    let mut missing = Vec::new();
    if claims.justification.is_none() {
        missing.push("a justification (--justification)".to_owned());
    }
    let reasons: Vec<_> = snapshot.reasons().collect();
    match &claims.reason {
        None if !reasons.is_empty() => {
            let known: Vec<_> = reasons.iter().map(|reason| reason.name.to_string()).collect();
            missing.push(format!("a reason (--reason, one of {})", known.join(", ")));
        }
        Some(reason) if !reasons.iter().any(|known| known.name == *reason) => {
            return Err(RemoteAccessError::Reason(reason.clone()));
        }
        _ => {}
    }
    if missing.is_empty() { Ok(()) } else { Err(RemoteAccessError::Missing(missing.join(" and "))) }
}

fn reaches(snapshot: &Snapshot, scope: &Scope) -> Result<(), RemoteAccessError> {
    let Scope::Limited(limited) = scope else { return Ok(()) };
    if limited.devices.is_empty() && limited.credentials.is_empty() {
        return Err(RemoteAccessError::Nothing);
    }
    if let Some(device) = limited.devices.iter().find(|device| snapshot.device(device).is_none()) {
        return Err(RemoteAccessError::Device(device.clone()));
    }
    let mut named = limited.credentials.iter().map(|credential| &credential.name);
    match named.find(|name| snapshot.credential(name).is_none()) {
        Some(name) => Err(RemoteAccessError::Credential(name.clone())),
        None => Ok(()),
    }
}

/// Whether the days and times of a limited one come at all before its end.
fn opens(scope: &Scope, window: Window) -> Result<(), NoTime> {
    let Scope::Limited(limited) = scope else { return Ok(()) };
    let times = limited.times.clone();
    let limits =
        Limits { weekdays: times.weekdays, slots: times.slots, zone: Some(times.zone), sessions: None };
    comes(&limits, window)
}
