//! Rulings, and what else is known beside the resources' text: in the store with the audit record,
//! and then decided by. Other gates see them as they see any change. Of what a newer gate wrote and this one
//! cannot read nothing is lifted here, and all else is taken.

use std::sync::Arc;

use tidegate_common::model::{Rulings, Snapshot};

use super::{Access, AccessError};
use crate::audit_log::Telling;
use crate::store::{Revision, Ruled, Step, StoreError};
use crate::turn::Turn;

impl Access {
    /// Takes what another gate ruled.
    ///
    /// # Errors
    /// When the store fails, and all stays as it was then; or a panic cannot be read.
    pub async fn refresh_rulings(&self) -> Result<(), AccessError> {
        let mut ruled = self.0.store.rulings().await?;
        warn(&ruled.reviews);
        self.keep_known(&mut ruled);
        let Ruled { rulings, revision, panics, .. } = ruled;
        self.show_rulings(rulings, revision);
        Ok(self.read_rulings(panics.first().map_or(Ok(()), |unread| Err(unread.error())))?)
    }

    /// Of what cannot be read keeps what was known before: a panic that may be that one, and the reviews
    /// of those groups.
    fn keep_known(&self, Ruled { rulings, panics, .. }: &mut Ruled) {
        let snapshot = self.snapshot();
        let known = snapshot.rulings();
        if !panics.is_empty() {
            let gone = known.panics.iter().filter(|panic| !rulings.is_stopped(&panic.scope));
            let gone: Vec<_> = gone.cloned().collect();
            rulings.panics.extend(gone);
        }
        for group in &rulings.unread {
            if let Some(review) = known.reviews.get(group) {
                rulings.reviews.insert(group.clone(), review.clone());
            }
        }
    }

    /// Changes the rulings: as they are, unless another gate is faster; then as they are then. Whether
    /// somebody may is for `change` to say, each time.
    pub(super) async fn rule(
        &self,
        change: impl Fn(&Snapshot, &mut Ruled) -> Result<(Telling, Step), AccessError>,
    ) -> Result<(), AccessError> {
        let mut turn = Turn::take(&self.0.ruling).await;
        loop {
            let mut ruled = self.0.store.rulings().await?;
            self.keep_known(&mut ruled);
            let (told, step) = change(&self.snapshot(), &mut ruled)?;
            let done = self.commit_ruling(told, step, ruled.rulings, ruled.revision).await;
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

/// Says which reviews of groups cannot be read: nothing new begins under those groups.
pub(super) fn warn(reviews: &[StoreError]) {
    for error in reviews {
        tracing::error!(%error, "nothing new begins under an access group whose review cannot be read");
    }
}
