//! The copy in JSON lines: `audit.YYYY-MM-DD.jsonl`, each `{"link":"…","record":{…}}`.
//! It comes after the store and may lag behind it; it is never ahead.

use std::fs::{self, DirBuilder, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tidegate_common::audit::Linked;
use tidegate_common::digest::Digest;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};

use super::AuditError;

const PREFIX: &str = "audit";
const SUFFIX: &str = "jsonl";

/// Longer than any line can be.
const TAIL: u64 = 256 * 1024;

/// Where lines go. Dropping it writes what is still on its way.
pub struct Lines {
    out: NonBlocking,
    _guard: WorkerGuard,
}

/// What a line says of its record.
#[derive(Debug, PartialEq, Eq)]
pub struct Newest {
    pub seq: u64,
    pub link: Digest,
}

#[derive(Deserialize)]
struct Line {
    link: Digest,
    record: Numbered,
}

#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

impl Lines {
    /// Makes the directory where it is missing.
    pub fn open(dir: &Path) -> Result<Self, AuditError> {
        let wrong = |why: String| AuditError::Lines { dir: dir.to_owned(), why };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| wrong(error.to_string()))?;
        let rolling = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix(PREFIX)
            .filename_suffix(SUFFIX)
            .build(dir)
            .map_err(|error| wrong(error.to_string()))?;
        // A line that a slow disk can't take now waits, and is not dropped.
        let (out, guard) =
            NonBlockingBuilder::default().lossy(false).thread_name("audit-lines").finish(rolling);
        Ok(Self { out, _guard: guard })
    }

    /// Copies records that are in the store.
    pub fn write(&mut self, records: &[Linked]) {
        for Linked { body, link, .. } in records {
            let line = format!("{{\"link\":\"{link}\",\"record\":{body}}}\n");
            if let Err(error) = self.out.write_all(line.as_bytes()) {
                tracing::warn!(%error, "a record of the audit log was not copied to its JSON lines");
            }
        }
    }
}

/// The newest whole line in `dir`; none when there is no line at all.
pub fn newest(dir: &Path) -> Result<Option<Newest>, AuditError> {
    let wrong = |error: std::io::Error| AuditError::Lines { dir: dir.to_owned(), why: error.to_string() };
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(wrong)?;
    files.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    });
    // Their names sort by date.
    files.sort();
    for file in files.iter().rev() {
        if let Some(newest) = last_line(file).map_err(wrong)? {
            return Ok(Some(newest));
        }
    }
    Ok(None)
}

fn last_line(path: &Path) -> std::io::Result<Option<Newest>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    // The last line may still be on its way; one that does not read is skipped with it.
    let whole = tail.iter().rposition(|byte| *byte == b'\n').and_then(|end| tail.get(..end));
    let lines = whole.unwrap_or_default().rsplit(|byte| *byte == b'\n');
    let read = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok()).next();
    Ok(read.map(|line| Newest { seq: line.record.seq, link: line.link }))
}
