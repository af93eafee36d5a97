//! A later end of what is granted: rules beside those that have the first end, and the day on
//! which an account expires. An administrator's programs are told of no end, so there is nothing to
//! tell them anew.

use super::{Elevator, create};
use crate::core::{Delta, Held, NotApplied, Unit};

impl Elevator {
    /// Applies the fresh units, which end later, and verifies them and those that another session
    /// has already; then has the accounts that were created expire after that end, where they expire
    /// after `from`, the end of before. What has the first end stays; on failure some of what has the
    /// later one may be applied.
    ///
    /// # Errors
    /// The first that could not be applied or verified.
    pub fn extend(
        &mut self,
        from: jiff::Timestamp,
        until: jiff::Timestamp,
        fresh: &[(Unit, Delta)],
        joined: &[Held],
        accounts: &[Held],
    ) -> Result<(), NotApplied> {
        self.apply(fresh, joined)?;
        for held in accounts {
            self.expire_later(held, from, until).map_err(|why| held.unit.failure(why))?;
        }
        Ok(())
    }

    fn expire_later(&self, held: &Held, from: jiff::Timestamp, until: jiff::Timestamp) -> Result<(), String> {
        let lock = self.accounts.take(&self.paths)?;
        create::expire_later(&self.paths, &lock, held.unit.account(), &held.delta, from, until)
    }
}
