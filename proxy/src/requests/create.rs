//! Making requests. One request is for credentials that one access group governs, so that the
//! same people decide on all of it.

mod look;

pub use look::RequestPart;

use std::collections::HashSet;

use jiff::Timestamp;
use tidegate_common::change::Change;
use tidegate_common::id::RequestId;
use tidegate_common::model::{Limits, Request, RequestState, Snapshot, comes};
use tidegate_common::name::{AccessGroupName, CredentialName};
use tidegate_common::policy::{self, Coming, Decision, Facts, Needs};
use tidegate_common::time::Window;

use super::story::created;
use super::{NewRequest, RequestError, Requests, moment, wish};
use crate::access::By;
use crate::governance::Checked;
use crate::store::{RequestFilter, Store};

/// Requests of one user that may wait at once, and emergencies that nobody has reviewed.
pub(super) const MOST_PENDING: usize = 100;
/// Credentials of one request.
pub(super) const MOST_TARGETS: usize = 100;
/// Sessions that a request may be bounded to.
pub(super) const MOST_SESSIONS: u32 = 1000;

/// What was asked for, as it becomes requests: one for each access group that governs.
#[derive(Debug)]
pub struct Sorted {
    /// Each for credentials under one group.
    pub each: Vec<NewRequest>,
    /// What stands against the others.
    pub refused: Vec<RequestError>,
}

/// What policy says of one credential that is asked for.
struct Governed {
    group: AccessGroupName,
    /// None where the rules alone approve.
    needs: Option<Needs>,
}

impl Requests {
    /// Sorts what one user asks for by the access groups that govern.
    pub async fn sort(&self, new: NewRequest) -> Sorted {
        let checked = self.0.access.checked(new.claims.governance.as_ref()).await;
        let snapshot = self.0.access.snapshot();
        // What the groups give then is nothing to tell of a start that nobody may ask for.
        let start = match wish::start(new.wish.start, moment()) {
            Ok(start) => start,
            Err(error) => return Sorted { each: Vec::new(), refused: vec![error] },
        };
        let (mut each, mut refused): (Vec<(AccessGroupName, NewRequest)>, _) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for target in new.targets.iter().filter(|target| seen.insert(*target)) {
            match governed(checked.refused(), &snapshot, &new, target, start, &[]) {
                Err(error) => refused.push(error),
                Ok(Governed { group, .. }) => match each.iter_mut().find(|(known, _)| *known == group) {
                    Some((_, one)) => one.targets.push(target.clone()),
                    None => each.push((group, NewRequest { targets: vec![target.clone()], ..new.clone() })),
                },
            }
        }
        Sorted { each: each.into_iter().map(|(_, one)| one).collect(), refused }
    }

    /// Makes a request for credentials under one access group. An emergency, where the group
    /// allows it, is approved at once, and so is one that nobody has to approve: it says ahead
    /// what the group asks, for a client that cannot be asked.
    ///
    /// # Errors
    /// When access is refused, needs no request, lacks a claim, or waits already.
    pub async fn create(&self, new: NewRequest) -> Result<Request, RequestError> {
        let checked = self.0.access.checked(new.claims.governance.as_ref()).await;
        let mut turn = self.turn().await;
        loop {
            let done = self.create_at(new.clone(), &checked, moment()).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn create_at(
        &self,
        new: NewRequest,
        checked: &Checked,
        now: Timestamp,
    ) -> Result<Request, RequestError> {
        let refused_code = checked.refused();
        self.0.access.is_current()?;
        let was = self.0.store.requester(&new.user).await?;
        let start = wish::start(new.wish.start, now)?;
        let snapshot = self.0.access.snapshot();
        let changes = self.changes(&snapshot, &new, refused_code, start).await?;
        let Governed { group: governing, needs } =
            all_governed(refused_code, &snapshot, &new, start, &changes)?;
        let alone = || new.targets.first().cloned().map_or(RequestError::Targets, RequestError::NotNeeded);
        let group = snapshot.group(&governing).ok_or_else(alone)?;
        if needs.is_none() && !wish::says(group, new.action) {
            return Err(alone());
        }
        self.refuse_another(&new, &governing, now).await?;
        let mut limits = new.limits.clone();
        if limits.has_times() && limits.zone.is_none() {
            limits.zone = Some(group.limitation.zone.clone());
        }
        let window = Window::starting(start, self.length(group, &new.wish, start));
        let state = match needs {
            Some(needs) if new.claims.emergency.is_some() && needs.emergency_allowed => {
                if !limits.is_none() {
                    return Err(RequestError::EmergencyLimits);
                }
                RequestState::Approved { window: wish::emergency(group, new.action, &new.wish, now)? }
            }
            _ if new.claims.emergency.is_some() => return Err(RequestError::NoEmergency(governing)),
            needs => {
                wish::is_within(group, new.wish.duration, start)?;
                // Where it starts with its approval, nobody knows yet.
                if needs.is_none() || new.wish.start.is_some() {
                    comes(&limits, window)?;
                }
                if needs.is_some() { RequestState::Pending } else { RequestState::Approved { window } }
            }
        };
        let NewRequest { user, targets, action, claims, wish, origin, .. } = new;
        let request = Request {
            id: self.0.store.next_request_id().await?,
            user,
            targets,
            left_out: Vec::new(),
            action,
            claims,
            group: governing,
            wish,
            limits,
            extends: None,
            created: now,
            expires: self.0.settings.pending.after(now.max(start)),
            origin,
            state,
            votes: Vec::new(),
            review: None,
            used: 0,
        };
        let by = By { actor: tidegate_common::audit::Actor::User(request.user.clone()), origin, login: None };
        let events = created(&request, checked);
        let told = self.told(None, &request, now);
        self.write(Store::request_made(request.clone(), was), &by, events, told).await?;
        Ok(request)
    }

    /// The changes that it may rest on, where its access group demands one.
    async fn changes(
        &self,
        snapshot: &Snapshot,
        new: &NewRequest,
        refused_code: Option<&str>,
        start: Timestamp,
    ) -> Result<Vec<Change>, RequestError> {
        let first = new.targets.first();
        let needs = match first.map(|target| governed(refused_code, snapshot, new, target, start, &[])) {
            Some(Ok(Governed { needs: Some(needs), .. })) => needs,
            _ => return Ok(Vec::new()),
        };
        Ok(self.0.access.changes_for(&needs, &new.claims, &[], start).await?)
    }

    /// One that waits is enough, and so is one emergency that is open.
    async fn refuse_another(
        &self,
        new: &NewRequest,
        group: &AccessGroupName,
        now: Timestamp,
    ) -> Result<(), RequestError> {
        let urgent = new.claims.emergency.is_some();
        let mut waiting = 0;
        for request in self.unfinished(new, now).await? {
            let same = request.action == new.action && request.group == *group && request.extends.is_none();
            let twin = request.targets.iter().find(|target| same && new.targets.contains(target)).cloned();
            let id = request.id;
            match (request.state.clone(), twin) {
                (RequestState::Pending, Some(target)) if !urgent => {
                    return Err(RequestError::Waiting { id, target });
                }
                (RequestState::Pending, _) => waiting += 1,
                (RequestState::Approved { window }, Some(target))
                    if request.is_emergency() && urgent && window.end > now =>
                {
                    return Err(RequestError::Open { id, target });
                }
                _ => {}
            }
        }
        if !urgent {
            return if waiting < MOST_PENDING { Ok(()) } else { Err(RequestError::TooMany) };
        }
        // An emergency waits behind no request; but who claims them without end is looked at first.
        let due = RequestFilter { user: Some(new.user.clone()), to_review: true, ..RequestFilter::default() };
        let due = self.0.store.requests(&due).await?.len();
        if due < MOST_PENDING { Ok(()) } else { Err(RequestError::Unreviewed) }
    }

    /// The user's requests that wait or were approved, as they stand now.
    async fn unfinished(&self, new: &NewRequest, now: Timestamp) -> Result<Vec<Request>, RequestError> {
        let user = Some(new.user.clone());
        let filter = RequestFilter { user, states: &["pending", "approved"], ..RequestFilter::default() };
        let requests = self.0.store.requests(&filter).await?.into_iter();
        Ok(requests.map(|request| self.standing(request, now)).collect())
    }

    /// The request that waits for more time for another one.
    pub(super) async fn extending(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Option<RequestId>, RequestError> {
        let user = Some(request.user.clone());
        let filter = RequestFilter { user, states: &["pending"], ..RequestFilter::default() };
        let mut waiting = self.0.store.requests(&filter).await?.into_iter();
        let of_it = |other: &Request| {
            other.extends == Some(request.id) && other.state_at(now) == RequestState::Pending
        };
        Ok(waiting.find(of_it).map(|other| other.id))
    }
}

/// What governs all of a request.
fn all_governed(
    refused_code: Option<&str>,
    snapshot: &Snapshot,
    new: &NewRequest,
    start: Timestamp,
    changes: &[Change],
) -> Result<Governed, RequestError> {
    if new.targets.is_empty() || new.targets.len() > MOST_TARGETS {
        return Err(RequestError::Targets);
    }
    is_counted(&new.limits)?;
    if let Some(named) = &new.claims.reason
        && snapshot.reasons().all(|reason| reason.name != *named)
    {
        let known = snapshot.reasons().map(|reason| reason.name.clone()).collect();
        return Err(RequestError::NoReason { named: named.clone(), known });
    }
    let mut all =
        new.targets.iter().map(|target| governed(refused_code, snapshot, new, target, start, changes));
    let first = all.next().ok_or(RequestError::Targets)??;
    for other in all {
        let other = other?;
        if other.group != first.group {
            return Err(RequestError::Apart);
        }
        // A change may cover one device and not another.
        if let Some(needs) = other.needs.filter(|needs| needs.change.is_some()) {
            return Err(RequestError::Missing(Box::new(needs)));
        }
    }
    match first.needs {
        Some(needs) if needs.claims_missing() => Err(RequestError::Missing(Box::new(needs))),
        needs => Ok(Governed { needs, ..first }),
    }
}

fn governed(
    refused_code: Option<&str>,
    snapshot: &Snapshot,
    new: &NewRequest,
    target: &CredentialName,
    start: Timestamp,
    changes: &[Change],
) -> Result<Governed, RequestError> {
    let facts = Facts {
        now: start,
        user: &new.user,
        login: None,
        target,
        action: new.action,
        origin: new.origin,
        coming: Coming::ASKED,
        claims: &new.claims,
        refused_code,
        requests: &[],
        live: &[],
        changes,
    };
    match policy::decide(snapshot, &facts) {
        Decision::Refused(refusal) => Err(RequestError::Refused(refusal.into())),
        Decision::Permitted(permit) => Ok(Governed { group: permit.group().clone(), needs: None }),
        Decision::Needs(needs) => Ok(Governed { group: needs.group.clone(), needs: Some(needs) }),
    }
}

/// Whether it is for so many sessions as anybody counts.
fn is_counted(limits: &Limits) -> Result<(), RequestError> {
    match limits.sessions {
        Some(0) => Err(RequestError::Sessions),
        Some(sessions) if sessions > MOST_SESSIONS => Err(RequestError::Sessions),
        _ => Ok(()),
    }
}
