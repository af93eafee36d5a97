//! Stopping at once, and lifting it.

use jiff::Timestamp;
use tidegate_common::audit::{Event, Note};
use tidegate_common::model::{Panic, PanicScope, Snapshot, Text};

use super::{Access, AccessError, By};
use crate::store::{Ruled, Store, UnreadPanic};

impl Access {
    /// Stops what `scope` says: what lives of it ends, and nothing new begins.
    ///
    /// # Errors
    /// When there is no such thing, it is stopped already, also by what cannot be read, or the store or the
    /// audit log failed.
    pub async fn begin_panic(
        &self,
        scope: PanicScope,
        justification: Text,
        by: &By,
    ) -> Result<Panic, AccessError> {
        let since = Timestamp::now();
        let panic = Panic { scope, since, by: by.actor.to_string(), justification };
        self.rule(|snapshot, Ruled { rulings, revision, panics, .. }| {
            self.may_change(by)?;
            is_there(snapshot, &panic.scope)?;
            can_be_read(panics, &panic.scope)?;
            if let Some(known) = rulings.panics.iter().find(|known| known.scope == panic.scope) {
                return Err(AccessError::Stopped(known.clone()));
            }
            if rulings.panics.len() >= Panic::MOST {
                return Err(AccessError::Panics);
            }
            let (scope, justification) = (panic.scope.clone(), Note::new(panic.justification.to_string()));
            rulings.panics.push(panic.clone());
            let step = Store::panic_step(panic.clone(), *revision);
            Ok((by.did(Event::PanicBegan { scope, justification }).into(), step))
        })
        .await?;
        Ok(panic)
    }

    /// Lets what `scope` says begin again.
    ///
    /// # Errors
    /// When it is not stopped, or by what cannot be read, or the store or the audit log failed.
    pub async fn lift_panic(&self, scope: &PanicScope, by: &By) -> Result<(), AccessError> {
        self.rule(|_, Ruled { rulings, revision, panics, .. }| {
            self.may_change(by)?;
            can_be_read(panics, scope)?;
            let before = rulings.panics.len();
            rulings.panics.retain(|panic| panic.scope != *scope);
            if rulings.panics.len() == before {
                return Err(AccessError::NotStopped(scope.clone()));
            }
            let step = Store::panic_lift_step(scope.clone(), *revision);
            Ok((by.did(Event::PanicLifted { scope: scope.clone() }).into(), step))
        })
        .await
    }
}

/// What a newer gate wrote of it is for that one to lift.
fn can_be_read(unread: &[UnreadPanic], scope: &PanicScope) -> Result<(), AccessError> {
    match unread.iter().find(|unread| unread.is_of(scope)) {
        Some(unread) => Err(unread.error().into()),
        None => Ok(()),
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
