//! What another gate wrote and this one cannot read, because it is older: nothing new begins
//! here until it can, and what lives goes on by what is known.

use std::sync::{Arc, Mutex, PoisonError};

use tidegate_common::model::{Resources, Snapshot};

use super::{Access, AccessError};
use crate::store::{RequestFilter, Revision, StoreError};

/// Open requests that are looked at; one that is older is read when somebody rests on it.
const LOOKED_AT: u64 = 200;

/// See the module. What it is of is for those who read all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "nothing new begins on this gate: it cannot read what a newer one wrote; ask an administrator to upgrade it"
)]
pub struct Behind(Arc<str>);

impl Behind {
    /// What it cannot read, why, and what to do.
    #[must_use]
    pub fn detail(&self) -> String {
        format!("nothing new begins on this gate: {}", self.0)
    }
}

/// What cannot be read.
#[derive(Debug, Default)]
pub(super) struct Unread(Mutex<Of>);

#[derive(Debug, Default)]
struct Of {
    resources: Option<Behind>,
    requests: Option<Behind>,
    rulings: Option<Behind>,
    remote_accesses: Option<Behind>,
}

impl Unread {
    fn any(&self) -> Option<Behind> {
        let of = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = [&of.resources, &of.requests, &of.rulings, &of.remote_accesses];
        all.into_iter().flatten().next().cloned()
    }

    fn set(&self, which: impl Fn(&mut Of) -> &mut Option<Behind>, now: Option<Behind>) {
        let mut of = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(which(&mut of), now.clone());
        match now {
            Some(now) if before.as_ref() != Some(&now) => tracing::error!("{}", now.detail()),
            None if before.is_some() => tracing::info!("what other gates wrote can be read again"),
            _ => {}
        }
    }
}

impl Unread {
    /// Remembers whether it could be read; what failed otherwise says nothing of that.
    fn note<T>(
        &self,
        which: impl Fn(&mut Of) -> &mut Option<Behind>,
        read: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &read {
            Ok(_) => self.set(which, None),
            Err(error @ StoreError::Unread { .. }) => {
                self.set(which, Some(Behind(error.to_string().into())));
            }
            Err(_) => {}
        }
        read
    }
}

impl Access {
    /// Refuses what is new while this gate cannot read what others wrote.
    ///
    /// # Errors
    /// Says what, why, and what to do.
    pub fn is_current(&self) -> Result<(), Behind> {
        self.0.unread.any().map_or(Ok(()), Err)
    }

    /// Takes what another gate wrote.
    ///
    /// # Errors
    /// When the store fails, or what is in it cannot be read or does not hold together; all
    /// stays as it was then.
    pub async fn refresh(&self) -> Result<(), AccessError> {
        let taken = async {
            let (resources, revision) = self.0.store.resources_to_change().await?;
            self.take(&resources, revision).await
        };
        let taken = taken.await;
        match &taken {
            Ok(()) => self.0.unread.set(|of| &mut of.resources, None),
            Err(error) if error.is_behind() => {
                self.0.unread.set(|of| &mut of.resources, Some(Behind(error.to_string().into())));
            }
            Err(_) => {}
        }
        taken
    }

    /// Decides by these from now on, where they are newer. By what became of remote accesses together with
    /// them first, since what was another's of a name must not be the one's who has it now.
    pub(super) async fn take(&self, resources: &Resources, revision: Revision) -> Result<(), AccessError> {
        if revision <= self.shown().resources {
            return Ok(());
        }
        let snapshot = Snapshot::new(resources).map_err(AccessError::Broken)?;
        match self.refresh_remote_accesses().await {
            // Of what cannot be read it is known that it cannot, and nothing new begins.
            Ok(()) | Err(StoreError::Unread { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.show(snapshot, revision);
        Ok(())
    }

    /// What others ruled, as it was read; one that cannot be read may stop anybody.
    pub(super) fn read_rulings<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        self.0.unread.note(|of| &mut of.rulings, read)
    }

    /// The remote accesses that others wrote, as they were read.
    pub(super) fn read_remote_accesses<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        self.0.unread.note(|of| &mut of.remote_accesses, read)
    }

    /// Looks whether the open requests that others wrote can be read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look_at_requests(&self) -> Result<(), StoreError> {
        let states = &["pending", "approved"];
        let open = RequestFilter { states, limit: LOOKED_AT, ..RequestFilter::default() };
        match self.0.unread.note(|of| &mut of.requests, self.0.store.requests(&open).await) {
            Ok(_) | Err(StoreError::Unread { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl AccessError {
    /// Whether it is of what another gate wrote, and stays until that is written anew.
    pub(crate) fn is_behind(&self) -> bool {
        matches!(self, Self::Store(StoreError::Unread { .. }) | Self::Broken(_))
    }
}
