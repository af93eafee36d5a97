//! Users who are there no more, limited or not, and others who are made by their name. Nothing that the
//! former had comes alive for the later: what still stands of it ends at the latest when that one is made.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tidegate_common::audit::{self, Event, Note, RemoteAccessStep};
use tidegate_common::model::{RemoteAccess, RemoteAccessState, Request, RequestState, Resource, Resources};
use tidegate_common::name::{UserGroupName, UserName};

use super::joining::Given;
use super::{Access, AccessError, By};
use crate::store::{Step, Store};

/// As what somebody is made.
enum As<'a> {
    User,
    /// A limited one, with this group.
    Limited(&'a UserGroupName),
}

impl Access {
    /// What becomes of what another of the name had before a user is made, and the audit log's records
    /// of it. Remote accesses are marked, and those that stand end with their keys and codes; open
    /// requests end. Refused where a remote access or such a request is written meanwhile.
    ///
    /// Of a limited user only those of their group let anybody in; a user may join any later. A limited
    /// one who becomes a user in one text is another, too: nobody can tell whether it is the same person.
    pub(super) async fn over_before(
        &self,
        before: &Resources,
        put: &[Resource],
    ) -> Result<Given, AccessError> {
        let users: HashSet<&UserName> = before.users.iter().map(|user| &user.name).collect();
        let mut new: HashMap<&UserName, As<'_>> = HashMap::new();
        for resource in put {
            match resource {
                Resource::User(user) if !users.contains(&user.name) => {
                    new.insert(&user.name, As::User);
                }
                Resource::UserGroup(group) => {
                    let limited = group.limited_users.iter();
                    new.extend(limited.map(move |limited| (&limited.name, As::Limited(&group.name))));
                }
                _ => {}
            }
        }
        let mut moved = HashSet::new();
        for (group, limited) in before.limited_users() {
            match new.get(&limited.name) {
                Some(As::Limited(of)) if **of == group.name => {
                    new.remove(&limited.name);
                }
                Some(As::Limited(_)) => {
                    moved.insert(&limited.name);
                }
                Some(As::User) | None => {}
            }
        }
        if new.is_empty() {
            return Ok(Given { accesses: None, over: Vec::new(), entries: Vec::new() });
        }
        let names: Vec<UserName> = new.keys().copied().cloned().collect();
        let (known, were) = self.0.store.remote_accesses_of(&names).await?;
        let now = Timestamp::now();
        let mut steps = vec![Store::remote_accesses_unchanged(were)];
        let (mut over, mut entries) = (Vec::new(), Vec::new());
        for (access, was) in known {
            let lets_in = match new.get(&access.user) {
                Some(As::User) => true,
                Some(As::Limited(group)) => **group == access.group,
                None => false,
            };
            if !lets_in || access.before_user {
                continue;
            }
            let mut access = RemoteAccess { before_user: true, ..access };
            if access.stands_at(now) {
                let by = "the gate".to_owned();
                access.state = RemoteAccessState::Cancelled { at: now, by, comment: None };
                access.keys.clear();
                steps.push(Store::entry_codes_revoked(access.id));
                entries.push(cancelled(&access));
            }
            over.push((access, was));
        }
        if !over.is_empty() {
            steps.push(Store::remote_accesses_changed(over.clone()));
        }
        // Who is moved from another group keeps their requests.
        let made: Vec<UserName> = names.into_iter().filter(|name| !moved.contains(name)).collect();
        let (requests, ended) = self.requests_ended(&made, now, "another user of that name is made").await?;
        steps.push(requests);
        entries.extend(ended);
        let over = over.into_iter().map(|(access, _)| access).collect();
        Ok(Given { accesses: Some(Step::all(steps)), over, entries })
    }

    /// The end of every request of these users that waits or is approved, and the audit log's records
    /// of it. Refused where they make another meanwhile.
    pub(super) async fn requests_ended(
        &self,
        users: &[UserName],
        now: Timestamp,
        why: &str,
    ) -> Result<(Step, Vec<audit::Entry>), AccessError> {
        let were = self.0.store.requesters(users).await?;
        let (mut steps, mut entries) = (vec![Store::no_requests_made(were)], Vec::new());
        for (request, was) in self.0.store.open_requests_of(users).await? {
            let open = match request.state_at(now) {
                RequestState::Pending => true,
                // One that wants more time for another opens nothing itself.
                RequestState::Approved { window } => window.end > now && request.extends.is_none(),
                _ => false,
            };
            if open {
                let comment = Some(Note::new(why));
                entries.push(By::proxy().did(Event::RequestCancelled { request: request.id, comment }));
                let request = Request { state: RequestState::Cancelled { at: now }, ..request };
                steps.push(Store::request_changed(request, was));
            }
        }
        Ok((Step::all(steps), entries))
    }
}

/// What the audit log is told of a remote access that still stood.
fn cancelled(access: &RemoteAccess) -> audit::Entry {
    By::proxy().did(Event::RemoteAccess {
        access: access.id,
        user: access.user.clone(),
        group: access.group.clone(),
        step: RemoteAccessStep::Cancelled,
        said: Note::new("another user of that name is made"),
    })
}
