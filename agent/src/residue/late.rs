//! What may still come after a session's end: a login that was under way when its
//! privileges were taken back, and processes that hold a group which their account is no
//! longer in (its own systemd above all, which logind keeps after a logout).
//!
//! The list is in a file too, because the agent can be killed between a group's removal
//! and the end of those who hold it: the sweep and the next agent go on from there. It
//! lies below /run and means nothing after a reboot.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_common::id::SessionId;

use crate::paths::Paths;
use crate::process::Lost;

/// How long somebody may come late: sshd and logind have given up on a login by then.
pub const LATEST: Duration = Duration::from_secs(30);

/// One end of a session, or of units that stood without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Late {
    pub session: Option<SessionId>,
    pub lost: BTreeSet<Lost>,
    /// In microseconds since boot.
    pub at: u64,
}

/// All of them.
#[derive(Debug)]
pub struct Lates {
    path: PathBuf,
    list: Vec<Late>,
}

impl Lates {
    /// Reads what the agent or sweep before left.
    #[must_use]
    pub fn open(paths: &Paths) -> Self {
        let path = paths.lates();
        let list = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { path, list: list.unwrap_or_default() }
    }

    /// All that there are.
    #[must_use]
    pub fn list(&self) -> &[Late] {
        &self.list
    }

    /// Adds one; those that are too old go.
    pub fn add(&mut self, late: Late) {
        let longest = u64::try_from(LATEST.as_micros()).unwrap_or(u64::MAX);
        self.list.retain(|old| old.at.saturating_add(longest) >= late.at);
        self.list.push(late);
        self.keep();
    }

    /// These groups are given again: who holds them may.
    pub fn granted(&mut self, groups: &BTreeSet<Lost>) {
        if self.list.iter().any(|late| !late.lost.is_disjoint(groups)) {
            self.list.iter_mut().for_each(|late| late.lost.retain(|lost| !groups.contains(lost)));
            self.keep();
        }
    }

    fn keep(&self) {
        let fresh = self.path.with_extension("new");
        let written = serde_json::to_vec(&self.list).map_err(std::io::Error::other).and_then(|text| {
            std::fs::write(&fresh, text)?;
            std::fs::rename(&fresh, &self.path)
        });
        if let Err(error) = written {
            tracing::error!(%error, "after a crash now, who still holds a group would not be looked for");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    #[test]
    fn what_was_lost_is_known_after_a_crash_until_it_is_given_again_or_too_old() {
        let scratch = Scratch::new();
        let (adm, disk) = (Lost { uid: 1000, gid: 4 }, Lost { uid: 1000, gid: 6 });
        let late = |at, lost: &[Lost]| Late { session: None, lost: lost.iter().copied().collect(), at };
        Lates::open(scratch.paths()).add(late(5, &[adm, disk]));
        let mut lates = Lates::open(scratch.paths());
        assert_eq!(lates.list(), [late(5, &[adm, disk])]);
        lates.granted(&BTreeSet::from([adm]));
        assert_eq!(Lates::open(scratch.paths()).list(), [late(5, &[disk])]);
        lates.add(late(60_000_000, &[adm]));
        assert_eq!(Lates::open(scratch.paths()).list(), [late(60_000_000, &[adm])]);
    }
}
