//! Small files whose content counts: read once, and again only when they were touched.
//! Names are bytes; what a finding calls them is [`shown`].

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use tidegate_common::residue::FindingKind;

use super::mounts::{Mount, Mounts};
use super::rights::{self, Rights};
use super::snapshot::{Item, Key, Mark, Snapshot, Stat};
use crate::text::{lines, shown};

/// The largest file whose content is read; of a larger one its size and times count.
const MOST_BYTES: u64 = 256 * 1024;

/// Things in one picture at most; sets of setuid files and units are far smaller.
pub const MOST_ITEMS: usize = 40_000;

/// Links on the way to one file.
const MOST_LINKS: u8 = 16;

/// Sentences on what was not looked at.
const MOST_UNSEEN: usize = 32;

/// A picture being taken.
#[derive(Debug)]
pub struct Camera<'a> {
    /// Where the host's own root is seen.
    pub root: &'a Path,
    pub mounts: Mounts,
    /// The picture before this one.
    pub before: &'a Snapshot,
    pub now: Snapshot,
}

/// A regular file that could be opened. Of a large one the content is not read.
#[derive(Debug)]
pub struct Content {
    pub bytes: Vec<u8>,
    pub metadata: Metadata,
    pub rights: Rights,
}

impl Content {
    /// What of it is compared.
    fn digest(&self) -> [u8; 16] {
        match self.metadata.len() <= MOST_BYTES {
            true => digest(&[&self.bytes]),
            false => digest(&[format!("{:?}", stat(&self.metadata)).as_bytes()]),
        }
    }
}

pub fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

pub fn stat(metadata: &Metadata) -> Stat {
    Stat {
        inode: metadata.ino(),
        size: metadata.size(),
        modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    }
}

pub fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut digest = [0; 16];
    hasher.finalize_xof().fill(&mut digest);
    digest
}

pub fn path_shown(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}

/// Reads a regular file, never waiting for one that is none.
fn read(path: &Path) -> Option<Content> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    content(OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?)
}

fn content(file: File) -> Option<Content> {
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    // Of this very file, whatever is at its path by now.
    let rights = Rights::of(&PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())), &metadata, true);
    let mut bytes = Vec::new();
    if metadata.len() <= MOST_BYTES {
        file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    }
    Some(Content { bytes, metadata, rights })
}

impl Camera<'_> {
    /// The host's path as this process reaches it.
    pub fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Notes when a place was last changed.
    pub fn place(&mut self, path: &Path) -> Arc<str> {
        let what = path_shown(path);
        if let Some((known, _)) = self.now.places.get_key_value(what.as_str()) {
            return Arc::clone(known);
        }
        let place: Arc<str> = what.into();
        if let Ok(metadata) = self.at(path).symlink_metadata() {
            self.now.places.insert(Arc::clone(&place), stat(&metadata).changed);
        }
        place
    }

    /// Adds a thing, while there is room.
    pub fn add(&mut self, kind: FindingKind, what: String, item: Item) {
        if self.now.items.len() < MOST_ITEMS {
            self.now.items.insert(Key { kind, what }, item);
        } else {
            self.miss(format!("more than {MOST_ITEMS} files and accounts; some were left out"));
        }
    }

    /// Whether it is in the picture already.
    pub fn has(&self, kind: FindingKind, what: &str) -> bool {
        self.now.items.contains_key(&Key { kind, what: what.to_owned() })
    }

    /// Whether its content, or its rights, are in the picture already.
    pub fn has_any(&self, what: &str) -> bool {
        use FindingKind::{Account, At, Cron, Group, Key, Pam, Preload, Profile, Ssh, Sudoers, Unit};
        let kinds = [Account, At, Cron, Group, Key, Pam, Preload, Profile, Ssh, Sudoers, Unit];
        kinds.into_iter().any(|kind| self.has(kind, what))
    }

    /// Something that is not looked at, in a sentence.
    pub fn miss(&mut self, what: String) {
        if self.now.unseen.len() < MOST_UNSEEN {
            self.now.unseen.insert(what);
        }
    }

    /// A file, or everything in a directory, `depth` directories deep.
    pub fn look(&mut self, kind: FindingKind, path: &Path, depth: u8, skip: &dyn Fn(&OsStr) -> bool) {
        let real = path.parent().and_then(|place| self.real(place)).zip(path.file_name());
        if let Some((place, name)) = real {
            self.tree(kind, &place.join(name), depth, skip);
        }
    }

    /// Where a path leads, all links on the way followed; `None` when it leads nowhere, or to
    /// where reading might never end.
    pub fn real(&mut self, path: &Path) -> Option<PathBuf> {
        let mut links = MOST_LINKS;
        let mut real = PathBuf::from("/");
        let mut rest: VecDeque<OsString> = names(path).collect();
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                real.pop();
                continue;
            }
            real.push(name);
            if self.mounts.is_remote(&real) {
                self.miss(format!("{}: on a network file system", path_shown(&real)));
                return None;
            }
            if self.at(&real).symlink_metadata().ok()?.is_symlink() {
                links = links.checked_sub(1)?;
                let to = std::fs::read_link(self.at(&real)).ok()?;
                real.pop();
                if to.is_absolute() {
                    real = PathBuf::from("/");
                }
                names(&to).rev().for_each(|name| rest.push_front(name));
            }
        }
        Some(real)
    }

    fn tree(&mut self, kind: FindingKind, path: &Path, depth: u8, skip: &dyn Fn(&OsStr) -> bool) {
        if self.mounts.is_remote(path) {
            return self.miss(format!("{}: on a network file system", path_shown(path)));
        }
        let Ok(metadata) = self.at(path).symlink_metadata() else { return };
        if !metadata.is_dir() {
            return self.file(kind, path, &metadata);
        }
        rights::directory(self, kind, path, &metadata);
        let entries = match std::fs::read_dir(self.at(path)) {
            Ok(entries) => entries,
            Err(error) => return self.miss(format!("{}: {error}", path_shown(path))),
        };
        let names: BTreeSet<OsString> =
            entries.flatten().take(MOST_ITEMS).map(|entry| entry.file_name()).collect();
        for name in names.iter().filter(|name| !skip(name)) {
            let inner = path.join(name);
            match self.at(&inner).symlink_metadata() {
                Ok(metadata) if metadata.is_dir() && depth > 0 => self.tree(kind, &inner, depth - 1, skip),
                Ok(metadata) if !metadata.is_dir() => self.file(kind, &inner, &metadata),
                _ => {}
            }
        }
    }

    /// One file or link.
    pub fn file(&mut self, kind: FindingKind, path: &Path, metadata: &Metadata) {
        let linked = if metadata.is_symlink() { self.linked(path) } else { None };
        // What a link shows may change where it does not.
        let stat = linked.as_ref().map_or(stat(metadata), |shows| Stat {
            changed: stat(metadata).changed.max(stat(&shows.metadata).changed),
            ..stat(&shows.metadata)
        });
        let place = self.place(path.parent().unwrap_or(Path::new("/")));
        let what = path_shown(path);
        let known = self.before.items.get(&Key { kind, what: what.clone() });
        if let Some(known) = known.filter(|known| known.stat == Some(stat)) {
            let item = Item { place, ..known.clone() };
            return self.add(kind, what, item);
        }
        let (content, rights, detail) = if metadata.is_symlink() {
            let to = std::fs::read_link(self.at(path)).unwrap_or_default();
            let shown = linked.as_ref().map(Content::digest).unwrap_or_default();
            let content = digest(&[b"link", to.as_os_str().as_bytes(), &shown]);
            (content, linked.map(|shows| shows.rights), format!("a link to {}", path_shown(&to)))
        } else {
            match read(&self.at(path)) {
                Some(read) => (read.digest(), Some(read.rights), describe(kind, &read.bytes)),
                None => (digest(&[format!("{stat:?}").as_bytes()]), None, String::new()),
            }
        };
        let rights = rights.unwrap_or_else(|| Rights::of(&self.at(path), metadata, false));
        let mark = Mark::File { content, rights };
        let item = Item { mark, changed: Some(stat.changed), place, detail, stat: Some(stat) };
        self.add(kind, what, item);
    }

    /// Whether a mark is of a regular file that was copied from the one at `from` for these owners.
    pub fn is_copy(&self, mark: &Mark, from: &Path, owner: (u32, u32)) -> bool {
        let Mark::File { content, rights } = mark else { return false };
        read(&self.at(from)).is_some_and(|from| {
            from.metadata.len() <= MOST_BYTES
                && from.digest() == *content
                && rights.are_copied(&from.rights, owner)
        })
    }

    /// The regular file that a link shows.
    fn linked(&mut self, path: &Path) -> Option<Content> {
        let real = self.real(path)?;
        if self.mounts.of(&real) == Some(Mount::Pseudo) {
            return None;
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        // Nor what somebody puts in the way by now.
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
        let root = File::open(self.root).ok()?;
        content(openat2(root, real.strip_prefix("/").ok()?, how).ok()?.into())
    }
}

/// The names of a path, `..` among them.
fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// What people want to know of a file beside its name. Never its content.
fn describe(kind: FindingKind, bytes: &[u8]) -> String {
    if kind != FindingKind::Key {
        return String::new();
    }
    let keys = lines(bytes).map(<[u8]>::trim_ascii);
    let keys = keys.filter(|line| !line.is_empty() && !line.starts_with(b"#")).count();
    if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") }
}
