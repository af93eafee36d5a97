//! Small files whose content counts: read once, and again only when they were touched.

use std::collections::BTreeSet;
use std::fs::{Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use tidegate_common::residue::FindingKind;

use super::snapshot::{Item, Key, Mark, Snapshot, Stat};

/// The largest file whose content is read; of a larger one its size and times count.
const MOST_BYTES: u64 = 256 * 1024;

/// Things in one picture at most; sets of setuid files and units are far smaller.
pub const MOST_ITEMS: usize = 20_000;

/// A picture being taken.
#[derive(Debug)]
pub struct Camera<'a> {
    /// Where the host's own root is seen.
    pub root: &'a Path,
    /// The picture before this one.
    pub before: &'a Snapshot,
    pub now: Snapshot,
}

/// A file as a picture keeps it: its content, mode and owner in one digest.
#[derive(Debug)]
pub struct Content {
    pub bytes: Vec<u8>,
    pub metadata: Metadata,
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

/// Reads a regular file, never waiting for one that is none.
pub fn read(path: &Path) -> Option<Content> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?;
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    let mut bytes = Vec::new();
    if metadata.len() <= MOST_BYTES {
        file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    }
    Some(Content { bytes, metadata })
}

impl Camera<'_> {
    /// The host's path as this process reaches it.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Notes when a place was last changed.
    pub fn place(&mut self, path: &str) -> Arc<str> {
        if let Some((known, _)) = self.now.places.get_key_value(path) {
            return Arc::clone(known);
        }
        let place: Arc<str> = path.into();
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
            self.now.unseen.insert(format!("more than {MOST_ITEMS} files and accounts; some were left out"));
        }
    }

    /// A file, or everything in a directory, `depth` directories deep.
    pub fn tree(&mut self, kind: FindingKind, path: &str, depth: u8, skip: &dyn Fn(&str) -> bool) {
        let Ok(metadata) = self.at(path).symlink_metadata() else { return };
        if !metadata.is_dir() {
            return self.file(kind, path, &metadata);
        }
        self.place(path);
        let Ok(entries) = std::fs::read_dir(self.at(path)) else { return };
        let names: BTreeSet<String> = entries
            .flatten()
            .take(MOST_ITEMS)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        for name in names.iter().filter(|name| !skip(name)) {
            let inner = format!("{}/{name}", path.trim_end_matches('/'));
            match self.at(&inner).symlink_metadata() {
                Ok(metadata) if metadata.is_dir() && depth > 0 => self.tree(kind, &inner, depth - 1, skip),
                Ok(metadata) if !metadata.is_dir() => self.file(kind, &inner, &metadata),
                _ => {}
            }
        }
    }

    /// One file or link.
    pub fn file(&mut self, kind: FindingKind, path: &str, metadata: &Metadata) {
        let stat = stat(metadata);
        let place = self.place(
            path.rsplit_once('/').map_or("/", |(place, _)| if place.is_empty() { "/" } else { place }),
        );
        let known = self.before.items.get(&Key { kind, what: path.to_owned() });
        if let Some(known) = known.filter(|known| known.stat == Some(stat)) {
            let item = Item { place, ..known.clone() };
            return self.add(kind, path.to_owned(), item);
        }
        let owner = format!("{:o} {} {}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        let (content, detail) = if metadata.is_symlink() {
            let to = std::fs::read_link(self.at(path)).unwrap_or_default().to_string_lossy().into_owned();
            (digest(&[b"link", to.as_bytes()]), format!("a link to {to}"))
        } else {
            match read(&self.at(path)) {
                Some(read) if read.metadata.len() <= MOST_BYTES => {
                    (digest(&[owner.as_bytes(), &read.bytes]), describe(kind, &read.bytes))
                }
                _ => {
                    let times = format!("{stat:?}");
                    (digest(&[owner.as_bytes(), times.as_bytes()]), String::new())
                }
            }
        };
        let mark = Mark::Digest(content);
        let item = Item { mark, changed: Some(stat.changed), place, detail, stat: Some(stat) };
        self.add(kind, path.to_owned(), item);
    }
}

/// What people want to know of a file beside its name. Never its content.
fn describe(kind: FindingKind, bytes: &[u8]) -> String {
    if kind != FindingKind::Key {
        return String::new();
    }
    let text = String::from_utf8_lossy(bytes);
    let keys = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") }
}
