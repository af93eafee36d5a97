//! Carries out units of privilege: plan, apply, verify, undo, verify gone.
//!
//! Each kind knows only its own delta. Nothing here decides: what to apply and
//! when to undo comes from the core.

mod account;
mod aside;
mod belongings;
mod create;
mod custom;
pub mod defaults;
mod enable;
mod extend;
mod groups;
mod lines;
mod listing;
mod lock;
mod lock_files;
mod people;
mod preview;
mod removal;
mod reserve;
mod returned;
mod settings;
mod sudo;
pub mod sudoers;
mod timestamps;
pub mod tools;
mod without;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tidegate_common::grant::{Failure, PrivilegeKind};
use tidegate_common::id::SessionId;
use tidegate_common::name::AccountName;

use self::lock::{AccountFiles, AccountLock};
use crate::core::{Delta, Gone, Held, NotApplied, Reaped, Unit};
use crate::paths::Paths;
use crate::process::Lost;
use crate::program;

pub use aside::{remove_in_background, remove_until};
pub use sudo::SudoVersion;
pub use timestamps::forget as forget_passwords;
pub use without::without;

/// How long systemd may take to hear that it shall stop a service.
const STOP: Duration = Duration::from_secs(2);

/// How long it may take to say what it runs.
const SHOW: Duration = Duration::from_secs(2);

/// Has systemd stop a service, without waiting until it has.
pub fn stop_service(service: &str) {
    if let Err(error) = program::run("systemctl", &["--no-block", "stop", "--", service], STOP) {
        tracing::warn!(service, %error, "a service of an ended session could not be stopped");
    }
}

/// What systemd says of its services, as `systemctl show` prints it; `None` where it does not.
#[must_use]
pub fn show_services(properties: &[&str]) -> Option<String> {
    let mut words = vec!["show", "--type=service", "*"];
    words.extend(properties.iter().flat_map(|property| ["-p", property]));
    let answer = program::run("systemctl", &words, SHOW).ok()?;
    // What is cut off would be taken for not there.
    let whole = u64::try_from(answer.bytes.len()).is_ok_and(|length| length < program::MOST_OUTPUT);
    (answer.status.success() && whole).then_some(answer.text)
}

/// Changes this host.
#[derive(Debug)]
pub struct Elevator {
    paths: Paths,
    /// The version of its sudo, once it was told; shared with those beside.
    sudo: Arc<OnceLock<SudoVersion>>,
    accounts: AccountFiles,
}

impl Elevator {
    /// Changes nothing and asks nobody yet.
    #[must_use]
    pub fn new(paths: Paths) -> Self {
        Self { paths, sudo: Arc::default(), accounts: AccountFiles::default() }
    }

    /// Another for the same host, for who works beside this one.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { paths: self.paths.clone(), sudo: Arc::clone(&self.sudo), accounts: self.accounts.clone() }
    }

    /// What can be granted here: sudo only where there is one.
    #[must_use]
    pub fn kinds(&self) -> Vec<PrivilegeKind> {
        use PrivilegeKind::{AccountCreate, AccountEnable, Custom, Groups, Sudo};
        let sudo = program::is_there("sudo").then_some(Sudo);
        sudo.into_iter().chain([Groups, AccountEnable, AccountCreate, Custom]).collect()
    }

    /// The host's sudo. Only an answer is kept: one that was late, or is installed meanwhile, is
    /// asked again.
    fn sudo(&self) -> Result<Option<SudoVersion>, String> {
        if let Some(known) = self.sudo.get() {
            return Ok(Some(*known));
        }
        let told = SudoVersion::of_host()?;
        if let Some(version) = told {
            let _ = self.sudo.set(version);
        }
        Ok(told)
    }

    /// What each unit would change. Changes nothing; no other program changes accounts from here
    /// until they are applied, or [`Self::let_go`].
    ///
    /// # Errors
    /// When one of them cannot be granted on this host.
    pub fn plan(&mut self, session: SessionId, units: Vec<Unit>) -> Result<Vec<(Unit, Delta)>, Failure> {
        let coming = coming(&units).cloned();
        let mut planned: Vec<(usize, Unit, Delta)> = Vec::new();
        let units: Vec<(usize, Unit)> = units.into_iter().enumerate().collect();
        // Nobody waits for the account files while an administrator's program runs.
        let (accounts, programs): (Vec<_>, Vec<_>) =
            units.into_iter().partition(|(_, unit)| edits_accounts(unit));
        let mut plan = |(index, unit): (usize, Unit)| {
            let delta = self.plan_one(session, index, &unit, coming.as_ref());
            planned.push((index, unit.clone(), delta.map_err(|why| unit.failure(why))?));
            Ok(())
        };
        programs.into_iter().try_for_each(&mut plan)?;
        if let Some((_, first)) = accounts.first() {
            let taken = self.accounts.take(&self.paths).map_err(|why| first.failure(why))?;
            accounts.into_iter().try_for_each(&mut plan)?;
            taken.keep();
        }
        planned.sort_by_key(|(index, ..)| *index);
        Ok(planned.into_iter().map(|(_, unit, delta)| (unit, delta)).collect())
    }

    /// Lets other programs change accounts again: what was planned is not applied.
    pub fn let_go(&self) {
        self.accounts.let_go();
    }

    /// `coming` is an account that the same grant creates.
    fn plan_one(
        &self,
        session: SessionId,
        index: usize,
        unit: &Unit,
        coming: Option<&AccountName>,
    ) -> Result<Delta, String> {
        let paths = &self.paths;
        match unit {
            Unit::Sudo { account, rule, not_after } => {
                let rule = sudo::Rule { account, rule, not_after: *not_after };
                let file = rule.file(session, index);
                sudo::plan(paths, self.sudo()?, &rule, &file, coming == Some(account))
            }
            Unit::Group { account, group } => groups::plan(paths, account, group, coming == Some(account)),
            Unit::Enabled { account } => enable::plan(paths, account),
            Unit::Shell { account, shell } => enable::plan_shell(paths, account, shell),
            Unit::Created { account, session, shell, expires } => {
                let (session, shell, expires) = (*session, shell.as_ref(), *expires);
                create::plan(paths, &create::Wanted { account, session, shell, expires })
            }
            Unit::Custom { account, custom } => {
                if coming != Some(account) {
                    account::find(paths, account)?;
                }
                custom::plan(paths, &custom::Wanted { account, custom }, session)
            }
        }
    }

    /// Applies the fresh units and verifies all. On failure some may be applied.
    ///
    /// # Errors
    /// The first that could not be applied or verified.
    pub fn apply(&mut self, fresh: &[(Unit, Delta)], joined: &[Held]) -> Result<Vec<String>, NotApplied> {
        self.apply_all(fresh)?;
        let held = joined.iter().map(|held| (&held.unit, &held.delta, true));
        fresh
            .iter()
            .map(|(unit, delta)| (unit, delta, false))
            .chain(held)
            .map(|(unit, delta, shared)| {
                self.verify(unit, delta, shared).map_err(|why| unit.failure(why).into())
            })
            .collect()
    }

    /// Accounts first, then what they are given.
    fn apply_all(&mut self, fresh: &[(Unit, Delta)]) -> Result<(), NotApplied> {
        let applied = self.apply_in_files(fresh);
        // The account files are as they shall be: others need not wait for what follows.
        self.let_go();
        applied?;
        for (unit, delta) in fresh {
            let done = match (unit, delta) {
                (Unit::Sudo { account, rule, not_after }, Delta::Sudo { file, .. }) => {
                    let rule = sudo::Rule { account, rule, not_after: *not_after };
                    self.sudo().and_then(|sudo| sudo::apply(&self.paths, sudo, &rule, file))
                }
                (Unit::Custom { account, custom }, _) => {
                    custom::apply(&self.paths, &custom::Wanted { account, custom }, delta)
                }
                _ => Ok(()),
            };
            done.map_err(|why| unit.failure(why))?;
        }
        Ok(())
    }

    fn apply_in_files(&self, fresh: &[(Unit, Delta)]) -> Result<(), NotApplied> {
        let edits = fresh.iter().find(|(unit, delta)| edits_accounts(unit) && !delta.is_nothing());
        let Some((first, _)) = edits else { return Ok(()) };
        let not_yet = |why| NotApplied { failure: first.failure(why), untouched: true };
        reserve::keep(&self.paths).map_err(|error| {
            not_yet(format!("there is no room on the disk to take it back later: {error}"))
        })?;
        let lock = self.accounts.take(&self.paths).map_err(not_yet)?;
        Ok(apply_accounts(&self.paths, &lock, fresh)?)
    }

    fn verify(&self, unit: &Unit, delta: &Delta, shared: bool) -> Result<String, String> {
        match unit {
            Unit::Sudo { account, rule, not_after } => {
                let rule = sudo::Rule { account, rule, not_after: *not_after };
                sudo::verify(&self.paths, self.sudo()?, &rule)?;
            }
            Unit::Group { account, group } => groups::verify(&self.paths, account, group)?,
            Unit::Enabled { account } | Unit::Shell { account, .. } => {
                enable::verify(&self.paths, account, delta)?;
            }
            Unit::Created { account, .. } => create::verify(&self.paths, account, delta)?,
            Unit::Custom { account, custom } => {
                custom::verify(&self.paths, &custom::Wanted { account, custom }, delta)?;
            }
        }
        if delta.is_nothing() {
            return Ok(format!("{unit} already; left as it is"));
        }
        Ok(if shared { format!("{unit}, with another session") } else { unit.to_string() })
    }

    /// The groups that processes can hold for these units.
    #[must_use]
    pub fn groups_of<'a>(
        &self,
        units: impl IntoIterator<Item = (&'a Unit, &'a Delta)>,
    ) -> Vec<(&'a Unit, Lost)> {
        let edits =
            units.into_iter().filter_map(|(unit, delta)| Some((unit, groups::Edit::of(unit, delta)?)));
        edits.filter_map(|(unit, edit)| Some((unit, groups::held_by(&self.paths, &edit)?))).collect()
    }

    /// As [`Self::undo`], and tells which groups were taken away by it.
    pub fn take_away(&mut self, units: Vec<Held>) -> (Vec<Gone>, BTreeSet<Lost>) {
        let groups = self.groups_of(units.iter().map(|held| (&held.unit, &held.delta)));
        let groups: Vec<(Unit, Lost)> = groups.into_iter().map(|(unit, lost)| (unit.clone(), lost)).collect();
        let outcomes = self.undo(units);
        let gone = |unit: &Unit| outcomes.iter().any(|gone| gone.unit == *unit && gone.result.is_ok());
        let lost = groups.iter().filter(|(unit, _)| gone(unit)).map(|(_, lost)| *lost).collect();
        (outcomes, lost)
    }

    /// Takes units back and looks that they are gone. Each is tried whatever
    /// happens to the others; accounts go last, after what they were given.
    pub fn undo(&mut self, mut units: Vec<Held>) -> Vec<Gone> {
        let mut outcomes = Vec::new();
        let programs = units.extract_if(.., |held| !edits_accounts(&held.unit));
        for held in programs {
            let result = self.undo_program(&held).map_err(|why| held.unit.failure(why));
            outcomes.push(Gone::new(held.unit, result));
        }
        let created: Vec<Held> =
            units.extract_if(.., |held| matches!(held.unit, Unit::Created { .. })).collect();
        if !units.is_empty() {
            self.undo_in_files(units, &mut outcomes);
        }
        outcomes.extend(created.into_iter().map(|held| self.undo_created(held)));
        outcomes
    }

    fn undo_in_files(&mut self, mut units: Vec<Held>, outcomes: &mut Vec<Gone>) {
        let paths = &self.paths;
        match self.accounts.take(paths) {
            Ok(lock) => {
                tools::clear(paths);
                let members = units.extract_if(.., |held| matches!(held.unit, Unit::Group { .. })).collect();
                outcomes.extend(groups::remove(paths, &lock, members));
                outcomes.extend(units.into_iter().map(|held| undo_account(paths, &lock, held)));
            }
            Err(why) => outcomes.extend(units.into_iter().map(|held| {
                let failure = held.unit.failure(why.clone());
                Gone::new(held.unit, Err(failure))
            })),
        }
    }

    fn undo_created(&mut self, held: Held) -> Gone {
        let Held { unit, delta, applied, .. } = held;
        let mut ended = Reaped::default();
        let (account, searched) = (unit.account(), belongings::SEARCHED);
        let result =
            create::undo(&self.paths, &self.accounts, account, &delta, applied, &mut ended, searched);
        Gone { result: result.map_err(|why| unit.failure(why)), unit, ended }
    }

    fn undo_program(&self, held: &Held) -> Result<Option<String>, String> {
        match (&held.unit, &held.delta) {
            (Unit::Sudo { .. }, Delta::Sudo { file, blake3 }) => {
                sudo::undo(&self.paths, file, blake3, held.applied)
            }
            (Unit::Custom { account, custom }, Delta::Custom { .. }) => {
                custom::undo(&self.paths, &custom::Wanted { account, custom }, &held.delta, held.applied)
            }
            _ => Err("the journal's delta is of another kind than its unit".to_owned()),
        }
    }
}

fn apply_accounts(paths: &Paths, lock: &AccountLock, fresh: &[(Unit, Delta)]) -> Result<(), Failure> {
    for (unit, delta) in fresh {
        let done = match unit {
            Unit::Created { account, .. } => create::apply(paths, lock, account, delta),
            Unit::Enabled { account } | Unit::Shell { account, .. } => {
                enable::apply(paths, lock, account, delta)
            }
            _ => Ok(()),
        };
        done.map_err(|why| unit.failure(why))?;
    }
    let members = group_edits(fresh.iter().map(|(unit, delta)| (unit, delta)));
    match members.first() {
        Some(first) => groups::add(paths, lock, &members).map_err(|why| first.failure(why)),
        None => Ok(()),
    }
}

fn undo_account(paths: &Paths, lock: &AccountLock, held: Held) -> Gone {
    let Held { unit, delta, applied, .. } = held;
    let result = match &unit {
        Unit::Enabled { account } | Unit::Shell { account, .. } => {
            enable::undo(paths, lock, account, &delta, applied)
        }
        _ => Ok(None),
    };
    let result = result.map_err(|why| unit.failure(why));
    Gone::new(unit, result)
}

/// Whether it changes the account files, which the host's lock guards.
fn edits_accounts(unit: &Unit) -> bool {
    !matches!(unit, Unit::Sudo { .. } | Unit::Custom { .. })
}

fn coming(units: &[Unit]) -> Option<&AccountName> {
    units.iter().find_map(|unit| match unit {
        Unit::Created { account, .. } => Some(account),
        _ => None,
    })
}

fn group_edits<'a>(units: impl Iterator<Item = (&'a Unit, &'a Delta)>) -> Vec<groups::Edit<'a>> {
    units.filter_map(|(unit, delta)| groups::Edit::of(unit, delta)).collect()
}
