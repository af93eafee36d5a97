//! Who joins a user group that gives access by itself has a remote access at once, without
//! anybody's request. A limited user has none: such a one is full. What another of their name had
//! before does not take them along.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tidegate_common::audit::{self, Event, Note, RemoteAccessStep};
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{
    Claims, RemoteAccess, RemoteAccessState, Resource, Resources, Scope, UserGroup,
};
use tidegate_common::name::{UserGroupName, UserName};
use tidegate_common::time::Window;

use super::{Access, AccessError, By};
use crate::store::{Revision, Step, Store};

impl Access {
    /// What becomes of remote accesses by what is written, and the audit log's records of those that are made.
    pub(super) async fn given(
        &self,
        before: &Resources,
        put: &[Resource],
        by: &By,
    ) -> Result<(Option<Step>, Vec<audit::Entry>), AccessError> {
        let (made, entries) = self.made(before, put, by).await?;
        let over = self.over_before(before, put).await?;
        let made = (!made.is_empty()).then(|| Store::remote_accesses_made(made));
        let over = (!over.is_empty()).then(|| Store::remote_accesses_changed(over));
        Ok((made.into_iter().chain(over).reduce(Step::and), entries))
    }

    /// What another of the name had before a limited user is made, each as it shall be.
    async fn over_before(
        &self,
        before: &Resources,
        put: &[Resource],
    ) -> Result<Vec<(RemoteAccess, Revision)>, AccessError> {
        let mut new: HashMap<&UserName, &UserGroupName> = HashMap::new();
        for resource in put {
            let Resource::UserGroup(group) = resource else { continue };
            new.extend(group.limited_users.iter().map(move |limited| (&limited.name, &group.name)));
        }
        for (group, limited) in before.limited_users() {
            if new.get(&limited.name).is_some_and(|of| **of == group.name) {
                new.remove(&limited.name);
            }
        }
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<UserName> = new.keys().copied().cloned().collect();
        let (known, _) = self.0.store.remote_accesses_of(&names).await?;
        let now = Timestamp::now();
        let over = known.into_iter().filter(|(access, _)| {
            let joins = new.get(&access.user).is_some_and(|group| **group == access.group);
            joins && !access.before_user && !access.stands_at(now)
        });
        Ok(over.map(|(access, was)| (RemoteAccess { before_user: true, ..access }, was)).collect())
    }

    /// The remote accesses of those who join, and the audit log's records of them.
    async fn made(
        &self,
        before: &Resources,
        put: &[Resource],
        by: &By,
    ) -> Result<(Vec<RemoteAccess>, Vec<audit::Entry>), AccessError> {
        let border = self.border();
        let groups = put.iter().filter_map(|resource| match resource {
            Resource::UserGroup(group) if group.enabled && group.gives_access(border.automatic) => {
                Some(group)
            }
            _ => None,
        });
        let joining: Vec<_> = groups.flat_map(|group| joined(before, group)).collect();
        if joining.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let first = self.0.store.next_remote_access_id().await?;
        let now = Timestamp::now();
        let one = |(place, (group, user)): (u64, (&UserGroup, _))| RemoteAccess {
            id: RemoteAccessId(first.0.saturating_add(place)),
            batch: None,
            user,
            group: group.name.clone(),
            scope: Scope::Full,
            claims: Claims::default(),
            window: Window::starting(now, border.automatic_duration),
            by: "the user group".to_owned(),
            created: now,
            origin: by.origin,
            state: RemoteAccessState::Granted,
            approvals: Vec::new(),
            used: 0,
            end_told: false,
            keys: Vec::new(),
            before_user: false,
        };
        let made: Vec<_> = (0..).zip(joining).map(one).collect();
        let entry = |access: &RemoteAccess| {
            by.did(Event::RemoteAccess {
                access: access.id,
                user: access.user.clone(),
                group: access.group.clone(),
                step: RemoteAccessStep::Automatic,
                said: Note::new(format!("full, until {:.0}", access.window.end)),
            })
        };
        let entries = made.iter().map(entry).collect();
        Ok((made, entries))
    }
}

/// Who is in the group now and was not before.
fn joined<'g>(before: &Resources, group: &'g UserGroup) -> impl Iterator<Item = (&'g UserGroup, UserName)> {
    let old = before.user_groups.iter().find(|old| old.name == group.name);
    let known: HashSet<_> = old.map(|old| old.users.iter().cloned().collect()).unwrap_or_default();
    group.users.iter().filter(move |user| !known.contains(user)).map(move |user| (group, user.clone()))
}
