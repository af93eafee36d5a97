//! What sudo remembers of an account's password (sudoers_timestamp(5)). With
//! `timestamp_type=global` the next session of the account would need none: sudo keeps one
//! record for all of them, and does not say whose it was.

use std::io;

use tidegate_common::name::AccountName;

use super::account;
use crate::paths::Paths;

/// Where sudo keeps it, by version, and sudo-rs. A directory set by `timestampdir` is not known.
const PLACES: [&str; 4] = ["run/sudo/ts", "var/lib/sudo/ts", "var/db/sudo/ts", "run/sudo-rs/ts"];

/// Has sudo ask the account for its password again, as `sudo -K` does. The files are named
/// after the account, or its user id since 1.9.15.
pub fn forget(paths: &Paths, account: &AccountName) {
    let uid = account::find(paths, account).ok().map(|found| found.uid.to_string());
    let names: Vec<&str> = [Some(account.as_str()), uid.as_deref()].into_iter().flatten().collect();
    let places = PLACES.map(|place| paths.root.join(place));
    for path in places.iter().flat_map(|place| names.iter().map(|name| place.join(name))) {
        if let Err(error) = std::fs::remove_file(&path)
            && !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        {
            tracing::warn!(%error, path = %path.display(), "sudo may remember a password of a session that is over");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    #[test]
    fn what_sudo_remembers_of_an_account_goes_and_of_others_stays() {
        let scratch = Scratch::new();
        std::fs::write(scratch.paths().etc.join("passwd"), "ops:x:1000:1000::/:/bin/sh\n").unwrap();
        let place = scratch.path().join("run/sudo/ts");
        std::fs::create_dir_all(&place).unwrap();
        for name in ["ops", "1000", "jane", "1001"] {
            std::fs::write(place.join(name), "").unwrap();
        }
        forget(scratch.paths(), &"ops".parse().unwrap());
        let left = ["ops", "1000", "jane", "1001"].map(|name| place.join(name).exists());
        assert_eq!(left, [false, false, true, true]);
        forget(scratch.paths(), &"ops".parse().unwrap());
    }
}
