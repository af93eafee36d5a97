//! Where an address is: an offline database in MaxMind's format, read whole into memory and
//! replaced when its file changes. A file that cannot be read leaves the one before in use.
//!
//! Two schemas are read: nested (`country.iso_code`, `subdivisions[].iso_code` and their names), as
//! MaxMind and DB-IP sell it, and flat (`country_code`, `state1`), as free ones have it.

#[cfg(test)]
#[path = "../../tests/src/mmdb.rs"]
pub(crate) mod mmdb;
mod row;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use tidegate_common::policy::Located;

use row::Row;

/// More than the largest database that is sold.
const MOST_BYTES: u64 = 1 << 30;

/// Ends of a tree for each of its nodes, at most: one more than nodes, and IPv4's under three prefixes more.
const ENDS: usize = 8;

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// It cannot be read.
    #[error("the GeoIP database {path} cannot be read: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is larger than any.
    #[error("the GeoIP database {0} is larger than 1 GiB")]
    Large(PathBuf),
    /// It is none, or only a part of one.
    #[error("{path} is no whole GeoIP database in MaxMind's format: {source}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: MaxMindDbError,
    },
}

/// A file as it was when it was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// The database; clones share it.
#[derive(Clone, Default)]
pub struct Geo(Arc<Inner>);

#[derive(Default)]
struct Inner {
    path: Option<PathBuf>,
    held: ArcSwapOption<Reader<Vec<u8>>>,
    /// Of the file that was looked at last, taken or not; none when there was no file.
    seen: Mutex<Option<Option<Stamp>>>,
}

impl Geo {
    /// A database in a file; nothing is read before [`Self::look`].
    #[must_use]
    pub fn of(path: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner { path, ..Inner::default() }))
    }

    /// Its file, where one is configured.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// Where an address is.
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> Located {
        let held = self.0.held.load();
        let Some(reader) = held.as_ref() else { return Located::NoDatabase };
        let found = reader.lookup(address.to_canonical()).and_then(|found| found.decode::<Row>());
        match found {
            Ok(row) => row.and_then(Row::location).map_or(Located::Unknown, Located::At),
            Err(error) => {
                tracing::warn!(%address, %error, "the GeoIP database has no readable row for an address");
                Located::Unknown
            }
        }
    }

    /// Looks at the file, and takes it if it is another than the last one; says whether it did.
    /// To be called where blocking is allowed.
    ///
    /// # Errors
    /// When it was not taken; what was there before stays. The same file is told once.
    pub fn look(&self) -> Result<bool, GeoError> {
        let Some(path) = self.path() else { return Ok(false) };
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let file = |source| GeoError::File { path: path.to_owned(), source };
        let opened = File::open(path);
        let stamp = opened.as_ref().ok().and_then(stamp);
        if *seen == Some(stamp) {
            return Ok(false);
        }
        *seen = Some(stamp);
        let mut bytes = Vec::new();
        opened.map_err(file)?.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(file)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST_BYTES {
            return Err(GeoError::Large(path.to_owned()));
        }
        let damaged = |source| GeoError::Damaged { path: path.to_owned(), source };
        let reader = Reader::from_source(bytes).map_err(damaged)?;
        // What leads out of the file is found now and not by whoever comes from there.
        check(&reader).map_err(damaged)?;
        self.0.held.store(Some(Arc::new(reader)));
        Ok(true)
    }
}

/// Reads every row once. Of a tree that is none, whose branches meet, no more is walked than a
/// tree of so many nodes has.
fn check(reader: &Reader<Vec<u8>>) -> Result<(), MaxMindDbError> {
    let most = usize::try_from(reader.metadata().node_count).unwrap_or(usize::MAX).saturating_mul(ENDS);
    let mut known = HashSet::new();
    // Also what leads nowhere and what is IPv4 under another prefix is counted, or a tree of
    // nothing but such would be walked for ever.
    let every = WithinOptions::default().include_networks_without_data().include_aliased_networks();
    for (walked, network) in reader.networks(every)?.enumerate() {
        let network = network?;
        if walked > most {
            return Err(MaxMindDbError::invalid_database("its tree has more ends than nodes"));
        }
        if network.offset().is_some_and(|row| known.insert(row)) {
            network.decode::<Row>()?;
        }
    }
    Ok(())
}

fn stamp(file: &File) -> Option<Stamp> {
    let of = file.metadata().ok()?;
    Some(Stamp { inode: of.ino(), bytes: of.len(), modified: (of.mtime(), of.mtime_nsec()) })
}
