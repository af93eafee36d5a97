//! The decision.

mod asked;
mod governing;
mod held;
mod people;
mod refusal;

use asked::Asked;
pub use asked::ChangeNeed;
pub(super) use governing::{Demand, counts, demand, excepts, govern, most_demanded};
pub use held::Held;
pub use refusal::{Miss, Refusal, Why};

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::at_once::{self, LiveSession};
use super::login::Login;
use super::outside::{self, Coming};
use super::permit::Permit;
use super::review::ReviewTimes;
use super::stopped;
use crate::change::Change;
use crate::id::{RemoteAccessId, RequestId};
use crate::model::{
    AccessGroup, Action, Approval, Claims, Credential, Request, RequestState, Snapshot, Terms,
};
use crate::name::{AccessGroupName, CredentialName, ReasonName, UserName};
use governing::{Governing, approval_at};
use people::approved_until;

/// Everything a decision depends on beside the snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The moment.
    pub now: Timestamp,
    /// Who; already authenticated.
    pub user: &'a UserName,
    /// What they logged in with, which must hold; none where nobody comes in, but a question
    /// about a user is asked.
    pub login: Option<&'a Arc<Login>>,
    /// To what.
    pub target: &'a CredentialName,
    /// To do what.
    pub action: Action,
    /// From where, where that is known: who asks on the local console comes from nowhere.
    pub origin: Option<IpAddr>,
    /// What the rules ask of that, and the user's remote accesses.
    pub coming: Coming<'a>,
    /// What the user says for it.
    pub claims: &'a Claims,
    /// Why the governance code that the user says is refused, where it was looked at and is.
    pub refused_code: Option<&'a str>,
    /// Requests that may cover it; those that do not are ignored.
    pub requests: &'a [Request],
    /// Sessions of the user's and to the target that live, where the group bounds them and one more
    /// would begin now; those that do not count are ignored.
    pub live: &'a [LiveSession],
    /// Changes that it may rest on; those that do not cover it are ignored.
    pub changes: &'a [Change],
}

/// Yes, not yet, or no.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// Yes, and the proof.
    Permitted(Permit),
    /// The user must say more, or somebody else must.
    Needs(Needs),
    /// No.
    Refused(Refusal),
}

/// What is still missing, in the order in which to ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// The group that asks.
    pub group: AccessGroupName,
    /// A free text.
    pub justification: bool,
    /// One of these; empty if none is asked for.
    pub reasons: Vec<ReasonName>,
    /// A change that is open.
    pub change: Option<ChangeNeed>,
    /// A governance code, or another than was said.
    pub governance: bool,
    /// Why the one that was said is refused.
    pub refused_code: Option<String>,
    /// The approval of other people.
    pub approval: Option<ApprovalNeed>,
    /// A request that is approved and does not open this now, and why.
    pub held: Option<(RequestId, Held)>,
    /// Whether the user may claim an emergency instead of waiting for approval.
    pub emergency_allowed: bool,
}

impl Needs {
    /// Whether the user still has something to say (approval aside).
    #[must_use]
    pub fn claims_missing(&self) -> bool {
        self.justification || !self.reasons.is_empty() || self.change.is_some() || self.governance
    }
}

/// Which approval is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalNeed {
    /// How many people, in each level if in levels.
    pub needed: u8,
    /// Whether level by level.
    pub levels: bool,
    /// The request that waits for it already.
    pub waiting: Option<RequestId>,
}

/// Decides; the only place where a permit begins.
pub fn decide(snapshot: &Snapshot, facts: &Facts<'_>) -> Decision {
    decide_live(snapshot, facts, None)
}

/// An access that was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live {
    /// When it began.
    pub since: Timestamp,
    /// Whether it rests on a request.
    pub requested: bool,
    /// The remote access that it rests on.
    pub remote_access: Option<RemoteAccessId>,
}

/// Decides, if `live` is given for an access that goes on: whether approval
/// is needed is read at its beginning, its longest time counts from there, and the
/// register of reasons is not asked again; all else holds now.
pub(super) fn decide_live(snapshot: &Snapshot, facts: &Facts<'_>, live: Option<Live>) -> Decision {
    let since = live.map_or(facts.now, |live| live.since);
    let refuse = |why| Decision::Refused(Refusal { target: facts.target.clone(), action: facts.action, why });
    let Some(user) = snapshot.user_entry(facts.user) else { return refuse(Why::UnknownUser) };
    if !user.user.enabled {
        return refuse(Why::DisabledUser);
    }
    if let Some(Err(gone)) =
        facts.login.map(|login| login.holds(snapshot, user, facts.coming.accesses, facts.now))
    {
        return refuse(Why::Login(gone));
    }
    if let Some(scope) = stopped::before_target(snapshot, facts.user) {
        return refuse(Why::Panic(scope.clone()));
    }
    let entry = match outside::enter(snapshot, facts.user, &facts.coming, facts.now) {
        Ok(entry) => entry,
        Err(why) => return refuse(Why::Entry(why.into())),
    };
    let Some(credential) = snapshot.credential_entry(facts.target) else {
        return refuse(Why::UnknownCredential);
    };
    let Governing { group, terms, until } =
        match govern(snapshot, user, credential, facts.action, facts.now, since, live.is_some()) {
            Ok(governing) => governing,
            Err(why) => return refuse(why),
        };
    if let Some(scope) = stopped::behind_target(snapshot, credential, group) {
        return refuse(Why::Panic(scope.clone()));
    }
    let began = live.and_then(|live| live.remote_access);
    let carried = match outside::carry(&entry, &facts.coming, facts.target, facts.action, began, facts.now) {
        Ok(carried) => carried,
        Err(why) => return refuse(Why::Entry(why.into())),
    };
    // A session that lives goes on, whatever is bounded meanwhile.
    if live.is_none()
        && facts.action == Action::Session
        && let Err(full) = at_once::fits(group, facts.user, facts.target, facts.live)
    {
        return refuse(Why::Full(full));
    }
    let approval = approval_at(group, terms, since);
    // A request is rested on where somebody has to approve it, and where it says what whoever
    // comes in does not: without a terminal nobody can be asked.
    let at = |claims| Asked { group, terms, claims, device: &credential.device.name, facts };
    let unsaid = || missing(snapshot, &at(facts.claims), None).claims_missing();
    let rests = approval.is_some() || live.map_or_else(unsaid, |live| live.requested);
    let counted = live.is_none_or(|live| !live.requested);
    let answers = |request: &Request| {
        let claims = facts.claims.or(&request.claims);
        let asked = Asked { group, terms, claims: &claims, device: &credential.device.name, facts };
        let mut needs = missing(snapshot, &asked, None);
        if request.claims.reason.is_some() {
            needs.reasons.clear();
        }
        !needs.claims_missing()
    };
    let covering = match rests {
        true => covering(group, terms, facts, counted, approval.is_some(), answers),
        false => None,
    };
    let claims = match covering {
        Some((request, _)) => facts.claims.or(&request.claims),
        None => facts.claims.clone(),
    };
    let mut needs = missing(snapshot, &at(&claims), approval.filter(|_| covering.is_none()));
    if live.is_some() || covering.is_some_and(|(request, _)| request.claims.reason.is_some()) {
        // A reason that is registered, disabled or removed meanwhile ends nobody's session, and
        // takes back no approval that was given for it.
        needs.reasons.clear();
    }
    if needs.claims_missing() || needs.approval.is_some() {
        return Decision::Needs(needs);
    }
    let change = at(&claims).change().and_then(Result::ok).cloned().map(Arc::new);
    let ends = [
        covering.map(|(_, end)| end),
        change.as_ref().map(|change| change.due),
        group.limitation.closes(facts.now),
        ReviewTimes::of(snapshot, group).map(|times| times.lapses),
        until,
        group.conditions.longest.map(|longest| longest.after(since)),
        facts.login.and_then(|login| login.until()),
        carried.as_ref().map(|carried| carried.until),
    ];
    let expires = ends.into_iter().flatten().min();
    if expires.is_some_and(|end| end <= facts.now) {
        return refuse(Why::TooLong);
    }
    Decision::Permitted(Permit {
        user: Arc::clone(&user.user),
        credential: Arc::clone(&credential.credential),
        device: Arc::clone(&credential.device),
        group: Arc::clone(group),
        action: facts.action,
        origin: facts.origin,
        login: facts.login.map(Arc::clone),
        claims,
        request: covering.map(|(request, _)| request.id),
        emergency: covering.is_some_and(|(request, _)| request.is_emergency()),
        sessions: covering.and_then(|(request, _)| request.limits.sessions),
        change,
        since,
        expires,
        reported: entry.reported().cloned(),
        remote_access: carried,
    })
}

/// Requests of this very access under this very group. One that wants more time for another
/// is none: it opens nothing itself.
fn own<'a>(group: &AccessGroup, facts: &Facts<'a>) -> impl Iterator<Item = &'a Request> {
    let Facts { user, target, action, .. } = *facts;
    let group = group.name.clone();
    facts.requests.iter().filter(move |request| {
        request.user == *user
            && request.targets.contains(target)
            && request.extends.is_none()
            && request.action == action
            && request.group == group
    })
}

/// The approved request that covers this moment, and when it ends or closes: rather one that answers
/// what is asked, and of these the one that ends last. `counted` says whether it must have a session
/// left; one that began has it already. `by_people` says whether somebody has to have approved it:
/// the rules did when they asked for nobody, and cannot for those that do now; then it ends with what
/// people approved.
fn covering<'a>(
    group: &AccessGroup,
    terms: &Terms,
    facts: &Facts<'a>,
    counted: bool,
    by_people: bool,
    answers: impl Fn(&Request) -> bool,
) -> Option<(&'a Request, Timestamp)> {
    let approved = own(group, facts).filter(|request| terms.emergency || !request.is_emergency());
    let approved = approved.filter_map(|request| match by_people {
        true => Some((request, approved_until(request, facts)?)),
        false => Some((request, Timestamp::MAX)),
    });
    let open = approved.filter_map(|(request, until)| match request.state_under(group, facts.now) {
        RequestState::Approved { window } if window.contains(facts.now) => {
            let limits = &request.limits;
            let left = !counted || !limits.are_spent(request.used);
            let end = limits.closes(facts.now).map_or(window.end, |closes| closes.min(window.end)).min(until);
            (left && limits.is_open(facts.now)).then_some((request, end))
        }
        _ => None,
    });
    open.max_by_key(|(request, end)| (answers(request), *end, request.id))
}

fn missing(snapshot: &Snapshot, asked: &Asked<'_>, approval: Option<&Approval>) -> Needs {
    let Asked { group, terms, claims, facts, .. } = *asked;
    let enabled = |name: &ReasonName| snapshot.reasons().any(|reason| reason.name == *name);
    let wants_reason = terms.justification || group.request.reason;
    let ask_reason = wants_reason && !claims.reason.as_ref().is_some_and(enabled);
    let reasons = snapshot.reasons().filter(|_| ask_reason).map(|reason| reason.name.clone());
    let states = || own(group, facts).map(|request| (request, request.state_under(group, facts.now)));
    let stands = |request: &Request| approval.is_none() || approved_until(request, facts).is_some();
    let held = states().filter(|(request, _)| stands(request));
    Needs {
        group: group.name.clone(),
        justification: terms.justification && claims.justification.is_none(),
        reasons: reasons.collect(),
        change: asked.change_need(),
        governance: facts.refused_code.is_some() || group.request.governance && claims.governance.is_none(),
        refused_code: facts.refused_code.map(str::to_owned),
        approval: approval.map(|approval| ApprovalNeed {
            needed: approval.needed,
            levels: approval.levels,
            waiting: states()
                .filter(|(_, state)| *state == RequestState::Pending)
                .map(|(request, _)| request.id)
                .last(),
        }),
        held: held::soonest(held.filter_map(|(request, state)| held::held(request, &state, facts.now))),
        emergency_allowed: approval.is_some() && terms.emergency,
    }
}

/// A credential that somebody may reach.
#[derive(Debug, Clone, Copy)]
pub struct Reached<'a> {
    /// Which.
    pub credential: &'a Credential,
    /// What governs.
    pub group: &'a AccessGroup,
    /// When that ends or closes by itself.
    pub closes: Option<Timestamp>,
}

/// Every credential that some group or exceptional access gives the user for the action now, with
/// what governs; of those what a remote access reaches, where the user comes by one. Sorted by name.
#[must_use]
pub fn reachable<'a>(
    snapshot: &'a Snapshot,
    user: &UserName,
    coming: &Coming<'_>,
    action: Action,
    now: Timestamp,
) -> Vec<Reached<'a>> {
    let Some(user) = snapshot.user_entry(user).filter(|entry| entry.user.enabled) else {
        return Vec::new();
    };
    if stopped::before_target(snapshot, &user.user.name).is_some() {
        return Vec::new();
    }
    let Ok(entry) = outside::enter(snapshot, &user.user.name, coming, now) else {
        return Vec::new();
    };
    let governed = snapshot.credential_entries().filter_map(|credential| {
        let governing = govern(snapshot, user, credential, action, now, now, false);
        let Governing { group, until, .. } = governing.ok()?;
        if stopped::behind_target(snapshot, credential, group).is_some() {
            return None;
        }
        let target = &credential.credential.name;
        let carried = outside::carry(&entry, coming, target, action, None, now).ok()?;
        let carried = carried.map(|carried| carried.until);
        let lapses = ReviewTimes::of(snapshot, group).map(|times| times.lapses);
        let closes = [until, group.limitation.closes(now), lapses, carried].into_iter().flatten().min();
        Some(Reached { credential: &credential.credential, group, closes })
    });
    let mut reachable: Vec<_> = governed.collect();
    reachable.sort_by(|a, b| {
        let (a, b) = (&a.credential.name, &b.credential.name);
        (&a.device, &a.account).cmp(&(&b.device, &b.account))
    });
    reachable
}
