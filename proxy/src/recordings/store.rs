//! Where recordings are: one directory a day, one file a session.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tidegate_common::id::SessionId;
use tidegate_common::recording::{Cast, Chain, END, END_LENGTH, FULL_FRAME, Header, Packer};
use tokio::sync::Semaphore;

use super::flush::Writing;
use super::recorder::{Inner, Recorder};
use super::{Ending, Floors, PublicKey, RecordError, RecordingKey};
use crate::files::open_plain;

/// How the name of a recording's file ends; it begins with the session's id.
pub(super) const ENDING: &str = ".cast.zst";

/// How many recordings are packed and written at the same moment.
const SLOTS: usize = 16;

/// zstd(1)'s level for what people type and read; see the commit that chose it for what
/// others cost.
const LEVEL: i32 = 1;
/// Its level for what comes faster than it is packed: larger, for less than half the time.
const HASTY_LEVEL: i32 = -3;
/// A batch of this many bytes has come while the one before was packed.
const HASTE: usize = 4 * FULL_FRAME;

/// Where and how recordings are kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory of all of them.
    pub dir: PathBuf,
    /// How much must stay free.
    pub floors: Floors,
    /// How much of a session may be on its way to the disk before its relays wait, in
    /// bytes. As much again may be being written at that moment.
    pub pending_bound: usize,
}

impl Settings {
    /// With these floors and a bound of 4 MiB: what a terminal shows in the time that a busy
    /// disk takes for a sync.
    #[must_use]
    pub fn new(dir: PathBuf, floors: Floors) -> Self {
        Self { dir, floors, pending_bound: 4 << 20 }
    }

    /// Without a floor.
    #[cfg(test)]
    pub fn testing(dir: PathBuf) -> Self {
        let floors = Floors { floor: 0, reserve: 0, places: vec![dir.clone()] };
        Self::new(dir, floors)
    }
}

/// All recordings of this proxy.
#[derive(Clone)]
pub struct Recordings(pub(super) Arc<Store>);

pub(super) struct Store {
    pub(super) settings: Settings,
    pub(super) key: RecordingKey,
    pub(super) slots: Semaphore,
    /// Those that are written now.
    live: Mutex<HashMap<SessionId, Weak<Inner>>>,
    packers: Mutex<Vec<Packer>>,
}

impl Recordings {
    /// Makes the directory where it is missing.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn open(settings: Settings, key: RecordingKey) -> Result<Self, RecordError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&settings.dir);
        made.map_err(|source| RecordError::Create { path: settings.dir.clone(), source })?;
        let (slots, live, packers) = (Semaphore::new(SLOTS), Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Store { settings, key, slots, live, packers })))
    }

    /// The key that signs what is recorded here.
    #[must_use]
    pub fn key(&self) -> RecordingKey {
        self.0.key.clone()
    }

    /// The key that verifies what is recorded here.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.0.key.public()
    }

    /// Where the recording of a session is, was or would be.
    pub(super) fn path(&self, session: SessionId) -> PathBuf {
        let millis = i64::try_from(session.unix_millis()).unwrap_or_default();
        let began = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
        let day = began.strftime("%Y/%m/%d").to_string();
        self.0.settings.dir.join(day).join(format!("{session}{ENDING}"))
    }

    /// Begins a recording: its header is on the disk when this returns.
    ///
    /// # Errors
    /// When there is too little space or the file can't be made. There is no session then.
    pub async fn begin(&self, header: Header) -> Result<Recorder, RecordError> {
        let session = header.session;
        let path = self.path(session);
        let create = {
            let (store, path) = (self.0.clone(), path.clone());
            move || {
                let writing = store.create(&path, &header);
                writing.map(|writing| Recorder::new(store, &header, path, writing))
            }
        };
        let created = tokio::task::spawn_blocking(create).await;
        let recorder = created
            .unwrap_or_else(|panic| Err(RecordError::Create { path, source: io::Error::other(panic) }))?;
        let mut live = self.0.live();
        live.retain(|_, inner| inner.strong_count() > 0);
        live.insert(session, recorder.weak());
        Ok(recorder)
    }

    /// Whether what is kept beside recordings may take more of the disk.
    ///
    /// # Errors
    /// When only the reserve is left.
    pub fn has_room(&self) -> Result<(), RecordError> {
        self.0.settings.floors.may_write(0)
    }

    /// Recordings that earlier runs did not seal, oldest first. Ask before the first
    /// session begins.
    ///
    /// # Errors
    /// When a directory can't be read.
    pub async fn unsealed(&self) -> Result<Vec<Unsealed>, RecordError> {
        let dir = self.0.settings.dir.clone();
        let failed = |source| RecordError::Read { path: dir.clone(), source };
        let walk = {
            let dir = dir.clone();
            move || {
                let mut found = Vec::new();
                walk(&dir, 3, &mut found).map(|()| {
                    found.sort();
                    found.into_iter().filter_map(Unsealed::of).collect()
                })
            }
        };
        let walked = tokio::task::spawn_blocking(walk).await;
        walked.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(failed)
    }
}

/// A recording without an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// Whose it is, by its name.
    pub session: SessionId,
    /// Its file, for people to read.
    pub location: PathBuf,
}

impl Unsealed {
    fn of(location: PathBuf) -> Option<Self> {
        let name = location.file_name()?.to_str()?;
        let session = name.strip_suffix(ENDING)?.parse().ok()?;
        Some(Self { session, location })
    }
}

#[cfg(test)]
impl Recordings {
    pub(super) fn store(&self) -> Arc<Store> {
        self.0.clone()
    }
}

impl Store {
    /// Ends what would fill the disk.
    pub(super) fn relieve(&self) {
        let live: Vec<_> = self.live().values().filter_map(Weak::upgrade).collect();
        self.settings.floors.relieve(live.into_iter());
    }

    pub(super) fn live(&self) -> MutexGuard<'_, HashMap<SessionId, Weak<Inner>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recording of a session that is written now.
    pub(super) fn writing(&self, session: SessionId) -> Option<Arc<Inner>> {
        self.live().get(&session).and_then(Weak::upgrade)
    }

    /// How far the recording of a session that lives is on the disk by now.
    pub(super) async fn written(&self, session: SessionId) -> Option<Ending> {
        let inner = self.writing(session)?;
        let look = move || inner.writing().chain;
        let Chain { frames, link, .. } = tokio::task::spawn_blocking(look).await.ok()?;
        Some(Ending::Written { frames, link })
    }

    /// A packer that no other uses, for a batch of this many bytes; give it back.
    pub(super) fn packer(&self, bytes: usize) -> io::Result<Packer> {
        let level = if bytes < HASTE { LEVEL } else { HASTY_LEVEL };
        let ready = self.packers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match ready {
            Some(mut packer) => packer.set_level(level).map(|()| packer),
            None => Packer::new(level),
        }
    }

    pub(super) fn give_back(&self, packer: Packer) {
        self.packers.lock().unwrap_or_else(PoisonError::into_inner).push(packer);
    }

    fn create(&self, path: &Path, header: &Header) -> Result<Writing, RecordError> {
        let Settings { dir, floors, .. } = &self.settings;
        let failed = |source| RecordError::Create { path: path.to_owned(), source };
        floors.may_begin()?;
        let day = path.parent().unwrap_or(dir);
        make_day(dir, day).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(path).map_err(failed)?;
        let mut writing = Writing { file, cast: Cast::new(header), chain: Chain::default(), length: 0 };
        let mut packer = self.packer(0).map_err(failed)?;
        let mut frame = Vec::new();
        let Writing { cast, chain, .. } = &mut writing;
        cast.take(|text| chain.frame(&mut packer, text, &mut frame)).map_err(failed)?;
        cast.rest();
        self.give_back(packer);
        writing.write(&frame).and_then(|()| File::open(day)?.sync_all()).map_err(failed)?;
        Ok(writing)
    }
}

/// Makes the directories between `dir` and `day`, durably.
fn make_day(dir: &Path, day: &Path) -> io::Result<()> {
    if day == dir || day.is_dir() {
        return Ok(());
    }
    let Some(parent) = day.parent() else {
        return Ok(());
    };
    make_day(dir, parent)?;
    match DirBuilder::new().mode(0o700).create(day) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(parent)?.sync_all(),
    }
}

/// Finds files that may still be written to and have no end. A sealed one is read-only,
/// so that of a large archive only the names and modes are read.
fn walk(dir: &Path, depth: u8, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && depth > 0 {
            walk(&path, depth - 1, found)?;
        } else if kind.is_file() && path.to_string_lossy().ends_with(ENDING) {
            let writable = entry.metadata()?.permissions().mode() & 0o200 != 0;
            if writable && !has_end(&path)? {
                found.push(path);
            }
        }
    }
    Ok(())
}

/// Whether the file ends as a sealed recording does; not whether it is good.
fn has_end(path: &Path) -> io::Result<bool> {
    let file = open_plain(path)?;
    let length = u64::try_from(END_LENGTH).unwrap_or(u64::MAX);
    let Some(from) = file.metadata()?.len().checked_sub(length) else {
        return Ok(false);
    };
    let mut start = [0; END.len()];
    file.read_exact_at(&mut start, from)?;
    Ok(start == END)
}
