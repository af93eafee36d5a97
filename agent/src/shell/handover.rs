//! What one agent leaves to the one that execve(2) puts in its place: a note that is
//! read once, and descriptors that stay open meanwhile. Everything durable is in the
//! journal, the leases and the spools already.
//!
//! The note names the process it is for, by number and start: execve(2) keeps both,
//! and no other process has them. So a note that was left lying is nobody's.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::RawFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use crate::core;
use crate::files::keep_open;
use crate::paths::Paths;
use crate::residue;
use crate::witness;

/// Which notes this version understands.
pub const FORMAT: u32 = 1;

/// The note.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    format: u32,
    pid: u32,
    started: u64,
    /// The descriptor that holds the right to change the host.
    lock: RawFd,
    /// How often the agent was asked for a reload.
    pub reloads: u64,
    pub core: core::Carried,
    pub witness: Option<witness::Carried>,
}

/// Leaves the note, and the lock open. Whoever calls this has to be replaced or to end.
///
/// # Errors
/// When the note cannot be written.
pub fn leave(
    paths: &Paths,
    lock: Flock<File>,
    reloads: u64,
    core: core::Carried,
    witness: Option<witness::Carried>,
) -> std::io::Result<()> {
    let pid = std::process::id();
    let started = residue::start_of(paths, pid).unwrap_or_default();
    let lock = keep_open(lock)?;
    let note = Note { format: FORMAT, pid, started, lock, reloads, core, witness };
    let path = paths.handover();
    let _ = std::fs::remove_file(&path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&serde_json::to_vec(&note)?)
}

/// Takes the note that is meant for this process, and the lock. Before anything else
/// is opened: the descriptors that it names are nobody else's then.
#[must_use]
pub fn take(paths: &Paths) -> Option<(Note, Flock<File>)> {
    let path = paths.handover();
    let text = std::fs::read(&path).ok()?;
    let _ = std::fs::remove_file(&path);
    let wrong = |why: &str| tracing::error!("what the agent before left cannot be used: {why}");
    let note: Note = match serde_json::from_slice(&text) {
        Ok(note) => note,
        Err(error) => {
            wrong(&error.to_string());
            return None;
        }
    };
    let pid = std::process::id();
    let ours = note.pid == pid && Some(note.started) == residue::start_of(paths, pid);
    if !ours || note.format != FORMAT {
        wrong("it is not for this process, or of another version");
        return None;
    }
    match super::sweep::take_over(paths, note.lock) {
        Ok(lock) => Some((note, lock)),
        Err(error) => {
            wrong(&error.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::sweep;
    use crate::test::Scratch;

    #[test]
    fn the_lock_is_held_from_one_to_the_next_and_the_note_is_read_once() {
        let scratch = Scratch::new();
        let paths = scratch.paths();
        assert!(take(paths).is_none());
        let lock = sweep::lock(paths).unwrap();
        leave(paths, lock, 7, core::Carried::default(), None).unwrap();
        assert!(sweep::is_held(paths), "a sweep could come in between");
        let (note, lock) = take(paths).unwrap();
        assert_eq!((note.reloads, sweep::is_held(paths)), (7, true));
        assert!(take(paths).is_none() && !paths.handover().exists());
        drop(lock);
    }

    #[test]
    fn a_note_that_is_for_another_process_or_damaged_is_not_used() {
        let changes: [fn(&str) -> String; 4] = [
            |text| text.replace("\"started\":", "\"started\":1"),
            |text| text.replace("\"format\":1", "\"format\":2"),
            |text| text.replace("\"lock\":", "\"lock\":9"),
            |_| "{".to_owned(),
        ];
        for change in changes {
            let scratch = Scratch::new();
            let paths = scratch.paths();
            leave(paths, sweep::lock(paths).unwrap(), 0, core::Carried::default(), None).unwrap();
            let text = std::fs::read_to_string(paths.handover()).unwrap();
            assert_ne!(change(&text), text);
            std::fs::write(paths.handover(), change(&text)).unwrap();
            assert!(take(paths).is_none() && !paths.handover().exists());
        }
    }
}
