//! A later end of what is granted: rules beside those that have the first end, and the day on
//! which an account expires. An administrator's programs are told of no end, so there is nothing to
//! tell them anew.

use tidegate_common::grant::Failure;

use super::{Elevator, create};
use crate::core::{Delta, Held, NotApplied, Unit};

impl Elevator {
    /// Applies the fresh units, which end later, and verifies them and those that another session
    /// has already; then looks whether the accounts that were created can expire after that end, as
    /// [`Self::expire_later`] has them do. What has the first end stays; on failure some of what has the
    /// later one may be applied.
    ///
    /// # Errors
    /// The first that could not be applied or verified, or cannot expire later.
    pub fn extend(
        &mut self,
        from: jiff::Timestamp,
        until: jiff::Timestamp,
        fresh: &[(Unit, Delta)],
        joined: &[Held],
        accounts: &[Held],
    ) -> Result<(), NotApplied> {
        self.apply(fresh, joined)?;
        for Held { unit, delta, .. } in accounts {
            create::may_expire_later(&self.paths, unit.account(), delta, from, until)
                .map_err(|why| unit.failure(why))?;
        }
        Ok(())
    }

    /// Has accounts that were created expire after `until`, where they expire after `from`, the end of
    /// before.
    ///
    /// # Errors
    /// The first that could not; it expires when it did before.
    pub fn expire_later(
        &self,
        from: jiff::Timestamp,
        until: jiff::Timestamp,
        accounts: &[Held],
    ) -> Result<(), Failure> {
        for Held { unit, delta, .. } in accounts {
            let lock = self.accounts.take(&self.paths).map_err(|why| unit.failure(why))?;
            create::expire_later(&self.paths, &lock, unit.account(), delta, from, until)
                .map_err(|why| unit.failure(why))?;
        }
        Ok(())
    }
}
