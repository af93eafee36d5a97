//! Takes pictures: the account files line by line, then files whose content counts,
//! then sockets. [`super::walk`] adds files with privileges of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_common::residue::FindingKind;

use super::files::{Camera, MOST_ITEMS, digest};
use super::mounts::Mounts;
use super::snapshot::{Item, MODULE, Mark, PROC, Snapshot};
use super::{accounts, places, rights, skeleton, sockets, walk};
use crate::core::{Delta, Ledger, Record, Unit};
use crate::paths::Paths;
use crate::process::is_own;
use crate::text::{self, lines, shown};

/// Homes looked into at most.
const MOST_HOMES: usize = 1000;

/// What of an account file was there without the agent's grants, by its name and content.
pub type Without = fn(&[(Unit, Delta)], &str, Vec<u8>) -> Vec<u8>;

/// Where the host is seen.
#[derive(Debug, Clone)]
pub struct View {
    root: PathBuf,
    proc: PathBuf,
    hurry: Hurry,
    /// What is the agent's own, by which a session could come back.
    own: Vec<(FindingKind, PathBuf, u8)>,
    /// Directories of the agent's own that nobody else may write, or look, into.
    private: Vec<PathBuf>,
    /// Where the drop-ins of live grants are.
    sudoers: PathBuf,
    grants: Grants,
    without: Without,
}

/// What the agent has granted and not taken back yet, to the knowledge of whoever is told of
/// each record of the journal before it is carried out.
#[derive(Debug, Clone, Default)]
pub struct Grants(Arc<Mutex<Ledger>>);

impl Grants {
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(ledger)))
    }

    pub fn take(&self, record: &Record) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(record.clone());
    }

    pub fn set(&self, ledger: Ledger) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ledger;
    }

    /// Homes of accounts that it made, with their owners.
    fn created(&self) -> BTreeMap<PathBuf, (u32, u32)> {
        let made = |(_, delta)| match delta {
            Delta::Created { uid, gid, home, .. } => Some((PathBuf::from(home), (uid, gid))),
            _ => None,
        };
        self.now().into_iter().filter_map(made).collect()
    }

    /// Whether a unit is among it.
    pub fn has(&self, unit: &Unit) -> bool {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.held.iter().any(|held| held.unit == *unit)
    }

    fn now(&self) -> Vec<(Unit, Delta)> {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.held.iter().map(|held| (held.unit.clone(), held.delta.clone())).collect()
    }
}

/// Somebody waits for the comparer: it leaves the picture that it is taking.
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
    pub fn of(paths: &Paths, grants: Grants, without: Without) -> Self {
        let proc = paths.proc.clone();
        let first = proc.join("1/root");
        let root = match paths.etc.parent() {
            Some(root) if !paths.is_host() => root.to_owned(),
            _ if first.join("etc/passwd").exists() => first,
            _ => PathBuf::from("/"),
        };
        // As the host has it, wherever its root is seen.
        let host = |path: PathBuf| Path::new("/").join(path.strip_prefix(&root).unwrap_or(&path));
        let own = vec![
            (FindingKind::Ssh, host(paths.user_ca()), 0),
            (FindingKind::Unit, host(paths.custom()), 2),
            (FindingKind::Unit, host(paths.etc.join("tidegate")), 1),
            (FindingKind::Unit, host(paths.previous()), 0),
        ];
        let sudoers = host(paths.sudoers_d());
        let private = vec![host(paths.state.clone()), host(paths.run.clone()), sudoers.clone()];
        Self { root, proc, hurry: Hurry::default(), own, private, sudoers, grants, without }
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
        let text = std::fs::read(own).or_else(|_| std::fs::read(self.proc.join("self/mountinfo")));
        Mounts::parse(&text.unwrap_or_default())
    }

    /// Everything. What `before` knows already is not read again. `None` when somebody was
    /// in a hurry meanwhile.
    #[must_use]
    pub fn take(&self, before: &Snapshot) -> Option<Snapshot> {
        let mut camera = self.camera(before);
        let homes = self.quick(&mut camera);
        for (kind, path, depth) in places::HOST {
            let transient = path.starts_with("/run/systemd/");
            camera.look(kind, Path::new(path), depth, &|name| {
                transient && name.to_str().is_some_and(|name| is_logins(name) || is_own(name))
            });
        }
        for (kind, path, depth) in &self.own {
            camera.look(*kind, path, *depth, &|_| false);
        }
        self.drop_ins(&mut camera);
        let mut created = self.grants.created();
        for (home, logs_in) in homes {
            if self.hurry.is_set() {
                return None;
            }
            let programs = places::PROGRAMS.iter().filter(|_| logs_in);
            for (kind, path, depth) in places::HOMES.iter().chain(programs) {
                camera.look(*kind, &home.join(path), *depth, &|_| false);
            }
        }
        created.extend(self.grants.created());
        for (home, owner) in created {
            skeleton::leave_out(&mut camera, &home, owner);
        }
        walk::privileged(&mut camera, &self.hurry);
        (!self.hurry.is_set()).then_some(camera.now)
    }

    /// What is read in a moment: accounts, groups, rights, what the kernel was told, sockets.
    #[must_use]
    pub fn take_quick(&self) -> Snapshot {
        let none = Snapshot::default();
        let mut camera = self.camera(&none);
        self.quick(&mut camera);
        camera.now
    }

    fn camera<'a>(&'a self, before: &'a Snapshot) -> Camera<'a> {
        Camera { root: &self.root, mounts: self.mounts(), before, now: Snapshot::default() }
    }

    /// Adds what is read in a moment; tells the homes that there are.
    fn quick(&self, camera: &mut Camera<'_>) -> BTreeMap<PathBuf, bool> {
        // Told of before it is made and after it is undone: whatever of a grant is in the
        // files stands either before or after they were read.
        let mut granted = self.grants.now();
        let files = accounts::FILES.map(|file| (file, accounts::read(camera, file)));
        for more in self.grants.now() {
            if !granted.contains(&more) {
                granted.push(more);
            }
        }
        for (file, read) in files {
            if let Some((content, changed)) = read {
                accounts::add(camera, file, changed, &(self.without)(&granted, file, content));
            }
        }
        self.kernel(camera);
        sockets::gather(&self.proc, &mut camera.now);
        let homes = self.homes(camera);
        rights::gather(camera, &homes, &self.private);
        homes
    }

    /// Rules beside those of live grants.
    fn drop_ins(&self, camera: &mut Camera<'_>) {
        let granted = self.grants.now();
        let is_granted = |name: &OsStr| {
            let path = camera.at(&self.sudoers).join(name);
            granted.iter().any(|(_, delta)| match delta {
                Delta::Sudo { file, blake3 } => {
                    let content = || text::read(&path).unwrap_or_default();
                    name == file.as_str() && blake3::hash(&content()).to_hex().as_str() == blake3
                }
                _ => false,
            })
        };
        let entries = std::fs::read_dir(camera.at(&self.sudoers)).into_iter().flatten().flatten();
        let names: BTreeSet<OsString> = entries.take(MOST_ITEMS).map(|entry| entry.file_name()).collect();
        // What is about to be checked has a dot, which hides it from sudo.
        let counts = |name: &&OsString| !name.as_bytes().starts_with(b".") && !is_granted(name);
        let foreign: Vec<&OsString> = names.iter().filter(counts).collect();
        for name in foreign {
            camera.look(FindingKind::Sudoers, &self.sudoers.join(name), 0, &|_| false);
        }
    }

    /// Programs that the kernel runs as root, and modules that are not of its own tree.
    fn kernel(&self, camera: &mut Camera<'_>) {
        let place: Arc<str> = "/proc".into();
        let mut add = |kind, what: String, content: &[u8], detail| {
            let mark = Mark::Digest(digest(&[content]));
            camera.add(
                kind,
                what,
                Item { mark, changed: None, place: Arc::clone(&place), detail, stat: None },
            );
        };
        for path in places::KERNEL {
            if let Ok(content) = std::fs::read(self.proc.join(path)) {
                add(FindingKind::Unit, format!("{PROC}{path}"), &content, shown(content.trim_ascii()));
            }
        }
        let modules = std::fs::read(self.proc.join("modules")).unwrap_or_default();
        for line in lines(&modules) {
            let mut words = line.split(|byte| *byte == b' ');
            // Out of tree, unsigned, forced (kernel's documentation on tainted kernels).
            let taints = words.clone().next_back().filter(|taints| taints.starts_with(b"("));
            if let Some((name, taints)) = words.next().zip(taints) {
                add(FindingKind::Preload, format!("{MODULE}{}", shown(name)), taints, shown(taints));
            }
        }
    }

    /// The home of every account, and whether that can log in: keys and links let also
    /// those in that cannot.
    fn homes(&self, camera: &mut Camera<'_>) -> BTreeMap<PathBuf, bool> {
        let mut homes = BTreeMap::new();
        // That it cannot be read is told with the accounts.
        let passwd = text::read(&self.root.join("etc/passwd")).unwrap_or_default();
        for line in lines(&passwd) {
            let mut fields = line.split(|byte| *byte == b':').skip(5);
            let (home, shell) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            let closed = [&b"nologin"[..], b"false", b"sync"].iter().any(|name| shell.ends_with(name));
            let home = Path::new(OsStr::from_bytes(home));
            let plain = home.is_absolute() && home.parent().is_some();
            if plain && !home.components().any(|part| part == Component::ParentDir) {
                *homes.entry(home.to_owned()).or_insert(false) |= !closed;
            }
        }
        if homes.len() > MOST_HOMES {
            camera.miss(format!("homes of more than {MOST_HOMES} accounts; some were left out"));
        }
        homes.into_iter().take(MOST_HOMES).collect()
    }
}
