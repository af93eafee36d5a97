//! Files that give what their directory does not tell of: those with a setuid or setgid bit or
//! capabilities (capabilities(7)), device nodes, and programs, settings and sockets of root's that
//! others may change. Each file's mode has to be asked for, because chmod(2) leaves no trace in
//! its directory; so the walk is bounded in time and files and begins where people can write.
//! What it did not come to is told.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tidegate_common::residue::FindingKind;

use super::files::{Camera, digest, path_shown, stat};
use super::gather::Hurry;
use super::mounts::Mount;
use super::rights::Rights;
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

/// Containers' insides, what holds no files, and what is a login's own.
const SKIPPED: [&str; 8] = [
    "/run/user",
    "/proc",
    "/sys",
    "/dev",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/lost+found",
];

/// Where programs and settings of the whole host are: what is there is root's.
const SYSTEM: [&str; 7] = ["/usr", "/etc", "/boot", "/bin", "/sbin", "/lib", "/lib64"];

/// Of those that others may change, and so deep into /dev.
const MOST_OPEN: usize = 4096;
const DEEPEST: u8 = 4;

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
    nodes(camera, Path::new("/dev"), DEEPEST);
    let mut walk = Walk { camera: &mut *camera, open: 0 };
    let tops: Vec<&str> = FIRST.into_iter().chain(["/"]).collect();
    for (left, top) in (1u32..=11).rev().zip(tops) {
        // No place, however large, takes the time of all that come after it.
        let now = Instant::now();
        let until = now + by.saturating_duration_since(now) / left.div_ceil(2);
        let mount = walk.camera.mounts.of(Path::new(top)).unwrap_or(Mount::Local);
        // Of /run also the sockets count.
        if is_skipped(mount) && top != "/run" {
            continue;
        }
        let mut waiting = VecDeque::from([(PathBuf::from(top), mount)]);
        while let Some((directory, mount)) = waiting.pop_front() {
            if hurry.is_set() {
                return;
            }
            if files >= MOST_FILES || Instant::now() >= until || waiting.len() > MOST_WAITING {
                cut.push(top);
                break;
            }
            files += walk.one(&directory, mount, &mut waiting);
        }
    }
    let open = walk.open;
    if open >= MOST_OPEN {
        camera.miss(format!("more than {MOST_OPEN} programs and settings that others than root may change"));
    }
    if !cut.is_empty() {
        let places = cut.join(", ");
        camera.miss(format!(
            "setuid files and those with capabilities in parts of {places}: the walk ended after {} s or {MOST_FILES} files",
            MOST_TIME.as_secs()
        ));
    }
}

fn is_skipped(mount: Mount) -> bool {
    matches!(mount, Mount::Remote | Mount::Pseudo | Mount::Inert)
}

/// A walk on its way.
struct Walk<'w, 'c> {
    camera: &'w mut Camera<'c>,
    open: usize,
}

impl Walk<'_, '_> {
    /// One directory: its files are looked at, its directories wait.
    fn one(&mut self, directory: &Path, mount: Mount, waiting: &mut VecDeque<(PathBuf, Mount)>) -> usize {
        let Ok(entries) = std::fs::read_dir(self.camera.at(directory)) else { return 1 };
        let mut files = 1;
        let is_system = SYSTEM.iter().any(|place| directory.starts_with(place));
        for entry in entries.flatten().take(MOST_FILES) {
            files += 1;
            let Ok(kind) = entry.file_type() else { continue };
            let path = directory.join(entry.file_name());
            if kind.is_dir() {
                let elsewhere = SKIPPED.iter().chain(&FIRST).any(|place| path == Path::new(place));
                let inner = self.camera.mounts.at(&path);
                if !elsewhere && !inner.is_some_and(is_skipped) {
                    waiting.push_back((path, inner.unwrap_or(mount)));
                }
                continue;
            }
            if kind.is_symlink() || kind.is_fifo() {
                continue;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() {
                self.file(&path, &metadata, mount, is_system);
            } else if metadata.file_type().is_socket() {
                self.open(&path, &metadata, "socket, ");
            } else if !is_skipped(mount) {
                node(self.camera, &path, &metadata);
            }
        }
        files
    }

    fn file(&mut self, path: &Path, metadata: &Metadata, mount: Mount, is_system: bool) {
        let mode = metadata.mode() & 0o7777;
        let executable = mode & 0o111 != 0;
        if mount == Mount::Local {
            // Capabilities count for what can be executed.
            let at = self.camera.at(path);
            let capabilities = if executable { sys::capabilities(&at) } else { None };
            if mode & 0o6000 != 0 || capabilities.is_some() {
                let rights = Rights::of(&at, metadata, false);
                let mut detail = rights.to_string();
                if let Some(capabilities) = capabilities {
                    detail.push_str(&format!(" {}", named(capabilities)));
                }
                let mark = format!("{rights:?} {:?} {capabilities:?}", stat(metadata));
                return add(self.camera, path, metadata, &mark, detail);
            }
        }
        let counts = || {
            let name = path.file_name().map_or(&b""[..], OsStr::as_bytes);
            let library = name.windows(3).any(|part| part == b".so");
            executable || library || path.starts_with("/etc") || path.starts_with("/boot")
        };
        if is_system && (metadata.uid() != 0 || mode & 0o022 != 0) && counts() {
            self.open(path, metadata, "");
        }
    }

    /// One that is open to others than root.
    fn open(&mut self, path: &Path, metadata: &Metadata, what: &str) {
        let rights = Rights::of(&self.camera.at(path), metadata, false);
        let is_roots = what.is_empty() || metadata.uid() == 0;
        let open = is_roots && rights.open() && self.open < MOST_OPEN;
        if open && !self.camera.has_any(&path_shown(path)) {
            self.open += 1;
            add(self.camera, path, metadata, &format!("{rights:?}"), format!("{what}{rights}"));
        }
    }
}

/// The device nodes in a directory: who may do what with each, and of which device it is.
fn nodes(camera: &mut Camera<'_>, directory: &Path, left: u8) {
    for entry in std::fs::read_dir(camera.at(directory)).into_iter().flatten().flatten().take(MOST_FILES) {
        let path = directory.join(entry.file_name());
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                let known = FIRST.iter().any(|place| path == Path::new(place));
                if left > 0 && !known && !camera.mounts.at(&path).is_some_and(is_skipped) {
                    nodes(camera, &path, left - 1);
                }
            }
            Ok(metadata) => node(camera, &path, &metadata),
            Err(_) => {}
        }
    }
}

fn node(camera: &mut Camera<'_>, path: &Path, metadata: &Metadata) {
    let kind = metadata.file_type();
    let what = if kind.is_block_device() {
        "block"
    } else if kind.is_char_device() {
        "character"
    } else {
        return;
    };
    let rights = Rights::of(&camera.at(path), metadata, false);
    let (major, minor) = (nix::sys::stat::major(metadata.rdev()), nix::sys::stat::minor(metadata.rdev()));
    let detail = format!("{what} device {major}:{minor}, {rights}");
    add(camera, path, metadata, &format!("{detail} {rights:?}"), detail);
}

fn add(camera: &mut Camera<'_>, path: &Path, metadata: &Metadata, mark: &str, detail: String) {
    let place = camera.place(path.parent().unwrap_or(path));
    let mark = Mark::Digest(digest(&[mark.as_bytes()]));
    let item = Item { mark, changed: Some(stat(metadata).changed), place, detail, stat: None };
    camera.add(FindingKind::Setuid, path_shown(path), item);
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
