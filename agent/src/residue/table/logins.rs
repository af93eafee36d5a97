//! Logins on the host beside a session's: those that a person came by, who could have asked for
//! what began meanwhile, and those that systemd was asked to make (machinectl(1), or systemd-run(1)
//! with `PAMName=`), which are for whoever asked.
//!
//! A heuristic: a login that began in the session and was made by nobody but process 1 is no
//! person's, unless process 1 made it for a service of the host (getty(8)). It fails where root
//! feigns what logind writes down, or logs in at a console.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;

use super::Table;
use crate::process::{Process, uid_of};

/// Where logind notes its logins (sd-login(3)), and how much of a note is read, in bytes.
const NOTES: &str = "run/systemd/sessions";
const MOST_NOTE: u64 = 64 * 1024;

/// How far the parents of a process are followed.
const MOST_ABOVE: usize = 64;

/// One login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// In clock ticks since boot.
    pub began: u64,
    pub uid: Option<u32>,
    pub processes: BTreeSet<u32>,
    /// The service that it was made for, where somebody asked for that.
    pub unit: Option<String>,
    /// Somebody came by it.
    persons: bool,
}

impl Table {
    /// Those that somebody came by and that are not of these scopes.
    pub(super) fn other_logins(&self, scopes: &BTreeSet<String>, since: u64) -> BTreeMap<&str, Login> {
        self.logins(scopes, since).filter(|(_, login)| login.persons).collect()
    }

    /// Those that were made by a call since then, and what else is in their audit sessions.
    pub(super) fn logins_asked_for(
        &self,
        scopes: &BTreeSet<String>,
        since: u64,
    ) -> impl Iterator<Item = Login> {
        self.logins(scopes, since).map(|(_, login)| login).filter(|login| !login.persons)
    }

    fn logins(&self, scopes: &BTreeSet<String>, since: u64) -> impl Iterator<Item = (&str, Login)> {
        let mut all: BTreeMap<&str, Vec<&Process>> = BTreeMap::new();
        for process in self.all.values() {
            let scope = process.scope.as_deref().filter(|scope| !scopes.contains(*scope));
            let scope = scope.filter(|scope| self.is_in_login(process, scope));
            scope.into_iter().for_each(|scope| all.entry(scope).or_default().push(process));
        }
        all.into_iter().filter_map(move |(scope, processes)| {
            let oldest = processes.iter().min_by_key(|process| process.start)?;
            let (unit, persons) = self.made_by(scope, oldest, since);
            let (began, uid) = (oldest.start, uid_of(scope));
            let audit = oldest.audit;
            let together = |process: &&Process| audit.is_some() && process.audit == audit;
            let mut pids: BTreeSet<u32> = processes.iter().map(|process| process.pid).collect();
            pids.extend(self.all.values().filter(together).map(|process| process.pid));
            pids.retain(|pid| self.get(*pid).is_some_and(|process| self.touchable(process)));
            Some((scope, Login { began, uid, processes: pids, unit, persons }))
        })
    }

    /// Whether a process in a login's scope got there by logging in. Who was only moved there has
    /// not the audit session that the scope is named after.
    pub(super) fn is_in_login(&self, process: &Process, scope: &str) -> bool {
        let Some(name) = name_of(scope) else { return false };
        let notes = self.root.join(NOTES);
        if notes.is_dir() && !notes.join(name).is_file() {
            return false;
        }
        match name.parse::<u32>() {
            _ if !self.all.values().any(|process| process.audit.is_some()) => true,
            Ok(ses) => process.audit == Some(ses),
            Err(_) => process.audit.is_some(),
        }
    }

    /// The service that a login was made for where systemd was asked to, and whether a person came
    /// by it.
    fn made_by(&self, scope: &str, oldest: &Process, since: u64) -> (Option<String>, bool) {
        let leader = match self.leader_of(scope) {
            Some(pid) => self.get(pid).filter(|process| process.scope.as_deref() == Some(scope)),
            None => Some(oldest),
        };
        let Some(leader) = leader else {
            // Only what was seen when it was made tells; what nobody saw is no person's.
            let connected = oldest.audit.is_none_or(|ses| self.connected.contains(&ses));
            return (None, oldest.start < since || connected);
        };
        let top = self.top_of(leader, since);
        if top.start < since || top.parent != 1 || !self.is_systemds() {
            return (None, true);
        }
        let mains = self.services.mains();
        match mains.as_ref().and_then(|mains| mains.unit_of(top.pid)) {
            Some(unit) if self.was_asked_for(unit) => (Some(unit.to_owned()), false),
            Some(_) => (None, true),
            None => (None, false),
        }
    }

    /// Its process according to logind.
    fn leader_of(&self, scope: &str) -> Option<u32> {
        let mut note = Vec::new();
        let file = File::open(self.root.join(NOTES).join(name_of(scope)?)).ok()?;
        file.take(MOST_NOTE).read_to_end(&mut note).ok()?;
        let leader = note.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"LEADER="))?;
        std::str::from_utf8(leader).ok()?.parse().ok()
    }

    /// The uppermost above it that began since then, below process 1.
    pub(super) fn top_of<'a>(&'a self, process: &'a Process, since: u64) -> &'a Process {
        let mut top = process;
        for _ in 0..MOST_ABOVE {
            match self.parent(top.pid).filter(|parent| parent.pid > 1) {
                Some(parent) if parent.start >= since => top = parent,
                // It was there before, and made what is below it.
                Some(parent) => return parent,
                None => break,
            }
        }
        top
    }

    /// Whether systemd runs the host.
    pub(super) fn is_systemds(&self) -> bool {
        self.all.get(&1).is_some_and(|first| first.comm == b"systemd")
    }
}

/// `4` of `/user.slice/user-7.slice/session-4.scope`.
fn name_of(scope: &str) -> Option<&str> {
    scope.rsplit('/').next()?.strip_prefix("session-")?.strip_suffix(".scope")
}
