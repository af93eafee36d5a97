//! Who may do what with a file: owner, group, mode, access control list, capabilities, security
//! label, and whether it can be changed at all. Whatever is compared by its content is compared
//! by these, too; of some files and directories they are all that counts.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_common::residue::FindingKind;

use super::accounts;
use super::files::{Camera, digest, path_shown, stat};
use super::places;
use super::snapshot::{Item, Mark};
use crate::sys;

/// Extended attributes that decide who may do what (xattr(7)).
const DECIDE: [(&CStr, &str); 4] = [
    (c"system.posix_acl_access", "with an access control list"),
    (c"system.posix_acl_default", "with an access control list for what is made in it"),
    (c"security.capability", "with capabilities"),
    (c"security.selinux", ""),
];

/// The bit of the last of them.
const LABEL: u8 = 1 << 3;

/// All of them of one file, or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    mode: u32,
    uid: u32,
    gid: u32,
    immutable: bool,
    grows_only: bool,
    /// Which of the attributes it has, as bits.
    has: u8,
    /// Of their values; zero where it has none.
    values: [u8; 16],
}

impl Rights {
    /// Those of the file at a path, or of what a link there shows.
    #[must_use]
    pub fn of(path: &Path, metadata: &Metadata, follow: bool) -> Self {
        let values = DECIDE.map(|(name, _)| sys::attribute(path, name, follow));
        let has = values.iter().rev().fold(0u8, |has, value| has << 1 | u8::from(value.is_some()));
        let parts = values.each_ref().map(|value| value.as_deref().unwrap_or_default());
        let (immutable, grows_only) = sys::keeps(path, follow);
        Self {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            immutable,
            grows_only,
            has,
            values: if has == 0 { [0; 16] } else { digest(&parts) },
        }
    }

    /// Whether they are those of a file that was copied from one with other rights, for these
    /// owners. Its label is its place's, and nothing else is copied with it.
    #[must_use]
    pub fn are_copied(&self, from: &Self, (uid, gid): (u32, u32)) -> bool {
        let plain = !self.immutable && !self.grows_only && self.has & !LABEL == 0;
        plain && (self.mode, self.uid, self.gid) == (from.mode, uid, gid)
    }

    /// Whether somebody else than root may change what it is of.
    #[must_use]
    pub fn open(&self) -> bool {
        // The group's bits are the mask of a list.
        self.uid != 0
            || self.mode & 0o002 != 0
            || self.mode & 0o020 != 0 && (self.gid != 0 || self.has & 1 != 0)
    }
}

/// `mode 666, owner 0, group 42, immutable`
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mode {:o}, owner {}, group {}", self.mode, self.uid, self.gid)?;
        if self.immutable {
            f.write_str(", immutable")?;
        }
        if self.grows_only {
            f.write_str(", may only grow")?;
        }
        let said = DECIDE.iter().enumerate().filter(|(place, _)| self.has >> place & 1 != 0);
        said.filter(|(_, (_, said))| !said.is_empty()).try_for_each(|(_, (_, said))| write!(f, ", {said}"))
    }
}

/// Adds those of the account files with their backups, of homes, and of the directories that
/// decide over a host. They are read in a moment.
pub fn gather(camera: &mut Camera<'_>, homes: &BTreeMap<PathBuf, bool>, own: &[PathBuf]) {
    let etc = Path::new("/etc");
    for file in accounts::FILES {
        let kind = if file.starts_with('g') { FindingKind::Group } else { FindingKind::Account };
        let (path, backup) = (etc.join(file), etc.join(format!("{file}-")));
        // The agent keeps the administrator's out of its tools' way for a moment.
        let aside = etc.join(format!(".{file}-.tidegate"));
        add(camera, kind, &path, &[&path]);
        add(camera, kind, &backup, &[&backup, &aside]);
    }
    for home in homes.keys() {
        // Some accounts of the system's are at home where others look anyway.
        let is_own = !places::DIRECTORIES.iter().any(|directory| home == Path::new(directory));
        for path in is_own.then(|| home.clone()).into_iter().chain([home.join(".ssh")]) {
            real(camera, FindingKind::Account, &path);
        }
    }
    for path in places::DIRECTORIES.iter().map(Path::new).chain(own.iter().map(PathBuf::as_path)) {
        real(camera, FindingKind::Setuid, path);
    }
}

fn real(camera: &mut Camera<'_>, kind: FindingKind, path: &Path) {
    if let Some(at) = camera.real(path) {
        add(camera, kind, path, &[&at]);
    }
}

/// Adds the rights of the first that is there.
fn add(camera: &mut Camera<'_>, kind: FindingKind, path: &Path, at: &[&PathBuf]) {
    let found = at.iter().find_map(|at| {
        let at = camera.at(at);
        at.metadata().ok().map(|metadata| Rights::of(&at, &metadata, true))
    });
    if let Some(rights) = found {
        let place = camera.place(path.parent().unwrap_or(path));
        let mark = Mark::Rights(rights);
        let item = Item { mark, changed: None, place, detail: String::new(), stat: None };
        camera.add(kind, path_shown(path), item);
    }
}

/// Adds those of a directory whose files are looked at.
pub fn directory(camera: &mut Camera<'_>, kind: FindingKind, path: &Path, metadata: &Metadata) {
    let mark = Mark::Rights(Rights::of(&camera.at(path), metadata, false));
    let place = camera.place(path);
    let changed = Some(stat(metadata).changed);
    camera.add(kind, path_shown(path), Item { mark, changed, place, detail: String::new(), stat: None });
}
