//! Room on the disk for the way back. Account files are replaced by copies, so a host
//! whose disk gets full while a session lives could not take its privileges back. A file
//! in the agent's state, larger than those copies, is there before anything is granted
//! and goes when a copy finds no room.
//!
//! A heuristic: it helps where both are on one file system, and where nobody is quicker.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::fcntl::posix_fallocate;

use crate::account_files::FILES;
use crate::files::{self, replace};
use crate::paths::Paths;

/// What file systems give room in, at the most.
const BLOCK: u64 = 4096;

/// The name of the file that asks for room beside the account files.
pub const PROBE: &str = "reserve";

/// As agents of before named it.
pub const FORMER_PROBE: &str = "room";

/// Makes sure that there is room. What an agent of before kept goes first, and is a part of it.
///
/// # Errors
/// When the disk has none.
pub fn keep(paths: &Paths) -> io::Result<()> {
    remove_former(paths);
    let needed = needed(paths);
    if fs::metadata(paths.reserve()).is_ok_and(|kept| kept.len() >= needed) {
        return Ok(());
    }
    replace(&paths.reserve(), &vec![0; usize::try_from(needed).unwrap_or_default()], 0o600)
}

/// Removes the file of an agent of before, if it is one: a plain file of the agent's own.
fn remove_former(paths: &Paths) {
    let former = paths.former_reserve();
    let Ok(found) = former.symlink_metadata() else { return };
    if !found.is_file() || found.uid() != nix::unistd::geteuid().as_raw() {
        return;
    }
    if let Err(error) = fs::remove_file(&former) {
        tracing::warn!(%error, left = %former.display(), "what an agent of before kept could not be removed");
    }
}

/// What two copies of the account files take: they may grow, by whoever makes accounts.
fn needed(paths: &Paths) -> u64 {
    let copy = |length: u64| length.div_ceil(BLOCK).saturating_add(1).saturating_mul(2 * BLOCK);
    let lengths = FILES.iter().filter_map(|file| fs::metadata(paths.etc.join(file)).ok());
    lengths.map(|file| copy(file.len())).sum()
}

/// Whether the tools for accounts would find room for their copies. Where there is none
/// they try for a quarter of a minute.
///
/// # Errors
/// When there is none, or nothing can be written there.
pub fn is_there(paths: &Paths) -> io::Result<()> {
    let path = files::fresh(&paths.etc, PROBE);
    let taken = File::create(&path).and_then(|file| {
        let needed = needed(paths).try_into().map_err(io::Error::other)?;
        posix_fallocate(&file, 0, needed).map_err(io::Error::from)
    });
    taken.and(fs::remove_file(&path))
}

/// Gives it up; tells whether there was any.
pub fn give_up(paths: &Paths) -> bool {
    let removed = fs::remove_file(paths.reserve()).is_ok();
    if removed {
        tracing::warn!("the disk is full; the room that was kept for taking privileges back is used");
        // Its blocks are free once the file system has written that they are.
        let _ = File::open(&paths.state).and_then(|directory| directory.sync_all());
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    #[test]
    fn there_is_room_for_a_copy_of_each_file_until_it_is_given_up_once() {
        let scratch = Scratch::new();
        let paths = scratch.paths();
        fs::write(paths.etc.join("group"), vec![b'x'; 10_000]).unwrap();
        fs::write(paths.etc.join("shadow"), "x").unwrap();
        keep(paths).unwrap();
        let kept = fs::metadata(paths.reserve()).unwrap().len();
        assert!(kept >= 3 * BLOCK + BLOCK, "{kept}");
        fs::write(paths.etc.join("group"), vec![b'x'; 1_000_000]).unwrap();
        keep(paths).unwrap();
        assert!(fs::metadata(paths.reserve()).unwrap().len() > 1_000_000, "the file has grown");
        assert!(give_up(paths) && !give_up(paths));
    }

    #[test]
    fn what_an_agent_of_before_kept_is_removed_and_nothing_else_of_that_name() {
        let scratch = Scratch::new();
        let paths = scratch.paths();
        let former = paths.former_reserve();
        fs::write(&former, [0; 10]).unwrap();
        keep(paths).unwrap();
        assert!(former.symlink_metadata().is_err());
        keep(paths).unwrap();
        let theirs = scratch.path().join("theirs");
        fs::write(&theirs, "theirs").unwrap();
        std::os::unix::fs::symlink(&theirs, &former).unwrap();
        keep(paths).unwrap();
        assert!(former.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        fs::remove_file(&former).unwrap();
        fs::create_dir(&former).unwrap();
        keep(paths).unwrap();
        assert!(former.is_dir());
    }
}
