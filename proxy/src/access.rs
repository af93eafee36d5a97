//! Policy at work: keeps the snapshot of all resources, gathers the facts of a
//! decision, and tells whoever holds a permit when to look again.
//!
//! A change is in the store together with the audit log's records of it, and before
//! anybody decides by it.

mod basis;
mod behind;
mod bound;
mod by;
mod channels;
mod editors;
mod error;
mod exceptional;
mod facts;
mod foresee;
mod former;
mod joining;
mod leaving;
mod login;
mod outside;
mod panic;
mod reviews;
mod ruling;

pub(crate) use basis::Basis;
pub use behind::Behind;
pub(crate) use bound::{Bound, Clocks};
pub use by::By;
pub use editors::Overtaken;
pub(crate) use editors::head;
pub use error::AccessError;
pub use outside::Border;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tidegate_common::audit::{Event, Verb};
use tidegate_common::model::{
    Action, Claims, RemoteAccess, Resource, ResourceName, Resources, Snapshot, Written,
};
use tidegate_common::name::CredentialName;
use tidegate_common::policy::{self, Decision, EndReason, Facts, Permit, Proved};
use tidegate_common::time::Length;
use tokio::sync::{Mutex, watch};

use crate::audit_log::{AuditLog, Telling};
use crate::governance::{Checked, Codes};
use crate::store::{Revision, Step, Store};
use crate::turn::Turn;
use joining::Given;

/// Policy and resources; clones share them.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    store: Store,
    audit: AuditLog,
    snapshot: ArcSwap<Snapshot>,
    /// What it is of, at least.
    shown: std::sync::Mutex<Shown>,
    generation: watch::Sender<u64>,
    unread: behind::Unread,
    /// What governance codes are held against.
    codes: std::sync::OnceLock<Codes>,
    /// How long before an exceptional access ends its users are told.
    tell_before: std::sync::OnceLock<Length>,
    /// Held while this gate changes resources.
    changing: Mutex<()>,
    /// Held while this gate rules; a panic waits for no text of resources.
    ruling: Mutex<()>,
    outside: outside::Known,
}

/// Which revisions are decided by.
#[derive(Debug, Clone, Copy)]
struct Shown {
    resources: Revision,
    rulings: Revision,
}

impl Access {
    /// Reads every resource from the store.
    ///
    /// # Errors
    /// When the store fails, or what is in it does not hold together.
    pub async fn load(store: Store, audit: AuditLog, border: Border) -> Result<Self, AccessError> {
        let (resources, shown) = store.resources_to_change().await?;
        let snapshot = Snapshot::new(&resources).map_err(AccessError::Broken)?;
        let ruled = store.rulings().await?;
        ruling::warn(&ruled.reviews);
        if let Some(unread) = ruled.panics.first() {
            return Err(unread.error().into());
        }
        let snapshot = snapshot.with_rulings(Arc::new(ruled.rulings));
        // A store of before may have such; `apply` takes no new ones.
        for shared in resources.shared() {
            tracing::warn!("{shared}, until it is taken from all but one of them");
        }
        let access = Self(Arc::new(Inner {
            store,
            audit,
            snapshot: ArcSwap::from_pointee(snapshot),
            shown: Shown { resources: shown, rulings: ruled.revision }.into(),
            generation: watch::channel(0).0,
            unread: behind::Unread::default(),
            codes: std::sync::OnceLock::new(),
            tell_before: std::sync::OnceLock::new(),
            changing: Mutex::default(),
            ruling: Mutex::default(),
            outside: outside::Known::new(border),
        }));
        access.refresh_remote_accesses().await?;
        Ok(access)
    }

    /// All resources as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot.load_full()
    }

    /// Ticks whenever a decision may come out differently than before.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.generation.subscribe()
    }

    /// Makes everybody look again.
    pub(crate) fn tick(&self) {
        self.0.generation.send_modify(|generation| *generation = generation.wrapping_add(1));
    }

    /// Decides by this from now on, unless a newer one is there.
    fn show(&self, snapshot: Snapshot, revision: Revision) {
        let mut shown = self.shown();
        if revision > shown.resources {
            let snapshot = snapshot.with_rulings(Arc::clone(self.snapshot().rulings()));
            self.0.snapshot.store(Arc::new(snapshot));
            shown.resources = revision;
            drop(shown);
            self.tick();
        }
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.0.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Decides now; `checked` is what came of the governance code that is claimed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn decide_checked(
        &self,
        proved: &Proved,
        target: &CredentialName,
        action: Action,
        origin: IpAddr,
        claims: &Claims,
        checked: &Checked,
    ) -> Result<Decision, AccessError> {
        self.is_current()?;
        let now = Timestamp::now();
        let snapshot = self.snapshot();
        let Proved { user, login, .. } = proved;
        let seen = self.seen(user, Some(origin));
        let coming = seen.coming();
        let login = Some(login);
        let origin = Some(origin);
        let refused_code = checked.refused();
        let facts = Facts {
            now,
            user,
            login,
            target,
            action,
            origin,
            coming,
            claims,
            refused_code,
            requests: &[],
            live: &[],
            changes: &[],
        };
        let decided = policy::decide(&snapshot, &facts);
        let live = self.counted(&snapshot, &decided, user, target).await?;
        let facts = Facts { live: &live, ..facts };
        match decided {
            // Only where something is missing can a request make a difference.
            Decision::Needs(needs) => {
                let requests = self.requests_for(user, target).await?;
                let changes = self.changes_for(&needs, claims, &requests, now).await?;
                Ok(policy::decide(&snapshot, &Facts { requests: &requests, changes: &changes, ..facts }))
            }
            Decision::Permitted(_) if !live.is_empty() => Ok(policy::decide(&snapshot, &facts)),
            decided => Ok(decided),
        }
    }

    /// Decides again for something new that a permit in use shall allow: as it is now, or why
    /// it does not any more. Nothing new begins while the store's database is away, or holds what
    /// this gate cannot read.
    ///
    /// # Errors
    /// Why not.
    pub async fn still_permits(&self, permit: &Permit) -> Result<Permit, EndReason> {
        self.is_current().map_err(|_| EndReason::Behind)?;
        let mut basis = Basis::default();
        self.still_lives(permit, &mut basis, Timestamp::now()).await
    }

    /// Decides again for a session that lives: as it is from now on, or why it must end. While
    /// the store's database is away, or holds its request as only a newer gate can read it, it rests
    /// on that as it was read last, and on all else as it is now.
    ///
    /// # Errors
    /// Why the session must end.
    pub(crate) async fn still_lives(
        &self,
        permit: &Permit,
        basis: &mut Basis,
        now: Timestamp,
    ) -> Result<Permit, EndReason> {
        basis.stale = false;
        if let Some(id) = permit.request() {
            let read = self.0.store.request(id).await;
            basis.stale |= basis::keep(read, &mut basis.requests, self.0.store.is_shared())?;
        }
        if let Some(change) = permit.change() {
            let read = self.0.store.change(&change.id).await;
            basis.stale |= basis::keep(read, &mut basis.changes, self.0.store.is_shared())?;
        }
        let why = match self.rechecked(permit, now, &basis.requests, &basis.changes) {
            Err(why @ (EndReason::MoreNeeded(_) | EndReason::TimeOver)) => why,
            decided => return decided,
        };
        match self.with_more_time(permit, basis).await {
            Ok(Some(requests)) => self.rechecked(permit, now, &requests, &basis.changes),
            Ok(None) | Err(_) => Err(why),
        }
    }

    /// Every resource, for showing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn resources(&self) -> Result<Resources, AccessError> {
        Ok(self.0.store.resources().await?)
    }

    /// Writes what a TOML text says, all or nothing, and tells what each resource did.
    /// With `dry` it only tells.
    ///
    /// # Errors
    /// Every mistake of the text; what it writes was changed since the revision that it says it
    /// is of, or it is not clear which that is; or the store or the audit log failed.
    pub async fn apply(&self, text: &str, by: &By, dry: bool) -> Result<Told, AccessError> {
        self.apply_in_turn(text, editors::said(text)?, by, dry).await
    }

    /// The same, whatever was changed since the text was exported.
    ///
    /// # Errors
    /// Every mistake of the text; or the store or the audit log failed.
    pub async fn overwrite(&self, text: &str, by: &By) -> Result<Told, AccessError> {
        self.apply_in_turn(text, None, by, false).await
    }

    async fn apply_in_turn(
        &self,
        text: &str,
        since: Option<Revision>,
        by: &By,
        dry: bool,
    ) -> Result<Told, AccessError> {
        let mut turn = Turn::take(&self.0.changing).await;
        loop {
            let done = self.apply_once(text, since, by, dry).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn apply_once(
        &self,
        text: &str,
        since: Option<Revision>,
        by: &By,
        dry: bool,
    ) -> Result<Told, AccessError> {
        let (resources, was) = self.0.store.resources_to_change().await?;
        self.take(&resources, was).await?;
        self.may_change(by)?;
        let update = resources.update(text).map_err(AccessError::Mistakes)?;
        self.not_overtaken(since, was, &update.written).await?;
        let told = update.written.iter().map(|(resource, did)| (resource.name(), *did)).collect();
        if dry {
            return Ok(told);
        }
        let snapshot = Snapshot::new(&update.whole).map_err(AccessError::Broken)?;
        let (mut put, mut events) = (Vec::new(), Vec::new());
        for (resource, did) in update.written {
            let verb = match did {
                Written::Created => Verb::Created,
                Written::Changed => Verb::Changed,
                Written::Unchanged => continue,
            };
            let ResourceName { kind, name } = resource.name();
            let event = Event::ResourceApplied { kind, name: name.as_str().into(), verb };
            events.push(Telling::new(by.did(event), self.tells(&resources, &snapshot, &resource)));
            put.push(resource);
        }
        if !put.is_empty() {
            let Given { accesses, over, entries } = self.given(&resources, &put, by).await?;
            events.extend(entries.into_iter().map(Telling::from));
            let remove = Vec::new();
            self.commit(Change { put, remove, accesses, over, events, snapshot, was }, by).await?;
        }
        Ok(told)
    }

    /// Deletes resources, all or none.
    ///
    /// # Errors
    /// When one is not there or still in use; or the store or the audit log failed.
    pub async fn delete(&self, which: &[ResourceName], by: &By) -> Result<(), AccessError> {
        let mut turn = Turn::take(&self.0.changing).await;
        loop {
            let done = self.delete_once(which, by).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn delete_once(&self, which: &[ResourceName], by: &By) -> Result<(), AccessError> {
        let (mut resources, was) = self.0.store.resources_to_change().await?;
        self.take(&resources, was).await?;
        self.may_change(by)?;
        for name in which {
            if !resources.remove(name) {
                return Err(AccessError::missing(&resources, name));
            }
        }
        let snapshot = Snapshot::new(&resources).map_err(|problems| {
            let what = which.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            AccessError::InUse { what, problems }
        })?;
        let deleted = |which: &ResourceName| {
            let (kind, name) = (which.kind, which.name.as_str().into());
            Telling::from(by.did(Event::ResourceDeleted { kind, name }))
        };
        let events = which.iter().map(deleted).collect();
        let (put, remove, accesses, over) = (Vec::new(), which.to_vec(), None, Vec::new());
        self.commit(Change { put, remove, accesses, over, events, snapshot, was }, by).await
    }

    /// Carries a change out as a task of its own: whoever asked may leave in the middle,
    /// and the snapshot must not stay behind the store.
    async fn commit(&self, change: Change, by: &By) -> Result<(), AccessError> {
        let (access, editor) = (self.clone(), by.actor.to_string());
        let done = tokio::spawn(async move {
            let Change { put, remove, accesses, over, events, snapshot, was } = change;
            let given = accesses.is_some();
            let written = put.iter().map(|resource| (resource.name(), false));
            let edited = written.chain(remove.iter().map(|name| (name.clone(), true))).collect();
            let edited = Store::resources_edited(edited, editor, Timestamp::now(), was.next());
            let mut step = Store::resources_step(put, remove, was).and(edited);
            if let Some(accesses) = accesses {
                step = step.and(accesses);
            }
            access.0.audit.step(events, step).await?;
            // First: what was another's of a name must not be the one's who has it now, for no moment.
            if given && let Err(error) = access.refresh_remote_accesses().await {
                tracing::error!(%error, "the remote accesses of who joined or left are not seen yet");
                access.see_over(over).await;
            }
            access.show(snapshot, was.next());
            Ok(())
        });
        done.await.unwrap_or(Err(AccessError::Stopping))
    }
}

/// What each resource of a text did.
type Told = Vec<(ResourceName, Written)>;

/// What is to be written, and what it was made of.
struct Change {
    put: Vec<Resource>,
    remove: Vec<ResourceName>,
    /// What becomes of remote accesses by it: of those who join a user group, or leave it.
    accesses: Option<Step>,
    /// Those of them that another of their user's name had before, as they are written.
    over: Vec<RemoteAccess>,
    events: Vec<Telling>,
    snapshot: Snapshot,
    was: Revision,
}

#[cfg(test)]
pub(crate) mod tests;
