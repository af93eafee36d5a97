//! Who joins a user group that gives access by itself has a remote access at once, without
//! anybody's request. A limited user has none: such a one is full. What another of anybody's name had
//! before is `former`'s.

use std::collections::HashSet;

use jiff::Timestamp;
use tidegate_common::audit::{self, Event, Note, RemoteAccessStep};
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{
    Claims, RemoteAccess, RemoteAccessState, Resource, Resources, Scope, UserGroup,
};
use tidegate_common::name::UserName;
use tidegate_common::time::Window;

use super::{Access, AccessError, By};
use crate::store::{Step, Store};

/// What becomes of remote accesses by what is written.
pub(super) struct Given {
    pub accesses: Option<Step>,
    /// Those of them that another of their user's name had before, as they are written.
    pub over: Vec<RemoteAccess>,
    /// The audit log's records of it.
    pub entries: Vec<audit::Entry>,
}

impl Access {
    /// What becomes of remote accesses by what is written.
    pub(super) async fn given(
        &self,
        before: &Resources,
        put: &[Resource],
        by: &By,
    ) -> Result<Given, AccessError> {
        let (made, mut entries) = self.made(before, put, by).await?;
        let made = (!made.is_empty()).then(|| Store::remote_accesses_made(made));
        let Given { accesses, over, entries: ended } = self.over_before(before, put).await?;
        entries.extend(ended);
        // First: it is refused where any remote access was written meanwhile.
        let accesses = accesses.into_iter().chain(made).reduce(Step::and);
        Ok(Given { accesses, over, entries })
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
