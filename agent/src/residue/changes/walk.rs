//! Files with a setuid or setgid bit. Each file's mode has to be asked for, because
//! chmod(2) leaves no trace in its directory; so the walk is bounded in time and files
//! and begins where people can write. What it did not come to is told.

use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use tidegate_common::residue::FindingKind;

use super::files::{Camera, digest, stat};
use super::gather::Hurry;
use super::mounts::{Mount, Mounts};
use super::snapshot::{Item, Mark};

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

/// Adds them to a picture, until somebody is in a hurry.
pub fn setuid(camera: &mut Camera<'_>, mounts: &Mounts, hurry: &Hurry) {
    let by = Instant::now() + MOST_TIME;
    let mut files = 0;
    let mut cut = Vec::new();
    for remote in mounts.remote() {
        camera.now.unseen.insert(format!("{remote}: on a network file system"));
    }
    let tops: Vec<&str> = FIRST.into_iter().chain(["/"]).collect();
    for (left, top) in (1u32..=11).rev().zip(tops) {
        // No place, however large, takes the time of all that come after it.
        let now = Instant::now();
        let until = now + by.saturating_duration_since(now) / left.div_ceil(2);
        let mut waiting = VecDeque::from([top.to_owned()]);
        if matches!(mounts.at(top), Some(Mount::Remote | Mount::Pseudo | Mount::NoSetuid)) {
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
            files += one(camera, mounts, &directory, &mut waiting);
        }
    }
    if !cut.is_empty() {
        let places = cut.join(", ");
        camera.now.unseen.insert(format!(
            "setuid files in parts of {places}: the walk ended after {} s or {MOST_FILES} files",
            MOST_TIME.as_secs()
        ));
    }
}

/// One directory: its files are looked at, its directories wait.
fn one(camera: &mut Camera<'_>, mounts: &Mounts, directory: &str, waiting: &mut VecDeque<String>) -> usize {
    let Ok(entries) = std::fs::read_dir(camera.at(directory)) else { return 1 };
    let mut files = 1;
    for entry in entries.flatten().take(MOST_FILES) {
        files += 1;
        let Ok(kind) = entry.file_type() else { continue };
        let inner = || format!("{}/{}", directory.trim_end_matches('/'), entry.file_name().to_string_lossy());
        if kind.is_dir() {
            let inner = inner();
            let elsewhere = SKIPPED.contains(&inner.as_str()) || FIRST.contains(&inner.as_str());
            let mounted = matches!(mounts.at(&inner), Some(Mount::Remote | Mount::Pseudo | Mount::NoSetuid));
            if !elsewhere && !mounted {
                waiting.push_back(inner);
            }
        } else if kind.is_file()
            && let Ok(metadata) = entry.metadata()
            && metadata.mode() & 0o6000 != 0
        {
            let seen = stat(&metadata);
            let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
            let mark = format!("{mode} {uid} {gid} {seen:?}");
            let place = camera.place(directory);
            let detail = format!("mode {mode:o}, owner {uid}, group {gid}");
            let mark = Mark::Digest(digest(&[mark.as_bytes()]));
            let item = Item { mark, changed: Some(seen.changed), place, detail, stat: None };
            camera.add(FindingKind::Setuid, inner(), item);
        }
    }
    files
}
