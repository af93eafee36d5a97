//! What the host's sudo needs to read the agent's rules.

use std::path::{Path, PathBuf};

use super::SetupError;
use crate::program;
use crate::text::read_words;

/// The file among sudo's drop-ins. Of the rules that match a command sudo takes the last, so
/// this is the last file that it reads there.
pub const INCLUDE: &str = "/etc/sudoers.d/zzz-tidegate";

/// Where it was before.
pub const FORMER: &str = "/etc/sudoers.d/tidegate";

/// Whether this host has a sudo that reads drop-ins.
///
/// # Errors
/// When it has one that does not.
pub fn of_host() -> Result<bool, SetupError> {
    if !program::is_there("sudo") {
        return Ok(false);
    }
    let policy = PathBuf::from("/etc/sudoers");
    let text = read_words(&policy).map_err(|source| SetupError::Unread { path: policy, source })?;
    if includes(&text, Path::new("/etc/sudoers.d")) {
        Ok(true)
    } else {
        let what = "/etc/sudoers does not read its drop-ins; add `@includedir /etc/sudoers.d` with visudo";
        Err(SetupError::Host(what.to_owned()))
    }
}

/// The include file. A missing directory is no mistake to sudo, so that a reboot
/// before tmpfiles ran, or an agent that is gone, breaks nothing.
#[must_use]
pub fn include() -> String {
    "# Written by `tidegate-agent install`, removed by `tidegate-agent uninstall`.\n\
     # Rules of live sessions; the directory is empty when there is none.\n\
     @includedir /run/tidegate/sudoers.d\n"
        .to_owned()
}

fn includes(policy: &str, directory: &Path) -> bool {
    policy.lines().any(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("@includedir" | "#includedir"))
            && words.next().is_some_and(|named| Path::new(named) == directory)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_include_count_and_a_comment_does_not() {
        let directory = Path::new("/etc/sudoers.d");
        assert!(includes("root ALL=ALL\n@includedir /etc/sudoers.d\n", directory));
        assert!(includes("#includedir /etc/sudoers.d/", directory));
        assert!(!includes("# @includedir /etc/sudoers.d", directory));
        assert!(!includes("@includedir /etc/other.d", directory));
    }
}
