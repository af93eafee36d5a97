//! The files of an account that is created: its home, and what it left in the places
//! where everybody may write.
//!
//! Bounded in time: what of the home is left then is taken the next time.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use super::aside;
use super::removal::{Goes, Removal};
use crate::paths::Paths;

/// Where everybody may write, or programs keep something for each user.
const SHARED: [&str; 6] = ["tmp", "var/tmp", "dev/shm", "var/mail", "var/spool/mail", "var/spool/cron"];

/// Files named after the account or its user id that are not its own.
const NAMED: [&str; 4] =
    ["var/lib/systemd/linger", "var/spool/cron/crontabs", "run/sudo/ts", "var/lib/sudo/lectured"];

/// How long is worked on a home before it is put aside.
const AT_ONCE: Duration = Duration::from_millis(20);

/// How long one that cannot be put aside may take, how long the search in shared places, and how much is copied.
const LONGEST: Duration = Duration::from_secs(8);
pub const SEARCHED: Duration = Duration::from_secs(2);
const MOST_COPIED: usize = 1000;

/// Makes the home with what /etc/skel has.
pub fn make_home(paths: &Paths, home: &Path, uid: u32, gid: u32) -> Result<(), String> {
    let wrong = |error: io::Error| format!("the home {} could not be made: {error}", home.display());
    std::fs::DirBuilder::new().mode(0o700).create(home).map_err(wrong)?;
    let mut left = MOST_COPIED;
    copy(&paths.etc.join("skel"), home, (uid, gid), &mut left).map_err(wrong)?;
    chown(home, Some(uid), Some(gid)).map_err(wrong)
}

/// The directory is root's until all is in it, so nobody can put a link in the way.
fn copy(from: &Path, to: &Path, owner: (u32, u32), left: &mut usize) -> io::Result<()> {
    let entries = match std::fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        *left = left.checked_sub(1).ok_or_else(|| io::Error::other("/etc/skel holds too much"))?;
        let (kind, there) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            std::fs::create_dir(&there)?;
            copy(&entry.path(), &there, owner, left)?;
            let mode = entry.metadata()?.mode() & 0o777;
            std::fs::set_permissions(&there, std::fs::Permissions::from_mode(mode))?;
        } else if kind.is_symlink() {
            symlink(std::fs::read_link(entry.path())?, &there)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &there)?;
        } else {
            continue;
        }
        lchown(&there, Some(owner.0), Some(owner.1))?;
    }
    Ok(())
}

/// Removes its home and all that it owns in shared places, which are `searched` for so long.
/// Returns what of those could not be searched: others' trees may be larger than there is time
/// for, and keep nothing of the account.
pub fn remove(
    paths: &Paths,
    name: &str,
    home: &Path,
    uid: u32,
    searched: Duration,
) -> Result<Vec<String>, String> {
    if let Ok(found) = home.symlink_metadata() {
        if !found.is_dir() || (found.uid() != uid && found.uid() != 0) {
            return Err(format!(
                "{} is not the home that was made for it; look at it and remove it by hand",
                home.display()
            ));
        }
        if let Some(mut removal) = Removal::of(home, Goes::All).map_err(|error| error.to_string())?
            && !removal.go_on(Instant::now() + AT_ONCE).map_err(|error| error.to_string())?
        {
            // Others' ends wait meanwhile, so the rest goes in the background.
            match aside::put(home) {
                Ok(()) => aside::remove_in_background(paths),
                Err(error) => {
                    tracing::warn!(home = %home.display(), %error, "a home is removed where it is");
                    if !removal.go_on(Instant::now() + LONGEST).map_err(|error| error.to_string())? {
                        let home = home.display();
                        return Err(format!(
                            "{home} holds more than can be removed at once; the next try goes on"
                        ));
                    }
                }
            }
        }
    }
    let until = Instant::now() + searched;
    let mut unseen = Vec::new();
    for place in SHARED.map(|place| paths.root.join(place)) {
        // One that is a link is named itself.
        if !place.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            continue;
        }
        if let Some(mut removal) =
            Removal::of(&place, Goes::OwnedBy(uid)).map_err(|error| error.to_string())?
        {
            if !removal.go_on(until).map_err(|error| error.to_string())? {
                unseen.push(format!(
                    "{}: more than can be searched in {} s",
                    place.display(),
                    searched.as_secs()
                ));
            }
            unseen.extend(removal.unseen().map(str::to_owned));
        }
    }
    let uid = uid.to_string();
    for place in NAMED.iter().flat_map(|place| [name, &uid].map(|file| paths.root.join(place).join(file))) {
        match std::fs::remove_file(&place) {
            Err(error)
                if error.kind() != io::ErrorKind::NotFound
                    && error.kind() != io::ErrorKind::NotADirectory =>
            {
                return Err(format!("{} could not be removed: {error}", place.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(unseen)
}
