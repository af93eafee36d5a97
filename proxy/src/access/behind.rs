//! What another gate wrote and this one cannot read, because it is older: nothing new begins
//! here until it can, and what lives goes on by what is known.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Access, AccessError};
use crate::store::{RequestFilter, StoreError};

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
}

impl Unread {
    fn any(&self) -> Option<Behind> {
        let of = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        of.resources.clone().or_else(|| of.requests.clone())
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
            self.take(&resources, revision)
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

    /// Looks whether the open requests that others wrote can be read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look_at_requests(&self) -> Result<(), StoreError> {
        let states = &["pending", "approved"];
        let open = RequestFilter { states, limit: LOOKED_AT, ..RequestFilter::default() };
        let behind = match self.0.store.requests(&open).await {
            Ok(_) => None,
            Err(error @ StoreError::Unread { .. }) => Some(Behind(error.to_string().into())),
            Err(error) => return Err(error),
        };
        self.0.unread.set(|of| &mut of.requests, behind);
        Ok(())
    }
}

impl AccessError {
    /// Whether it is of what another gate wrote, and stays until that is written anew.
    pub(crate) fn is_behind(&self) -> bool {
        matches!(self, Self::Store(StoreError::Unread { .. }) | Self::Broken(_))
    }
}
