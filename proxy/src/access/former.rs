//! Limited users who are there no more, and others who are made by their name. Nothing that the former
//! had comes alive for the later: what still stands of it ends at the latest when that one is made.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tidegate_common::audit::{self, Event, Note, RemoteAccessStep};
use tidegate_common::model::{RemoteAccess, RemoteAccessState, Request, RequestState, Resource, Resources};
use tidegate_common::name::{UserGroupName, UserName};

use super::{Access, AccessError, By};
use crate::store::{Step, Store};

impl Access {
    /// What becomes of what another of the name had before a limited user is made, and the audit log's
    /// records of it. Remote accesses are marked, and those that stand end with their keys and codes;
    /// open requests end. Refused where a remote access or such a request is written meanwhile.
    pub(super) async fn over_before(
        &self,
        before: &Resources,
        put: &[Resource],
    ) -> Result<(Option<Step>, Vec<audit::Entry>), AccessError> {
        let mut new: HashMap<&UserName, &UserGroupName> = HashMap::new();
        for resource in put {
            let Resource::UserGroup(group) = resource else { continue };
            new.extend(group.limited_users.iter().map(move |limited| (&limited.name, &group.name)));
        }
        let mut there = HashSet::new();
        for (group, limited) in before.limited_users() {
            there.insert(&limited.name);
            if new.get(&limited.name).is_some_and(|of| **of == group.name) {
                new.remove(&limited.name);
            }
        }
        if new.is_empty() {
            return Ok((None, Vec::new()));
        }
        let names: Vec<UserName> = new.keys().copied().cloned().collect();
        let (known, were) = self.0.store.remote_accesses_of(&names).await?;
        let now = Timestamp::now();
        let mut step = Store::remote_accesses_unchanged(were);
        let (mut over, mut entries) = (Vec::new(), Vec::new());
        for (access, was) in known {
            let joins = new.get(&access.user).is_some_and(|group| **group == access.group);
            if !joins || access.before_user {
                continue;
            }
            let mut access = RemoteAccess { before_user: true, ..access };
            if access.stands_at(now) {
                let by = "the gate".to_owned();
                access.state = RemoteAccessState::Cancelled { at: now, by, comment: None };
                access.keys.clear();
                step = step.and(Store::entry_codes_revoked(access.id));
                entries.push(cancelled(&access));
            }
            over.push((access, was));
        }
        if !over.is_empty() {
            step = step.and(Store::remote_accesses_changed(over));
        }
        // Who is moved from another group keeps their requests.
        let made: Vec<UserName> = names.into_iter().filter(|name| !there.contains(name)).collect();
        let (requests, ended) = self.requests_ended(&made, now).await?;
        entries.extend(ended);
        Ok((std::iter::once(step).chain(requests).reduce(Step::and), entries))
    }

    /// The end of every request of these users that waits or is approved, and the audit log's records
    /// of it. Refused where they make another meanwhile.
    pub(super) async fn requests_ended(
        &self,
        users: &[UserName],
        now: Timestamp,
    ) -> Result<(Option<Step>, Vec<audit::Entry>), AccessError> {
        let (mut steps, mut entries) = (Vec::new(), Vec::new());
        for user in users {
            let was = self.0.store.requester(user).await?;
            steps.push(Store::no_request_made(user.clone(), was));
        }
        for (request, was) in self.0.store.open_requests_of(users).await? {
            let open = match request.state_at(now) {
                RequestState::Pending => true,
                // One that wants more time for another opens nothing itself.
                RequestState::Approved { window } => window.end > now && request.extends.is_none(),
                _ => false,
            };
            if open {
                let comment = Some(Note::new("its limited user is gone"));
                entries.push(By::proxy().did(Event::RequestCancelled { request: request.id, comment }));
                let request = Request { state: RequestState::Cancelled { at: now }, ..request };
                steps.push(Store::request_changed(request, was));
            }
        }
        Ok((steps.into_iter().reduce(Step::and), entries))
    }
}

/// What the audit log is told of a remote access that still stood.
fn cancelled(access: &RemoteAccess) -> audit::Entry {
    By::proxy().did(Event::RemoteAccess {
        access: access.id,
        user: access.user.clone(),
        group: access.group.clone(),
        step: RemoteAccessStep::Cancelled,
        said: Note::new("another limited user of that name is made"),
    })
}
