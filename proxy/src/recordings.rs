//! Recordings on disk: written durably or not at all, and read back. Others name the session of
//! one, and have it as a [`Recorder`] or a [`Recording`].
//!
//! - No recording, no session: [`Recordings::begin`] returns only when the file and its
//!   header are on disk. A write that fails ends the recording; from then on every call
//!   returns an error and [`Recorder::failed`] fires, so that the session ends.
//! - What a relay passes costs it a copy into a buffer (of a stream without a terminal,
//!   beyond its limit, only a hash). Lines, compression, writing and fdatasync happen on
//!   the runtime's pool for blocking work, at most a second later.
//! - A relay waits only while [`Settings::pending_bound`] bytes are not yet on disk.
//! - An idle session has no timer, no task, no thread and no buffer.
//!
//! A file is `recordings_dir/YYYY/MM/DD/<session id>.cast.zst` (UTC), mode 0600 while it
//! is written and 0400 once it is sealed. The format is [`tidegate_common::recording`]'s.

mod flush;
mod follow;
mod handle;
mod key;
mod known;
mod meter;
mod pending;
mod read;
mod recorder;
mod space;
mod store;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use follow::Reached;
pub use handle::Recording;
pub use key::{PublicKey, RecordingKey};
pub use known::{Ending, Known};
pub use read::DumpFormat;
pub use recorder::{Channel, End, Open, Recorder};
pub use space::{Floors, Least};
pub use store::{Recordings, Settings, Unsealed};

/// What can go wrong with a recording. All of it is ours or the disk's.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Too little space to begin.
    #[error(
        "no session can start: {dir} has {free} MiB free and {floor} MiB must stay free; \
         remove old recordings or make the disk larger"
    )]
    Space { dir: PathBuf, free: u64, floor: u64 },
    /// What is left is not for recordings.
    #[error(
        "{dir} has {free} MiB free, and the last {reserve} MiB are kept for the audit log and the console; \
         remove old recordings or make the disk larger"
    )]
    Reserve { dir: PathBuf, free: u64, reserve: u64 },
    /// How much is free could not be asked.
    #[error("how much is free on the disks is not known: {source}")]
    Unknown { source: io::Error },
    /// The file or a directory could not be made.
    #[error("the recording {path} could not be created: {source}")]
    Create { path: PathBuf, source: io::Error },
    /// Written bytes did not reach the disk.
    #[error("the recording {path} could not be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    /// The signature that was just written does not hold.
    #[error("the recording {path} was sealed, but does not read back as sealed; check the disk")]
    ReadBack { path: PathBuf },
    /// The key could not be read or made.
    #[error(
        "the recordings' key {path}: {why}; restore it from a backup, or move it away to begin a new one"
    )]
    Key { path: PathBuf, why: String },
    /// The key did not sign.
    #[error("the recording could not be signed: {0}")]
    Sign(ssh_key::Error),
    /// A file could not be read.
    #[error("the recording {path} could not be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// Lines are not what a recording has.
    #[error("the recording {path} holds a line that no recording has: {source}")]
    Script { path: PathBuf, source: tidegate_common::recording::ScriptError },
    /// What was read could not be passed on.
    #[error("the recording could not be shown: {0}")]
    Show(io::Error),
    /// The recording was sealed before.
    #[error("the recording is sealed already")]
    Sealed,
    /// It failed before.
    #[error("{0}")]
    Failed(Arc<RecordError>),
}
