//! Who approves for whom: whom groups name, managers and who stands in for somebody.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::Snapshot;
use crate::model::{AccessGroup, Approver, Level};
use crate::name::UserName;

impl Snapshot {
    /// The groups that name the user as an approver.
    pub(crate) fn approves(&self, name: &UserName) -> impl Iterator<Item = &Arc<AccessGroup>> {
        let indexes = self.users.get(name).map(|entry| entry.approves.as_slice()).unwrap_or_default();
        indexes.iter().filter_map(|index| self.groups.get(*index)).map(|entry| &entry.group)
    }

    /// Whose manager the user is.
    pub(crate) fn reports(&self, name: &UserName) -> &[UserName] {
        self.users.get(name).map(|entry| entry.reports.as_slice()).unwrap_or_default()
    }

    /// The user, and for whom they stand in at this moment.
    pub(crate) fn speaks_for<'a>(
        &'a self,
        name: &'a UserName,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a UserName> {
        let away = self.users.get(name).map(|entry| entry.stands_in_for.as_slice()).unwrap_or_default();
        let stands_in = move |other: &&UserName| {
            let deputy = self.user(other).and_then(|user| user.deputy.as_ref());
            deputy.is_some_and(|deputy| deputy.stands_in(now))
        };
        std::iter::once(name).chain(away.iter().filter(stands_in))
    }

    /// Whom a group names for a requester, and in which level each.
    pub(crate) fn named<'a>(
        &'a self,
        group: &'a AccessGroup,
        requester: &UserName,
    ) -> impl Iterator<Item = (&'a UserName, Level)> {
        let manager = self.user(requester).and_then(|user| user.manager.as_ref());
        let named =
            move |approver: &'a Approver| approver.who.person(manager).map(|person| (person, approver.level));
        group.approvers.iter().filter_map(named)
    }

    /// Those of them for whom the voter speaks now.
    pub(crate) fn entitled<'a>(
        &'a self,
        group: &'a AccessGroup,
        requester: &UserName,
        voter: &'a UserName,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a UserName, Level)> {
        let speaks_for: HashSet<_> = self.speaks_for(voter, now).collect();
        self.named(group, requester).filter(move |(person, _)| speaks_for.contains(person))
    }
}
