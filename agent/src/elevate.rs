//! Carries out units of privilege: plan, apply, verify, undo, verify gone.
//!
//! Each kind knows only its own delta. Nothing here decides: what to apply and
//! when to undo comes from the core.

mod account;
mod groups;
mod lock;
pub mod program;
mod replace;
mod sudo;

use tidegate_common::grant::{Failure, PrivilegeKind};
use tidegate_common::id::SessionId;

use crate::core::{Delta, Gone, Held, Unit};
use crate::paths::Paths;

pub use replace::replace;
pub use sudo::SudoVersion;

/// Changes this host.
#[derive(Debug)]
pub struct Elevator {
    paths: Paths,
    sudo: Option<SudoVersion>,
    /// The host's lock on its account files, held from a plan to its apply so that
    /// what was planned is still so.
    lock: Option<lock::AccountLock>,
}

impl Elevator {
    /// Looks once at what the host has.
    #[must_use]
    pub fn new(paths: Paths) -> Self {
        Self { paths, sudo: SudoVersion::of_host(), lock: None }
    }

    /// What can be granted here.
    #[must_use]
    pub fn kinds(&self) -> Vec<PrivilegeKind> {
        let sudo = self.sudo.map(|_| PrivilegeKind::Sudo);
        sudo.into_iter().chain([PrivilegeKind::Groups]).collect()
    }

    /// What each unit would change. Changes nothing.
    ///
    /// # Errors
    /// When one of them cannot be granted on this host.
    pub fn plan(&mut self, session: SessionId, units: Vec<Unit>) -> Result<Vec<(Unit, Delta)>, Failure> {
        let planned = self.plan_all(session, units);
        if planned.is_err() {
            self.unlock();
        }
        planned
    }

    fn plan_all(&mut self, session: SessionId, units: Vec<Unit>) -> Result<Vec<(Unit, Delta)>, Failure> {
        if units.iter().any(|unit| matches!(unit, Unit::Group { .. })) {
            self.lock()?;
        }
        let mut planned = Vec::new();
        for (index, unit) in units.into_iter().enumerate() {
            let delta = match &unit {
                Unit::Sudo { account, rule, not_after } => {
                    let rule = sudo::Rule { account, rule, not_after: *not_after };
                    sudo::plan(&self.paths, self.sudo, &rule, &format!("{session}-{index}"))
                }
                Unit::Group { account, group } => groups::plan(&self.paths, account, group),
            };
            planned.push((delta.map_err(|why| unit.failure(why)).map(|delta| (unit, delta)))?);
        }
        Ok(planned)
    }

    /// Applies the fresh units and verifies all. On failure some may be applied.
    ///
    /// # Errors
    /// The first that could not be applied or verified.
    pub fn apply(&mut self, fresh: &[(Unit, Delta)], joined: &[Held]) -> Result<Vec<String>, Failure> {
        let applied = self.apply_all(fresh, joined);
        self.unlock();
        applied
    }

    fn apply_all(&mut self, fresh: &[(Unit, Delta)], joined: &[Held]) -> Result<Vec<String>, Failure> {
        let members = group_edits(fresh.iter().map(|(unit, delta)| (unit, delta)));
        if let Some(first) = members.first() {
            self.lock()?;
            groups::add(&self.paths, &members).map_err(|why| first.failure(why))?;
        }
        for (unit, delta) in fresh {
            if let (Unit::Sudo { account, rule, not_after }, Delta::Sudo { file, .. }) = (unit, delta) {
                let rule = sudo::Rule { account, rule, not_after: *not_after };
                sudo::apply(&self.paths, self.sudo, &rule, file).map_err(|why| unit.failure(why))?;
            }
        }
        let held = joined.iter().map(|held| (&held.unit, &held.delta, true));
        fresh
            .iter()
            .map(|(unit, delta)| (unit, delta, false))
            .chain(held)
            .map(|(unit, delta, shared)| self.verify(unit, delta, shared).map_err(|why| unit.failure(why)))
            .collect()
    }

    fn verify(&self, unit: &Unit, delta: &Delta, shared: bool) -> Result<String, String> {
        match unit {
            Unit::Sudo { account, rule, not_after } => {
                sudo::verify(self.sudo, &sudo::Rule { account, rule, not_after: *not_after })?;
            }
            Unit::Group { account, group } => groups::verify(&self.paths, account, group)?,
        }
        if *delta == (Delta::Group { group: false, gshadow: false }) {
            return Ok(format!("{unit} already; left as it is"));
        }
        Ok(if shared { format!("{unit}, with another session") } else { unit.to_string() })
    }

    /// Takes units back and looks that they are gone. Each is tried whatever
    /// happens to the others.
    pub fn undo(&mut self, units: Vec<Held>) -> Vec<Gone> {
        let members = units.iter().any(|held| matches!(held.unit, Unit::Group { .. }));
        let locked = if members { self.lock() } else { Ok(()) };
        let mut outcomes = Vec::new();
        let mut groups = Vec::new();
        for held in units {
            let result = match (&held.unit, &held.delta) {
                (Unit::Sudo { .. }, Delta::Sudo { file, blake3 }) => {
                    sudo::undo(&self.paths, file, blake3, held.applied)
                }
                (Unit::Group { .. }, Delta::Group { .. }) => {
                    groups.push(held);
                    continue;
                }
                _ => Err("the journal's delta is of another kind than its unit".to_owned()),
            };
            let result = result.map_err(|why| held.unit.failure(why));
            outcomes.push(Gone { unit: held.unit, result });
        }
        match locked {
            Ok(()) => outcomes.extend(groups::remove(&self.paths, groups)),
            Err(failure) => outcomes.extend(
                groups.into_iter().map(|held| Gone { unit: held.unit, result: Err(failure.clone()) }),
            ),
        }
        self.unlock();
        outcomes
    }

    fn lock(&mut self) -> Result<(), Failure> {
        if self.lock.is_none() {
            let lock = lock::AccountLock::take(&self.paths);
            self.lock = Some(lock.map_err(|why| Failure { kind: PrivilegeKind::Groups, why })?);
        }
        Ok(())
    }

    /// Lets other programs change accounts again.
    pub fn unlock(&mut self) {
        self.lock = None;
    }
}

fn group_edits<'a>(units: impl Iterator<Item = (&'a Unit, &'a Delta)>) -> Vec<groups::Edit<'a>> {
    units.filter_map(|(unit, delta)| groups::Edit::of(unit, delta)).collect()
}
