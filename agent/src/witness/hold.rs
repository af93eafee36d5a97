//! What the witness changes in the kernel's audit, and how it puts it back: our
//! rules, `enabled` where it was off, and a backlog too short for a storm of execs.
//!
//! What was there before is on disk before the first change, so that an agent after
//! a crash, or the sweep, can put it back. A setting that somebody else has changed
//! since is left alone.

use std::io;
use std::path::PathBuf;

use nix::libc;
use serde::{Deserialize, Serialize};
use tidegate_common::audit::Note;
use tidegate_common::wire::Sight;

use super::kernel::{Control, Setting, Status};
use super::rules;
use crate::paths::Paths;
use crate::shell::clock;

/// Records that the kernel may keep for whoever reads them, at least. Its default of
/// 64 makes processes wait.
const BACKLOG: u32 = 8192;

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
    if status.enabled == 2 && loaded.iter().filter(|rule| rules::is_ours(rule)).count() < rules::ours().len()
    {
        return Err(BlindError::Locked);
    }
    Ok((control, status))
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
pub struct Hold {
    control: Control,
    paths: Paths,
    lost: u32,
}

impl Hold {
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
                crate::elevate::replace(&path, &text, 0o600)
                    .map_err(|source| BlindError::Note { path, source })?;
            }
        }
        let hold = Self { control, paths: paths.clone(), lost };
        match hold.change(status) {
            Ok(()) => Ok(hold),
            Err(error) => {
                hold.release();
                Err(BlindError::Refused(error))
            }
        }
    }

    fn change(&self, status: Status) -> io::Result<()> {
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
        rules::ours().iter().try_for_each(|rule| self.control.add(rule))
    }

    /// Puts back what somebody took away meanwhile: an audit daemon that starts loads
    /// its own rules only. Tells whether anything was missing.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn mend(&self) -> io::Result<bool> {
        let status = self.control.status()?;
        let loaded = self.control.rules()?;
        let there = loaded.iter().filter(|rule| rules::is_ours(rule)).count();
        if status.enabled != 0 && there >= rules::ours().len() {
            return Ok(false);
        }
        self.change(status).map(|()| true)
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
        match control.remove(&rule) {
            // Locked meanwhile: it stays until the next boot.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(()),
            other => other?,
        }
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
