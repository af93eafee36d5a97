//! Rulings, and what else is known beside the resources' text: in the store with the audit record,
//! and then decided by. Other gates see them as they see any change.

use std::sync::Arc;

use tidegate_common::model::{Rulings, Snapshot};

use super::{Access, AccessError};
use crate::audit_log::Telling;
use crate::store::{Revision, Step};
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

    /// Changes the rulings: as they are, unless another gate is faster; then as they are then. Whether
    /// somebody may is for `change` to say, each time.
    pub(super) async fn rule(
        &self,
        change: impl Fn(&Snapshot, &mut Rulings, Revision) -> Result<(Telling, Step), AccessError>,
    ) -> Result<(), AccessError> {
        let mut turn = Turn::take(&self.0.ruling).await;
        loop {
            let (mut rulings, was) = self.0.store.rulings().await?;
            let (told, step) = change(&self.snapshot(), &mut rulings, was)?;
            let done = self.commit_ruling(told, step, rulings, was).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    /// As a task of its own, as changes of resources are.
    async fn commit_ruling(
        &self,
        told: Telling,
        step: Step,
        rulings: Rulings,
        was: Revision,
    ) -> Result<(), AccessError> {
        let access = self.clone();
        let done = tokio::spawn(async move {
            access.0.audit.step(vec![told], step).await?;
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
