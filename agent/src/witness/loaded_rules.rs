//! What the witness changes in the kernel's audit, and how it puts it back: our
//! rules before all others, `enabled` where it was off, and a backlog too short for a storm of execs.
//!
//! What was there before is on disk before the first change, so that an agent after
//! a crash, or the sweep, can put it back. A setting that somebody else has changed
//! since is left alone.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use nix::libc;
use serde::{Deserialize, Serialize};
use tidegate_common::audit::Note;
use tidegate_common::wire::Sight;

use super::kernel::{Control, Setting, Status};
use super::rules;
use crate::clock;
use crate::paths::Paths;

/// Records that the kernel may keep for whoever reads them, at least. Its default of
/// 64 makes processes wait.
const BACKLOG: u32 = 8192;

/// How often one of our rules may be there: root may have added it again and again.
const MOST_COPIES: i64 = 256;

/// Why the kernel cannot be asked what runs.
#[derive(Debug, thiserror::Error)]
pub enum BlindError {
    #[error("the kernel has no audit here, as in a container: {0}")]
    None(io::Error),
    #[error("the kernel's audit does not let the agent in; it answers root outside of containers only: {0}")]
    Refused(io::Error),
    #[error("audit is locked until the next boot (auditctl -e 2); load the agent's rules before it is")]
    Locked,
    #[error(
        "an audit rule of the host (-a never,task) keeps the kernel from telling; remove it from /etc/audit/rules.d"
    )]
    Never,
    #[error("the agent does not know this processor's system calls")]
    Processor,
    #[error("{path} could not be written, so audit was not changed: {source}")]
    Note { path: PathBuf, source: io::Error },
}

/// What was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    /// Which boot this tells of.
    boot: String,
    enabled: u32,
    daemon: u32,
    backlog_limit: u32,
}

/// Whether the kernel can be asked. Changes nothing.
#[must_use]
pub fn sight() -> Sight {
    match look() {
        Ok(_) => Sight::Sees,
        Err(why) => Sight::Blind { why: Note::new(why.to_string()) },
    }
}

fn look() -> Result<(Control, Status), BlindError> {
    if rules::ours().is_empty() {
        return Err(BlindError::Processor);
    }
    let control = Control::open().map_err(BlindError::None)?;
    let status = control.status().map_err(BlindError::Refused)?;
    let loaded = control.rules().map_err(BlindError::Refused)?;
    if loaded.iter().any(|rule| rules::blinds(rule)) {
        return Err(BlindError::Never);
    }
    if status.enabled == 2 && !rules::in_force(&loaded) {
        return Err(BlindError::Locked);
    }
    Ok((control, status))
}

/// What on this host keeps the kernel from telling all that runs, one sentence each.
///
/// # Errors
/// Why it tells nothing at all.
pub fn obstacles() -> Result<Vec<String>, BlindError> {
    let (control, status) = look()?;
    let rules = control.rules().map_err(BlindError::Refused)?;
    let limited = status.rate_limit != 0;
    let limit = || format!("audit writes {} records a second at most, the rest is lost", status.rate_limit);
    Ok(rules::blinding(&rules).into_iter().map(hidden).chain(limited.then(limit)).collect())
}

fn hidden(rule: &str) -> String {
    format!("an audit rule of the host ({rule}) keeps the kernel from telling some of what runs")
}

/// What was heard of changes to the kernel's audit since the last look.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// Rules that were removed.
    pub removed: u32,
    /// It was switched off, however short.
    pub off: bool,
}

/// What a look at the kernel's audit found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What was otherwise for a while, and is not any more.
    pub gone: Vec<String>,
    /// What keeps the kernel from telling from here on.
    pub stands: BTreeSet<String>,
}

/// What the kernel says of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Lost since the last look.
    pub lost: u64,
    /// Not handed out yet.
    pub waiting: u32,
}

/// Our rules are loaded as long as one has this.
#[derive(Debug)]
pub struct LoadedRules {
    control: Control,
    paths: Paths,
    lost: u32,
    /// The rules as they were at the last look.
    known: Option<Vec<Vec<u8>>>,
    /// Removals that were heard of, less those that were seen: above 0, a rule came and went.
    unseen: i64,
}

impl LoadedRules {
    /// Makes the kernel tell of execs.
    ///
    /// # Errors
    /// When it cannot; what was changed till then is put back.
    pub fn take(paths: &Paths) -> Result<Self, BlindError> {
        let (control, status) = look()?;
        let Status { enabled, daemon, backlog_limit, lost, .. } = status;
        if enabled != 2 {
            let before = Before { boot: clock::boot_id(paths), enabled, daemon, backlog_limit };
            let path = paths.audit_before();
            let text = serde_json::to_vec(&before).unwrap_or_default();
            // One from before a crash tells more than what is there now.
            if !path.exists() {
                crate::files::replace(&path, &text, 0o600)
                    .map_err(|source| BlindError::Note { path, source })?;
            }
        }
        let mut loaded = Self { control, paths: paths.clone(), lost, known: None, unseen: 0 };
        match loaded.change(status) {
            Ok(()) => Ok(loaded),
            Err(error) => {
                loaded.release();
                Err(BlindError::Refused(error))
            }
        }
    }

    /// What the agent before this one held; `lost` is what it had counted.
    ///
    /// # Errors
    /// When the kernel cannot be asked any more.
    pub fn resume(paths: &Paths, lost: u32) -> io::Result<Self> {
        Ok(Self { control: Control::open()?, paths: paths.clone(), lost, known: None, unseen: 0 })
    }

    /// How many records the kernel has lost, as far as it was told.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    fn change(&mut self, status: Status) -> io::Result<()> {
        if status.enabled == 2 {
            return Ok(());
        }
        // 0 is no limit.
        if (1..BACKLOG).contains(&status.backlog_limit) {
            self.control.set(Setting::BacklogLimit(BACKLOG))?;
        }
        if status.enabled == 0 {
            self.control.set(Setting::Enabled(1))?;
        }
        for rule in rules::ours() {
            // Where it is, it may be behind others; the kernel would add it a second time.
            self.unseen -= remove_all(&self.control, &rule)?;
            self.control.add(&rules::first(&rule))?;
        }
        Ok(())
    }

    /// Looks whether the kernel still tells, and sees to it where that is possible: an audit
    /// daemon that starts loads its own rules only, and whoever is root may do it on purpose.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn look(&mut self, heard: Changes) -> io::Result<Found> {
        let status = self.control.status()?;
        let mut loaded = self.control.rules()?;
        let mut found = Found::default();
        if heard.off || status.enabled == 0 {
            found.gone.push("somebody switched the kernel's audit off; it is on again".to_owned());
        }
        self.unseen += i64::from(heard.removed);
        if let Some(known) = self.known.take() {
            self.unseen -= vanished(&known, &loaded);
            if self.unseen > 0 {
                self.unseen = 0;
                let why = "an audit rule came and went before it could be read; it may have hidden what ran";
                found.gone.push(why.to_owned());
            }
        }
        let low = (1..BACKLOG).contains(&status.backlog_limit);
        if !rules::in_force(&loaded) || status.enabled == 0 || (low && status.enabled != 2) {
            if !rules::in_force(&loaded) {
                let why =
                    "somebody removed the agent's audit rules, or put another before them; they are back";
                found.gone.push(why.to_owned());
            }
            self.change(status)?;
            loaded = self.control.rules()?;
        }
        if !rules::in_force(&loaded) {
            let why = "the agent's audit rules are not in force and cannot be put back; audit is locked";
            found.stands.insert(why.to_owned());
        }
        found.stands.extend(rules::blinding(&loaded).into_iter().map(hidden));
        self.known = Some(loaded);
        Ok(found)
    }

    /// The kernel's count of lost records was set back, from there.
    pub fn lost_reset(&mut self, from: u32) -> u64 {
        u64::from(from.saturating_sub(std::mem::take(&mut self.lost)))
    }

    /// How many records the kernel has lost since the last look, and how many it still has.
    pub fn tally(&mut self) -> Option<Tally> {
        let status = self.control.status().ok()?;
        // Somebody may have set it back to 0 (auditctl --reset-lost).
        let newly = status.lost.checked_sub(self.lost).unwrap_or(status.lost);
        self.lost = status.lost;
        Some(Tally { lost: u64::from(newly), waiting: status.backlog })
    }

    /// Puts everything back.
    pub fn release(self) {
        put_back(&self.paths, &self.control);
    }
}

/// Puts back what an agent that is gone has left.
pub fn put_back_after_crash(paths: &Paths) {
    if !paths.audit_before().exists() {
        return;
    }
    match Control::open() {
        Ok(control) => put_back(paths, &control),
        Err(error) => {
            tracing::warn!(%error, "what the witness changed in the kernel's audit was not put back")
        }
    }
}

fn put_back(paths: &Paths, control: &Control) {
    if let Err(error) = try_put_back(paths, control) {
        tracing::warn!(%error, "what the witness changed in the kernel's audit was not put back");
        return;
    }
    match std::fs::remove_file(paths.audit_before()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the note on the kernel's audit could not be removed");
        }
        _ => {}
    }
}

fn try_put_back(paths: &Paths, control: &Control) -> io::Result<()> {
    let Ok(text) = std::fs::read(paths.audit_before()) else { return Ok(()) };
    let before: Option<Before> = serde_json::from_slice(&text).ok();
    // After a boot nothing of ours is there.
    let Some(before) = before.filter(|before| before.boot == clock::boot_id(paths)) else { return Ok(()) };
    for rule in rules::ours() {
        match remove_all(control, &rule) {
            // Locked meanwhile: it stays until the next boot.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(()),
            other => other?,
        };
    }
    let now = control.status()?;
    let same_daemon = now.daemon == before.daemon;
    if same_daemon && now.backlog_limit == BACKLOG && before.backlog_limit != BACKLOG {
        control.set(Setting::BacklogLimit(before.backlog_limit))?;
    }
    let unused = now.daemon == 0 && control.rules()?.is_empty();
    if before.enabled == 0 && now.enabled == 1 && unused {
        control.set(Setting::Enabled(0))?;
    }
    Ok(())
}

/// Removes a rule however often it is there; answers how often it was.
fn remove_all(control: &Control, rule: &[u8]) -> io::Result<i64> {
    for times in 0..MOST_COPIES {
        if !control.remove(rule)? {
            return Ok(times);
        }
    }
    Ok(MOST_COPIES)
}

/// How many of the rules that were there are not any more.
fn vanished(before: &[Vec<u8>], now: &[Vec<u8>]) -> i64 {
    let mut left: Vec<&Vec<u8>> = now.iter().collect();
    let gone = before.iter().filter(|rule| match left.iter().position(|other| other == rule) {
        Some(place) => {
            left.swap_remove(place);
            false
        }
        None => true,
    });
    i64::try_from(gone.count()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_vanished_are_counted_also_where_there_were_several_alike() {
        let rule = |byte: u8| vec![byte];
        let before = [rule(1), rule(1), rule(2)];
        assert_eq!(vanished(&before, &before), 0);
        assert_eq!(vanished(&before, &[rule(2), rule(1), rule(3)]), 1);
        assert_eq!(vanished(&before, &[]), 3);
    }
}
