//! Limited users leave with the last of their remote accesses. The gate takes them out of the
//! resources itself and ends their requests, in one step with the audit log's records of it.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tidegate_common::audit::{self, Event, Note, RemoteAccessStep, Verb};
use tidegate_common::model::{RemoteAccess, Resource, ResourceName, Resources, Snapshot};
use tidegate_common::name::UserName;

use super::{Access, AccessError, By, Change};
use crate::audit_log::Telling;
use crate::store::{Revision, Store};
use crate::turn::Turn;

impl Access {
    /// Takes every limited user out of whose remote accesses some are over and none stands; says who
    /// they are. Whoever never had one stays.
    ///
    /// # Errors
    /// When the store or the audit log fails; all of them stay then.
    pub async fn remove_limited_users(&self, now: Timestamp) -> Result<Vec<UserName>, AccessError> {
        let waiting = self.without_access(now);
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let (known, _) = self.0.store.remote_accesses_of(&waiting).await?;
        if last_ones(known, now).is_empty() {
            return Ok(Vec::new());
        }
        let mut turn = Turn::take(&self.0.changing).await;
        loop {
            let done = self.remove_once(&waiting, now).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn remove_once(&self, waiting: &[UserName], now: Timestamp) -> Result<Vec<UserName>, AccessError> {
        let (known, accesses_were) = self.0.store.remote_accesses_of(waiting).await?;
        let (mut resources, was) = self.0.store.resources_to_change().await?;
        self.take(&resources, was).await?;
        let mut last = last_ones(known, now);
        // Another gate may have been faster.
        last.retain(|access| {
            let mut limited = resources.limited_users();
            limited.any(|(group, limited)| limited.name == access.user && group.name == access.group)
        });
        if last.is_empty() {
            return Ok(Vec::new());
        }
        let mut events: Vec<Telling> = last.iter().map(|access| told(&resources, access).into()).collect();
        let gone: HashSet<_> = last.iter().map(|access| access.user.clone()).collect();
        let put = resources.remove_limited(&gone);
        events.extend(put.iter().map(|resource| Telling::from(written(resource))));
        let snapshot = Snapshot::new(&resources).map_err(AccessError::Broken)?;
        let users: Vec<_> = last.into_iter().map(|access| access.user).collect();
        let (requests, ended) = self.requests_ended(&users, now, "its limited user is gone").await?;
        events.extend(ended.into_iter().map(Telling::from));
        // One that is given meanwhile keeps its user.
        let unchanged = Store::remote_accesses_unchanged(accesses_were);
        let accesses = Some(unchanged.and(requests));
        let (remove, over) = (Vec::new(), Vec::new());
        let change = Change { put, remove, accesses, over, events, snapshot, was };
        self.commit(change, &By::proxy()).await?;
        Ok(users)
    }
}

/// The last remote access of each user and group of whom one is over and none stands.
fn last_ones(known: Vec<(RemoteAccess, Revision)>, now: Timestamp) -> Vec<RemoteAccess> {
    let of = |access: &RemoteAccess| (access.user.clone(), access.group.clone());
    let own = known.into_iter().map(|(access, _)| access).filter(|access| !access.before_user);
    let mut own: Vec<_> = own.collect();
    own.sort_unstable_by_key(|access| access.id);
    let standing: HashSet<_> = own.iter().filter(|access| access.stands_at(now)).map(of).collect();
    let last: HashMap<_, _> = own.into_iter().map(|access| (of(&access), access)).collect();
    let over = last.into_iter().filter(|(of, _)| !standing.contains(of));
    let mut over: Vec<_> = over.map(|(_, access)| access).collect();
    over.sort_unstable_by_key(|access| access.id);
    over
}

/// What the audit log is told of a user who leaves.
fn told(resources: &Resources, access: &RemoteAccess) -> audit::Entry {
    let listing = resources.access_groups.iter().filter(|group| group.users.contains(&access.user));
    let groups: Vec<_> = listing.map(|group| group.name.to_string()).collect();
    let said = match groups.is_empty() {
        true => "no access group listed them".to_owned(),
        false => format!("out of access groups {}", groups.join(", ")),
    };
    By::proxy().did(Event::RemoteAccess {
        access: access.id,
        user: access.user.clone(),
        group: access.group.clone(),
        step: RemoteAccessStep::UserRemoved,
        said: Note::new(said),
    })
}

/// And of a group that they were taken out of.
fn written(resource: &Resource) -> audit::Entry {
    let ResourceName { kind, name } = resource.name();
    By::proxy().did(Event::ResourceApplied { kind, name: name.as_str().into(), verb: Verb::Changed })
}
