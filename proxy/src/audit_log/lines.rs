//! The copy in JSON lines: `audit.YYYY-MM-DD.jsonl`, each `{"link":"…","record":{…}}`.
//!
//! It follows the store from the last whole line that it has, so it may lag behind and is
//! never ahead: a disk that was full, or a gate that died, leaves no line out. A line that
//! was written in part is cut off before the next one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tidegate_common::digest::Digest;
use tokio::sync::watch;
use tracing_appender::rolling::{RollingFileAppender, Rotation};

use super::AuditError;
use super::writer::stored;
use crate::store::{AuditRow, Store};

const PREFIX: &str = "audit";
const SUFFIX: &str = "jsonl";

/// Longer than any line can be, in bytes.
const LONGEST: u64 = 256 * 1024;

/// Records copied at a time.
const PAGE: u64 = 256;

/// How long until a copy that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Where lines go.
pub struct Lines {
    dir: PathBuf,
    out: RollingFileAppender,
    /// The last record that is copied.
    copied: u64,
    /// Whether the last line may be there in part.
    torn: bool,
}

/// What a line says of its record.
#[derive(Debug, PartialEq, Eq)]
pub struct Copied {
    pub seq: u64,
    pub link: Digest,
}

/// A line that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub file: PathBuf,
    /// From 1.
    pub line: u64,
    pub why: String,
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
        let copied = mend(dir).map_err(|error| wrong(error.to_string()))?;
        let out = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix(PREFIX)
            .filename_suffix(SUFFIX)
            .build(dir)
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { dir: dir.to_owned(), out, copied, torn: false })
    }

    fn write(&mut self, rows: Vec<AuditRow>) -> io::Result<()> {
        if self.torn {
            self.copied = mend(&self.dir)?;
            self.torn = false;
        }
        for row in rows {
            let row = stored(row).map_err(io::Error::other)?;
            if row.seq <= self.copied {
                continue;
            }
            let line = format!("{{\"link\":\"{}\",\"record\":{}}}\n", row.link, row.body);
            self.torn = true;
            self.out.write_all(line.as_bytes())?;
            (self.torn, self.copied) = (false, row.seq);
        }
        Ok(())
    }
}

/// Copies what the store has until nobody writes to it any more.
pub async fn follow(store: Store, mut lines: Lines, mut newest: watch::Receiver<u64>) {
    let mut behind = false;
    loop {
        let end = *newest.borrow_and_update();
        match catch_up(&store, lines, end).await {
            Ok(done) => (lines, behind) = (done, false),
            Err((Some(left), error)) => {
                if !behind {
                    let dir = left.dir.display().to_string();
                    tracing::warn!(%error, dir, "the audit log's copy stays behind until it can be written");
                }
                (lines, behind) = (left, true);
            }
            Err((None, error)) => {
                tracing::error!(%error, "the audit log's copy is not written until the next start");
                return;
            }
        }
        let wait =
            async { if behind { tokio::time::sleep(AGAIN).await } else { std::future::pending().await } };
        let open = tokio::select! {
            changed = newest.changed() => changed.is_ok(),
            () = wait => true,
        };
        if !open {
            // What it still lacks, it gets at the next start.
            return;
        }
    }
}

/// Copies up to record `end`. The lines come back, but from a panic.
async fn catch_up(store: &Store, mut lines: Lines, end: u64) -> Result<Lines, (Option<Lines>, String)> {
    while lines.copied < end || lines.torn {
        let from = lines.copied.saturating_add(1);
        let seq = i64::try_from(from).unwrap_or(i64::MAX);
        let rows = match store.audit_from(store.own_gate(), seq, PAGE).await {
            Ok(rows) if rows.is_empty() && !lines.torn => {
                return Err((Some(lines), format!("record {from} is not in the store")));
            }
            Ok(rows) => rows,
            Err(error) => return Err((Some(lines), error.to_string())),
        };
        let writing = tokio::task::spawn_blocking(move || {
            let written = lines.write(rows);
            (lines, written)
        });
        lines = match writing.await {
            Ok((lines, Ok(()))) => lines,
            Ok((lines, Err(error))) => return Err((Some(lines), error.to_string())),
            Err(panic) => return Err((None, panic.to_string())),
        };
    }
    Ok(lines)
}

/// The files, oldest first: their names sort by date.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    });
    files.sort();
    Ok(files)
}

/// Cuts off what the newest file has after its last whole line; returns the number of the
/// newest record in the copy, 0 when there is none.
fn mend(dir: &Path) -> io::Result<u64> {
    let files = files(dir)?;
    if let Some(newest) = files.last() {
        let mut file = OpenOptions::new().read(true).write(true).open(newest)?;
        let (start, tail) = tail(&mut file)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < tail.len() {
            file.set_len(start + u64::try_from(whole).unwrap_or_default())?;
        }
    }
    for file in files.iter().rev() {
        let (_, tail) = tail(&mut File::open(file)?)?;
        let mut lines = tail.rsplit(|byte| *byte == b'\n');
        if let Some(line) = lines.find_map(|line| serde_json::from_slice::<Line>(line).ok()) {
            return Ok(line.record.seq);
        }
    }
    Ok(0)
}

/// The file's end, as much as a line can have, and where it starts.
fn tail(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let start = file.metadata()?.len().saturating_sub(LONGEST);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(LONGEST).read_to_end(&mut tail)?;
    Ok((start, tail))
}

/// Hands over every line in order, until there is none or `take` wants no more. What stands
/// after the newest file's last whole line is on its way and not handed over.
pub fn each(dir: &Path, mut take: impl FnMut(Result<Copied, Damage>, &Path, u64) -> bool) -> io::Result<()> {
    let files = files(dir)?;
    for (index, path) in files.iter().enumerate() {
        let newest = index + 1 == files.len();
        let mut file = BufReader::new(File::open(path)?);
        let (mut number, mut line) = (0u64, Vec::new());
        loop {
            line.clear();
            number += 1;
            if (&mut file).take(LONGEST).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let whole = line.ends_with(b"\n");
            if newest && !whole && file.fill_buf()?.is_empty() {
                break;
            }
            let read = match serde_json::from_slice::<Line>(&line) {
                Ok(line) if whole => Ok(Copied { seq: line.record.seq, link: line.link }),
                _ => Err(Damage { file: path.clone(), line: number, why: "this is no record".to_owned() }),
            };
            if !take(read, path, number) {
                return Ok(());
            }
        }
    }
    Ok(())
}
