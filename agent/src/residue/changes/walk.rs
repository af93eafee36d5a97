//! Files with a setuid or setgid bit, or capabilities (capabilities(7)). Each file's mode has
//! to be asked for, because chmod(2) leaves no trace in its directory; so the walk is bounded
//! in time and files and begins where people can write. What it did not come to is told.

use std::collections::VecDeque;
use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tidegate_common::residue::FindingKind;

use super::files::{Camera, digest, path_shown, stat};
use super::gather::Hurry;
use super::mounts::Mount;
use super::snapshot::{Item, Mark};
use crate::sys;

/// How long one walk may take, and how many files it may ask for.
const MOST_TIME: Duration = Duration::from_secs(2);
const MOST_FILES: usize = 500_000;

/// Directories that may wait for their turn.
const MOST_WAITING: usize = 100_000;

/// Walked in this order; then the rest of the root.
const FIRST: [&str; 10] =
    ["/tmp", "/var/tmp", "/dev/shm", "/run", "/root", "/home", "/opt", "/srv", "/usr/local", "/usr"];

/// Containers' insides, and what holds no files.
const SKIPPED: [&str; 7] =
    ["/proc", "/sys", "/dev", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/lost+found"];

/// By their numbers (capabilities(7)).
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// Adds them to a picture, until somebody is in a hurry.
pub fn privileged(camera: &mut Camera<'_>, hurry: &Hurry) {
    let by = Instant::now() + MOST_TIME;
    let mut files = 0;
    let mut cut = Vec::new();
    let remote: Vec<String> = camera.mounts.remote().map(path_shown).collect();
    remote.into_iter().for_each(|remote| camera.miss(format!("{remote}: on a network file system")));
    let tops: Vec<&str> = FIRST.into_iter().chain(["/"]).collect();
    for (left, top) in (1u32..=11).rev().zip(tops) {
        // No place, however large, takes the time of all that come after it.
        let now = Instant::now();
        let until = now + by.saturating_duration_since(now) / left.div_ceil(2);
        let mut waiting = VecDeque::from([PathBuf::from(top)]);
        if matches!(camera.mounts.at(Path::new(top)), Some(Mount::Remote | Mount::Pseudo | Mount::NoSetuid)) {
            continue;
        }
        while let Some(directory) = waiting.pop_front() {
            if hurry.is_set() {
                return;
            }
            if files >= MOST_FILES || Instant::now() >= until || waiting.len() > MOST_WAITING {
                cut.push(top);
                break;
            }
            files += one(camera, &directory, &mut waiting);
        }
    }
    if !cut.is_empty() {
        let places = cut.join(", ");
        camera.miss(format!(
            "setuid files and those with capabilities in parts of {places}: the walk ended after {} s or {MOST_FILES} files",
            MOST_TIME.as_secs()
        ));
    }
}

/// One directory: its files are looked at, its directories wait.
fn one(camera: &mut Camera<'_>, directory: &Path, waiting: &mut VecDeque<PathBuf>) -> usize {
    let Ok(entries) = std::fs::read_dir(camera.at(directory)) else { return 1 };
    let mut files = 1;
    for entry in entries.flatten().take(MOST_FILES) {
        files += 1;
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            let inner = directory.join(entry.file_name());
            let elsewhere = SKIPPED.iter().chain(&FIRST).any(|place| inner == Path::new(place));
            let mounted =
                matches!(camera.mounts.at(&inner), Some(Mount::Remote | Mount::Pseudo | Mount::NoSetuid));
            if !elsewhere && !mounted {
                waiting.push_back(inner);
            }
        } else if kind.is_file()
            && let Ok(metadata) = entry.metadata()
        {
            file(camera, directory, &entry, &metadata);
        }
    }
    files
}

fn file(camera: &mut Camera<'_>, directory: &Path, entry: &DirEntry, metadata: &Metadata) {
    let mode = metadata.mode() & 0o7777;
    // Capabilities count for what can be executed.
    let capabilities = if mode & 0o111 == 0 { None } else { sys::capabilities(&entry.path()) };
    if mode & 0o6000 == 0 && capabilities.is_none() {
        return;
    }
    let seen = stat(metadata);
    let (uid, gid) = (metadata.uid(), metadata.gid());
    let mark = format!("{mode} {uid} {gid} {seen:?} {capabilities:?}");
    let place = camera.place(directory);
    let mut detail = format!("mode {mode:o}, owner {uid}, group {gid}");
    if let Some(capabilities) = capabilities {
        detail.push_str(&format!(", capabilities {}", named(capabilities)));
    }
    let mark = Mark::Digest(digest(&[mark.as_bytes()]));
    let item = Item { mark, changed: Some(seen.changed), place, detail, stat: None };
    camera.add(FindingKind::Setuid, path_shown(&directory.join(entry.file_name())), item);
}

/// Their names, as getcap(8) has them, or the number of one that is newer.
fn named(set: u64) -> String {
    let name = |number: u32| {
        let known = usize::try_from(number).ok().and_then(|number| CAPABILITIES.get(number));
        known.map_or_else(|| format!("cap_{number}"), |name| format!("cap_{name}"))
    };
    let names: Vec<String> = (0..64).filter(|number| set & (1u64 << number) != 0).map(name).collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_names() {
        assert_eq!(named(1 << 7 | 1 << 12), "cap_setuid,cap_net_admin");
        assert_eq!(named(1 << 40 | 1 << 63), "cap_checkpoint_restore,cap_63");
    }
}
