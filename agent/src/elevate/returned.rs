//! What is there again after it was taken away, because another program put it back.

use std::collections::BTreeSet;

use tidegate_common::grant::Failure;

use super::{Elevator, enable, groups, undo_account};
use crate::core::{Delta, Held, Unit};
use crate::paths::Paths;

impl Elevator {
    /// Looks whether what was taken away is there again: gpasswd(1) and chsh(1) read an account
    /// file before they lock it, and write what they read. Takes it away again; tells each.
    pub fn take_away_again(
        &mut self,
        units: &[(Unit, Delta)],
        is_granted: &dyn Fn(&Unit) -> bool,
    ) -> Vec<(Unit, Result<(), Failure>)> {
        let is_back = |paths: &Paths, unit: &Unit, delta: &Delta| match (unit, delta) {
            (Unit::Group { .. }, _) => {
                groups::Edit::of(unit, delta).is_some_and(|edit| groups::is_back(paths, &edit))
            }
            (Unit::Enabled { account } | Unit::Shell { account, .. }, _) => {
                !delta.is_nothing() && enable::verify(paths, account, delta).is_ok()
            }
            _ => false,
        };
        let mut told = Vec::new();
        for (unit, delta) in units.iter().filter(|(unit, delta)| is_back(&self.paths, unit, delta)) {
            // Not between a grant's plan, which counts on what is there, and its record, by which
            // it is known to be granted.
            let lock = match self.accounts.take_alone(&self.paths) {
                Ok(lock) => lock,
                Err(why) => {
                    told.push((unit.clone(), Err(unit.failure(why))));
                    continue;
                }
            };
            // What another session was given meanwhile is that session's.
            if is_granted(unit) || !is_back(&self.paths, unit, delta) {
                continue;
            }
            let held = Held {
                unit: unit.clone(),
                delta: delta.clone(),
                applied: true,
                holders: BTreeSet::new(),
                left_by: None,
            };
            let gone = match unit {
                Unit::Group { .. } => groups::remove(&self.paths, &lock, vec![held]),
                _ => vec![undo_account(&self.paths, &lock, held)],
            };
            told.extend(gone.into_iter().map(|gone| (gone.unit, gone.result.map(drop))));
        }
        told
    }
}
