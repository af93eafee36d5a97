//! Master keys: where they are, which ones there are, and how one is told from another.
//!
//! They are read when they are used and wiped after that, so that between two uses none is in
//! memory, and a file that was exchanged counts at once.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::sealing::{KEY_BYTES, Key};
use super::{Keyless, VaultError};
use crate::files::open_plain;

/// What is put behind the name of the key's file for the one before it.
const OLD: &str = ".old";

/// What group and others may do with a file, and the owner beside reading it.
const MORE_THAN_0400: u32 = 0o377;

/// Where systemd keeps credentials (systemd.exec(5), CREDENTIALS): nobody else looks in there, and its
/// files carry the group bits of an ACL.
const CREDENTIALS: &str = "/run/credentials";

/// A master key.
pub(super) struct MasterKey {
    /// What rows name it by; nothing of the key follows from it.
    pub id: String,
    pub key: Key,
}

/// The master keys that are there.
pub(super) struct Keys {
    /// What new secrets are under.
    pub now: MasterKey,
    /// The one before, for as long as its file is there.
    pub old: Option<MasterKey>,
}

impl Keys {
    /// Reads the files.
    ///
    /// # Errors
    /// When the key's file is missing, others may read it, or it is no key.
    pub async fn read(path: &Path) -> Result<Self, VaultError> {
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || Self::read_now(&path)).await;
        read.map_err(|_| VaultError::Stopping)?.map_err(VaultError::Key)
    }

    fn read_now(path: &Path) -> Result<Self, Keyless> {
        Self::of(path, Some(nix::unistd::geteuid().as_raw()))
    }

    /// Those of this user or root; of anybody where no user is said.
    fn of(path: &Path, user: Option<u32>) -> Result<Self, Keyless> {
        let now = MasterKey::read(path, user)?;
        match MasterKey::read(&old_of(path), user) {
            Ok(old) => Ok(Self { now, old: Some(old) }),
            Err(Keyless::Missing(_)) => Ok(Self { now, old: None }),
            Err(other) => Err(other),
        }
    }

    /// The key of this id, if it is there.
    pub fn named(&self, id: &str) -> Option<&Key> {
        let mut all = std::iter::once(&self.now).chain(&self.old);
        all.find(|one| one.id == id).map(|one| &one.key)
    }
}

/// Whether there is a master key in a file, whoever it belongs to.
///
/// # Errors
/// Why not.
pub fn look_at_key(path: &Path) -> Result<(), Keyless> {
    Keys::of(path, None).map(drop)
}

impl MasterKey {
    fn read(path: &Path, user: Option<u32>) -> Result<Self, Keyless> {
        let file = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Keyless::Missing(path.to_owned()),
            _ => Keyless::File { path: path.to_owned(), error },
        };
        let mut open = open_plain(path).map_err(file)?;
        let about = open.metadata().map_err(file)?;
        if user.is_some_and(|user| ![0, user].contains(&about.uid())) {
            return Err(Keyless::Owner(path.to_owned()));
        }
        if about.mode() & MORE_THAN_0400 != 0 && !path.starts_with(CREDENTIALS) {
            return Err(Keyless::Mode { path: path.to_owned(), mode: about.mode() & 0o7777 });
        }
        // One byte more than a key, so that a longer file shows.
        let mut bytes = Zeroizing::new([0u8; KEY_BYTES + 1]);
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match open.read(rest).map_err(file)? {
                0 => break,
                count => length += count,
            }
        }
        let wrong = || Keyless::Length { path: path.to_owned(), bytes: about.len() };
        let key = bytes.first_chunk::<KEY_BYTES>().filter(|_| length == KEY_BYTES).ok_or_else(wrong)?;
        if key.iter().all(|byte| *byte == 0) {
            return Err(Keyless::Empty(path.to_owned()));
        }
        Ok(Self { id: id(key), key: Zeroizing::new(*key) })
    }
}

/// The first 64 bits of a digest of the key, in hexadecimal.
fn id(key: &[u8; KEY_BYTES]) -> String {
    let digest = Zeroizing::new(blake3::derive_key("tidegate vault, id of a master key, version 1", key));
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The file that the key before `path` is moved to.
pub(super) fn old_of(path: &Path) -> PathBuf {
    let mut old = path.as_os_str().to_owned();
    old.push(OLD);
    old.into()
}
