//! Takes pictures: the account files line by line, then files whose content counts,
//! then sockets. [`super::walk`] adds setuid files.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_common::residue::FindingKind;

use super::super::own;
use super::files::{Camera, digest, nanoseconds, read};
use super::mounts::Mounts;
use super::snapshot::{Item, Mark, Snapshot};
use super::{sockets, walk};
use crate::paths::Paths;

/// Files and directories whose content counts, and how deep they are read.
const PLACES: [(FindingKind, &str, u8); 38] = [
    (FindingKind::Cron, "/etc/crontab", 0),
    (FindingKind::Cron, "/etc/anacrontab", 0),
    (FindingKind::Cron, "/etc/cron.d", 1),
    (FindingKind::Cron, "/etc/cron.hourly", 1),
    (FindingKind::Cron, "/etc/cron.daily", 1),
    (FindingKind::Cron, "/etc/cron.weekly", 1),
    (FindingKind::Cron, "/etc/cron.monthly", 1),
    (FindingKind::Cron, "/etc/cron.yearly", 1),
    (FindingKind::Cron, "/var/spool/cron", 0),
    (FindingKind::Cron, "/var/spool/cron/crontabs", 1),
    (FindingKind::At, "/var/spool/cron/atjobs", 1),
    (FindingKind::At, "/var/spool/at", 0),
    (FindingKind::Unit, "/etc/systemd", 4),
    (FindingKind::Unit, "/run/systemd/system", 2),
    (FindingKind::Unit, "/run/systemd/transient", 2),
    (FindingKind::Unit, "/usr/local/lib/systemd", 3),
    (FindingKind::Unit, "/usr/lib/systemd/system", 2),
    (FindingKind::Unit, "/usr/lib/systemd/user", 2),
    (FindingKind::Unit, "/var/lib/systemd/linger", 0),
    (FindingKind::Unit, "/etc/init.d", 1),
    (FindingKind::Unit, "/etc/rc.local", 0),
    (FindingKind::Unit, "/etc/xdg/autostart", 1),
    (FindingKind::Sudoers, "/etc/sudoers", 0),
    (FindingKind::Sudoers, "/etc/sudoers.d", 2),
    (FindingKind::Sudoers, "/etc/doas.conf", 0),
    (FindingKind::Sudoers, "/etc/polkit-1", 3),
    (FindingKind::Preload, "/etc/ld.so.preload", 0),
    (FindingKind::Preload, "/etc/ld.so.conf", 0),
    (FindingKind::Preload, "/etc/ld.so.conf.d", 1),
    (FindingKind::Profile, "/etc/profile", 0),
    (FindingKind::Profile, "/etc/profile.d", 1),
    (FindingKind::Profile, "/etc/bash.bashrc", 0),
    (FindingKind::Profile, "/etc/zsh", 1),
    (FindingKind::Profile, "/etc/environment", 0),
    (FindingKind::Pam, "/etc/pam.d", 1),
    (FindingKind::Pam, "/etc/pam.conf", 0),
    (FindingKind::Pam, "/etc/security", 2),
    (FindingKind::Ssh, "/etc/ssh", 2),
];

/// The same below each home.
const HOMES: [(FindingKind, &str, u8); 4] = [
    (FindingKind::Key, ".ssh/authorized_keys", 0),
    (FindingKind::Key, ".ssh/authorized_keys2", 0),
    (FindingKind::Unit, ".config/systemd/user", 3),
    (FindingKind::Unit, ".local/share/systemd/user", 3),
];

/// Homes looked into at most.
const MOST_HOMES: usize = 1000;

/// Where the host is seen.
#[derive(Debug, Clone)]
pub struct View {
    root: PathBuf,
    proc: PathBuf,
    hurry: Hurry,
}

/// Somebody waits for the keeper: it leaves the picture that it is taking.
#[derive(Debug, Clone, Default)]
pub struct Hurry(Arc<AtomicBool>);

impl Hurry {
    pub fn set(&self, hurry: bool) {
        self.0.store(hurry, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// logind's own: a login is a unit, too, and so is all of a user's. Anybody's unit may begin
/// with the same word.
fn is_logins(name: &str) -> bool {
    let name = name.strip_suffix(".d").unwrap_or(name);
    let between =
        |before: &str, after: &str| name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_uid = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    between("session-", ".scope").is_some_and(is_id)
        || between("user-", ".slice").is_some_and(is_uid)
        || between("user@", ".service").is_some_and(is_uid)
        || between("user-runtime-dir@", ".service").is_some_and(is_uid)
}

impl View {
    /// The root of process 1, which no sandbox of the agent's own hides; what the
    /// agent sees itself where that may not be read.
    #[must_use]
    pub fn of(paths: &Paths) -> Self {
        let proc = paths.proc.clone();
        let first = proc.join("1/root");
        let root = match paths.etc.parent() {
            Some(root) if !paths.is_host() => root.to_owned(),
            _ if first.join("etc/passwd").exists() => first,
            _ => PathBuf::from("/"),
        };
        Self { root, proc, hurry: Hurry::default() }
    }

    /// Where processes are seen.
    #[must_use]
    pub fn proc(&self) -> &Path {
        &self.proc
    }

    /// By which a picture is cut short.
    #[must_use]
    pub fn hurry(&self) -> &Hurry {
        &self.hurry
    }

    fn mounts(&self) -> Mounts {
        let own = self.proc.join("1/mountinfo");
        let text = std::fs::read_to_string(own)
            .or_else(|_| std::fs::read_to_string(self.proc.join("self/mountinfo")));
        Mounts::parse(&text.unwrap_or_default())
    }

    /// Everything. What `before` knows already is not read again. `None` when somebody was
    /// in a hurry meanwhile.
    #[must_use]
    pub fn take(&self, before: &Snapshot) -> Option<Snapshot> {
        let mut camera = Camera { root: &self.root, before, now: self.take_quick() };
        let mounts = self.mounts();
        for (kind, path, depth) in PLACES {
            let transient = path.starts_with("/run/systemd/");
            camera.tree(kind, path, depth, &|name| transient && (is_logins(name) || own::is(name)));
        }
        for home in self.homes() {
            if self.hurry.is_set() {
                return None;
            }
            if mounts.is_remote(&home) {
                camera.now.unseen.insert(format!("{home}: on a network file system"));
                continue;
            }
            for (kind, path, depth) in HOMES {
                camera.tree(kind, &format!("{home}/{path}"), depth, &|_| false);
            }
        }
        walk::setuid(&mut camera, &mounts, &self.hurry);
        (!self.hurry.is_set()).then_some(camera.now)
    }

    /// What is read in a moment: accounts, groups, sockets.
    #[must_use]
    pub fn take_quick(&self) -> Snapshot {
        let none = Snapshot::default();
        let mut camera = Camera { root: &self.root, before: &none, now: Snapshot::default() };
        accounts(&mut camera);
        sockets::gather(&self.proc, &mut camera.now);
        camera.now
    }

    /// Homes of accounts that can log in.
    fn homes(&self) -> BTreeSet<String> {
        let text = std::fs::read_to_string(self.root.join("etc/passwd")).unwrap_or_default();
        let homes = text.lines().filter_map(|line| {
            let mut fields = line.split(':').skip(5);
            let (home, shell) = (fields.next()?, fields.next().unwrap_or_default());
            let closed = ["nologin", "false", "sync"].iter().any(|name| shell.ends_with(name));
            let plain = home.len() > 1 && home.starts_with('/') && !home.split('/').any(|part| part == "..");
            (plain && !closed).then(|| home.trim_end_matches('/').to_owned())
        });
        homes.take(MOST_HOMES).collect()
    }
}

/// The account files, a thing for each line. Passwords are compared, never told.
fn accounts(camera: &mut Camera<'_>) {
    for (file, of) in
        [("passwd", ""), ("shadow", "'s password"), ("group", ""), ("gshadow", "'s group password")]
    {
        let path = format!("/etc/{file}");
        let Some(read) = read(&camera.at(&path)) else { continue };
        let changed = Some(nanoseconds(read.metadata.ctime(), read.metadata.ctime_nsec()));
        let place: Arc<str> = camera.place(&path);
        for line in String::from_utf8_lossy(&read.bytes).lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let Some((name, rest)) = fields.split_first().filter(|(name, _)| !name.is_empty()) else {
                continue;
            };
            let (kind, mark, detail) = match file {
                "group" | "gshadow" => {
                    let (members, rest) = rest.split_last().map_or(("", rest), |(last, rest)| (*last, rest));
                    let members =
                        members.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
                    let rest = digest(&rest.iter().map(|field| field.as_bytes()).collect::<Vec<_>>());
                    (FindingKind::Group, Mark::Group { members, rest }, format!("/etc/{file}"))
                }
                _ => {
                    let shown = match (file, rest) {
                        ("passwd", [_, uid, _, _, home, shell]) => {
                            format!("uid {uid}, home {home}, shell {shell}")
                        }
                        _ => format!("/etc/{file}"),
                    };
                    (FindingKind::Account, Mark::Digest(digest(&[line.as_bytes()])), shown)
                }
            };
            let item = Item { mark, changed, place: Arc::clone(&place), detail, stat: None };
            camera.add(kind, format!("{name}{of}"), item);
        }
    }
}
