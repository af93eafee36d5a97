//! What governs an access: exceptional access, or else the most demanding group that counts.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::{criteria, review};
use super::{Miss, Why};
use crate::model::{
    AccessGroup, Action, Approval, CredentialEntry, ExceptionEntry, ExceptionalAccess, Snapshot, Terms,
    UserEntry,
};
use crate::name::AccessGroupName;

/// How much a group demands; the most demanding governs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) enum Demand {
    Nothing,
    Justification,
    Change,
    Approval,
}

/// The approval that is needed at a moment, if any.
pub(super) fn approval_at<'a>(
    group: &'a AccessGroup,
    terms: &'a Terms,
    at: Timestamp,
) -> Option<&'a Approval> {
    terms.approval.as_ref().filter(|approval| approval.when.is_open(&group.limitation.zone, at))
}

pub(in crate::policy) fn demand(group: &AccessGroup, terms: &Terms, at: Timestamp) -> Demand {
    if approval_at(group, terms, at).is_some() {
        Demand::Approval
    } else if terms.change {
        Demand::Change
    } else if terms.justification {
        Demand::Justification
    } else {
        Demand::Nothing
    }
}

/// The same at the moment at which it demands most.
pub(in crate::policy) fn most_demanded(terms: &Terms) -> Demand {
    match (&terms.approval, terms.change, terms.justification) {
        (Some(_), ..) => Demand::Approval,
        (None, true, _) => Demand::Change,
        (None, false, true) => Demand::Justification,
        (None, false, false) => Demand::Nothing,
    }
}

/// Whether a group that lists the user counts; if so, its terms.
pub(in crate::policy) fn counts<'a>(
    snapshot: &Snapshot,
    group: &'a AccessGroup,
    user: &UserEntry,
    credential: &CredentialEntry,
    action: Action,
    now: Timestamp,
) -> Result<&'a Terms, Miss> {
    if let Some(field) = criteria::mismatch(&group.criteria, &credential.traits, &user.lower) {
        return Err(Miss::Criteria(field));
    }
    let terms = group.terms(action).ok_or(Miss::Action(action))?;
    if !group.limitation.is_open(now) {
        return Err(Miss::Closed);
    }
    match review::lapsed(snapshot, group, now) {
        Some(since) => Err(Miss::Unconfirmed(since)),
        None => Ok(terms),
    }
}

/// What governs an access.
#[derive(Debug, Clone, Copy)]
pub(in crate::policy) struct Governing<'a> {
    pub group: &'a Arc<AccessGroup>,
    pub terms: &'a Terms,
    /// When it ends by itself, of exceptional access.
    pub until: Option<Timestamp>,
}

/// Whether an exceptional access for the user counts.
pub(in crate::policy) fn excepts(
    access: &ExceptionalAccess,
    credential: &CredentialEntry,
    action: Action,
    now: Timestamp,
) -> Result<(), Miss> {
    if access.credential != credential.credential.name {
        Err(Miss::OtherCredential)
    } else if !access.allows(action) {
        Err(Miss::Action(action))
    } else if let Some(from) = access.from.filter(|from| *from > now) {
        Err(Miss::Begins(from))
    } else if access.until <= now {
        Err(Miss::Ended(access.until))
    } else {
        Ok(())
    }
}

/// The exceptional access that lasts longest, or else the group that governs, or why none does. `lives` says
/// whether it is of an access that goes on: nothing new begins under a group of whose review is known what
/// cannot be read, nor does it make room for one that demands less.
pub(in crate::policy) fn govern<'a>(
    snapshot: &'a Snapshot,
    user: &UserEntry,
    credential: &CredentialEntry,
    action: Action,
    now: Timestamp,
    since: Timestamp,
    lives: bool,
) -> Result<Governing<'a>, Why> {
    let exceptions = snapshot.exceptions_of(user);
    let excepts = exceptions.filter(|one| excepts(&one.access, credential, action, now).is_ok());
    if let Some(ExceptionEntry { access, group }) = excepts.max_by_key(|one| one.access.until)
        && let Some(terms) = group.terms(action)
    {
        return Ok(Governing { group, terms, until: Some(access.until) });
    }
    let mut best: Option<(Demand, &Arc<AccessGroup>, &Terms)> = None;
    let mut closest: Option<(&AccessGroupName, Miss)> = None;
    for entry in snapshot.groups_of(user) {
        let group = &entry.group;
        match counts(snapshot, group, user, credential, action, now) {
            Ok(terms) => {
                let demand = demand(group, terms, since);
                // The oldest comes first, so only a stricter one replaces it.
                if best.is_none_or(|(most, ..)| demand > most) {
                    best = Some((demand, group, terms));
                }
            }
            Err(miss) => {
                if closest.as_ref().is_none_or(|(_, other)| miss.distance() < other.distance()) {
                    closest = Some((&group.name, miss));
                }
            }
        }
    }
    match best {
        Some((_, group, _)) if !lives && review::is_unread(snapshot, group) => {
            Err(Why::NoGroup { closest: Some((group.name.clone(), Miss::Unread)) })
        }
        Some((_, group, terms)) => Ok(Governing { group, terms, until: None }),
        None => Err(Why::NoGroup { closest: closest.map(|(name, miss)| (name.clone(), miss)) }),
    }
}
