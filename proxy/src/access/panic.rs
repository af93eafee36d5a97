//! Stopping at once, and lifting it: in the store with its audit record, and then decided by. Other
//! gates see it as they see any change.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_common::audit::{self, Event, Note};
use tidegate_common::model::{Panic, PanicScope, Rulings, Snapshot, Text};

use super::{Access, AccessError, By};
use crate::store::{Revision, Step, Store};
use crate::turn::Turn;

impl Access {
    /// Takes what another gate ruled.
    ///
    /// # Errors
    /// When the store fails; all stays as it was then.
    pub async fn refresh_rulings(&self) -> Result<(), AccessError> {
        let (rulings, revision) = self.read_rulings(self.0.store.rulings().await)?;
        self.show_rulings(rulings, revision);
        Ok(())
    }

    /// Stops what `scope` says: what lives of it ends, and nothing new begins.
    ///
    /// # Errors
    /// When there is no such thing, it is stopped already, or the store or the audit log failed.
    pub async fn begin_panic(
        &self,
        scope: PanicScope,
        justification: Text,
        by: &By,
    ) -> Result<Panic, AccessError> {
        let since = Timestamp::now();
        let panic = Panic { scope, since, by: by.actor.to_string(), justification };
        self.rule(by, |snapshot, rulings, was| {
            is_there(snapshot, &panic.scope)?;
            if let Some(known) = rulings.panics.iter().find(|known| known.scope == panic.scope) {
                return Err(AccessError::Stopped(known.clone()));
            }
            if rulings.panics.len() >= Panic::MOST {
                return Err(AccessError::Panics);
            }
            let (scope, justification) = (panic.scope.clone(), Note::new(panic.justification.to_string()));
            rulings.panics.push(panic.clone());
            Ok((Event::PanicBegan { scope, justification }, Store::panic_step(panic.clone(), was)))
        })
        .await?;
        Ok(panic)
    }

    /// Lets what `scope` says begin again.
    ///
    /// # Errors
    /// When it is not stopped, or the store or the audit log failed.
    pub async fn lift_panic(&self, scope: &PanicScope, by: &By) -> Result<(), AccessError> {
        self.rule(by, |_, rulings, was| {
            let before = rulings.panics.len();
            rulings.panics.retain(|panic| panic.scope != *scope);
            if rulings.panics.len() == before {
                return Err(AccessError::NotStopped(scope.clone()));
            }
            let step = Store::panic_lift_step(scope.clone(), was);
            Ok((Event::PanicLifted { scope: scope.clone() }, step))
        })
        .await
    }

    /// Changes the rulings: as they are, unless another gate is faster; then as they are then.
    async fn rule(
        &self,
        by: &By,
        change: impl Fn(&Snapshot, &mut Rulings, Revision) -> Result<(Event, Step), AccessError>,
    ) -> Result<(), AccessError> {
        let mut turn = Turn::take(&self.0.ruling).await;
        loop {
            let (mut rulings, was) = self.0.store.rulings().await?;
            self.may_change(by)?;
            let (event, step) = change(&self.snapshot(), &mut rulings, was)?;
            let done = self.commit_ruling(by.did(event), step, rulings, was).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    /// As a task of its own, as changes of resources are.
    async fn commit_ruling(
        &self,
        event: audit::Entry,
        step: Step,
        rulings: Rulings,
        was: Revision,
    ) -> Result<(), AccessError> {
        let access = self.clone();
        let done = tokio::spawn(async move {
            access.0.audit.step(vec![event], step).await?;
            access.show_rulings(rulings, was.next());
            Ok(())
        });
        done.await.unwrap_or(Err(AccessError::Stopping))
    }

    /// Decides by these from now on, unless newer ones are there.
    fn show_rulings(&self, rulings: Rulings, revision: Revision) {
        let mut shown = self.shown();
        if revision > shown.rulings {
            let snapshot = self.snapshot().with_rulings(Arc::new(rulings));
            self.0.snapshot.store(Arc::new(snapshot));
            shown.rulings = revision;
            drop(shown);
            self.tick();
        }
    }
}

/// A name that is not there stops nothing, and whoever wrote it would think that it does.
fn is_there(snapshot: &Snapshot, scope: &PanicScope) -> Result<(), AccessError> {
    let there = match scope {
        PanicScope::All => true,
        PanicScope::User(user) => snapshot.user(user).is_some(),
        PanicScope::Device(device) => snapshot.device(device).is_some(),
        PanicScope::AccessGroup(group) => snapshot.group(group).is_some(),
    };
    if there { Ok(()) } else { Err(AccessError::NothingToStop(scope.clone())) }
}
