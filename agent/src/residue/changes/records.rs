//! What the comparer knows of sessions, on disk: it survives the agent. Below /run, since
//! after a boot neither times nor sockets say anything of the session before.
//!
//! One file a session, from its beginning until the proxy has its report, and one for
//! each picture that such a session, or the next to begin, is compared with.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tidegate_common::grant::Leftover;
use tidegate_common::id::SessionId;
use tidegate_common::residue::{Finding, Residue};

use super::snapshot::Snapshot;
use crate::core::Reaped;
use crate::paths::Paths;

/// The kernel stamps inodes with the time of its last tick.
const TICK: i64 = 20_000_000;

/// A clock that moved by more than this against the time since boot was set.
const SET: i64 = 500_000_000;

/// Both clocks at one moment, in nanoseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Clock {
    pub wall: i64,
    pub boot: i64,
}

impl Clock {
    pub fn now() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let boot = crate::clock::now().boot.saturating_mul(1000);
        Self {
            wall: i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX),
            boot: i64::try_from(boot).unwrap_or(i64::MAX),
        }
    }

    /// Since when inodes changed for a session that began then; `None` when the clock
    /// was set meanwhile, so that times say nothing.
    pub fn began(self, now: Self) -> Option<i64> {
        let moved = (now.wall - self.wall) - (now.boot - self.boot);
        (moved.abs() < SET).then(|| self.wall.saturating_sub(TICK))
    }
}

/// A picture of the whole host, and the number of its file.
#[derive(Debug, Default)]
pub struct Picture {
    pub number: u64,
    /// When it was complete, on the clock since boot; zero for one that an agent before
    /// this one took.
    pub taken: i64,
    pub snapshot: Snapshot,
}

/// A session, as its file has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// `None` when the agent was not there when it began.
    pub before: Option<Began>,
    /// Whether somebody could log in.
    pub used: bool,
    pub leftovers: Vec<Leftover>,
    /// How many processes more were ended.
    #[serde(default)]
    pub more: u64,
    /// What is not certain of its processes.
    #[serde(default)]
    pub unsure: BTreeSet<String>,
    /// What was found beside the pictures.
    #[serde(default)]
    pub findings: Vec<Finding>,
    pub stage: Stage,
}

impl Entry {
    /// Its processes are ended.
    pub fn take(&mut self, reaped: Reaped) {
        let (leftovers, unseen) = (std::mem::take(&mut self.leftovers), std::mem::take(&mut self.unsure));
        let mut all = Reaped { leftovers, more: self.more, unseen };
        all.add(reaped);
        (self.leftovers, self.more, self.unsure) = (all.leftovers, all.more, all.unseen);
    }
}

/// What the host was like when a session began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Began {
    /// The picture's number.
    pub picture: u64,
    pub quick: Snapshot,
    pub clock: Clock,
}

/// How far a session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Lives,
    /// Its grant is off the host.
    Over,
    /// The same, and no agent ran then.
    Missed,
    /// The proxy is to have this.
    Reported(Residue),
}

/// The directory. What cannot be written is missing after a restart, and told then.
#[derive(Debug)]
pub struct Records {
    directory: PathBuf,
    pictures: BTreeSet<u64>,
}

impl Records {
    /// Opens it; what is there stays.
    #[must_use]
    pub fn open(paths: &Paths) -> Self {
        let directory = paths.residue();
        if let Err(error) = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory) {
            tracing::warn!(%error, "no report of a session that lives now will survive the agent");
        }
        let pictures = names(&directory, "picture").collect();
        Self { directory, pictures }
    }

    /// The newest picture.
    #[must_use]
    pub fn newest(&self) -> Option<Picture> {
        self.pictures.last().and_then(|number| self.picture(*number))
    }

    /// The picture of that number.
    #[must_use]
    pub fn picture(&self, number: u64) -> Option<Picture> {
        let snapshot: Snapshot = read(&self.place(number, "picture"))?;
        Some(Picture { number, taken: 0, snapshot: snapshot.shared() })
    }

    /// Keeps a picture, once; zero is the number of none.
    pub fn keep_picture(&mut self, picture: &Picture) {
        if picture.number > 0
            && !self.pictures.contains(&picture.number)
            && self.told(write(&self.place(picture.number, "picture"), &picture.snapshot))
        {
            self.pictures.insert(picture.number);
        }
    }

    /// Forgets the pictures that nobody `needs`, but for the newest.
    pub fn forget_pictures(&mut self, needed: &BTreeSet<u64>) {
        let newest = self.pictures.last().copied();
        let gone: Vec<u64> = self
            .pictures
            .iter()
            .filter(|number| !needed.contains(number) && Some(**number) != newest)
            .copied()
            .collect();
        for number in gone {
            let _ = fs::remove_file(self.place(number, "picture"));
            self.pictures.remove(&number);
        }
    }

    /// The sessions that it has.
    #[must_use]
    pub fn sessions(&self) -> Vec<(SessionId, Entry)> {
        let all = names::<SessionId>(&self.directory, "session");
        all.filter_map(|session| Some((session, self.session(session)?))).collect()
    }

    /// One of them.
    #[must_use]
    pub fn session(&self, session: SessionId) -> Option<Entry> {
        read(&self.place(session, "session"))
    }

    pub fn keep_session(&self, session: SessionId, entry: &Entry) {
        self.told(write(&self.place(session, "session"), entry));
    }

    pub fn forget_session(&self, session: SessionId) {
        let _ = fs::remove_file(self.place(session, "session"));
    }

    fn place(&self, name: impl std::fmt::Display, kind: &str) -> PathBuf {
        self.directory.join(format!("{name}.{kind}"))
    }

    fn told(&self, written: io::Result<()>) -> bool {
        written.inspect_err(|error| tracing::warn!(%error, "a report may be missing after a restart")).is_ok()
    }
}

/// A session's processes were ended while no agent ran; its report is still to come.
pub fn missed(paths: &Paths, session: SessionId, reaped: Reaped) {
    if !paths.residue().exists() {
        return;
    }
    let records = Records::open(paths);
    if let Some(mut entry) = records.session(session).filter(|entry| entry.stage == Stage::Lives) {
        entry.used |= reaped != Reaped::default();
        entry.take(reaped);
        entry.stage = Stage::Missed;
        records.keep_session(session, &entry);
    }
}

/// What the files of a kind are named after.
fn names<T: std::str::FromStr>(directory: &Path, kind: &str) -> impl Iterator<Item = T> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let path = entry.path();
        let name = path.file_stem()?.to_str()?.parse().ok();
        name.filter(|_| path.extension().is_some_and(|of| of == kind))
    })
}

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_reader(BufReader::new(fs::File::open(path).ok()?)).ok()
}

pub(super) fn write(path: &Path, what: &impl Serialize) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    let mut file = BufWriter::new(file);
    serde_json::to_writer(&mut file, what)?;
    file.flush()?;
    fs::rename(fresh, path)
}
