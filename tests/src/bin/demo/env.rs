//! The demo's directory, and the file in it that scripts read.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tidegate_tests::guardian::Guardian;
use tidegate_tests::run::quoted;
use tidegate_tests::slot;

/// Ends what runs in the directory `$1`, then removes it once the device is gone from it.
const CLEAN: &str = r#"
dir=$1
turn=0
while [ $turn -lt 1000 ]; do
    pids=$(of_directory "$dir")
    [ -n "$pids" ] && kill -9 $pids 2>/dev/null
    rm -rf --one-file-system "$dir" 2>/dev/null
    [ -e "$dir" ] || break
    turn=$((turn + 1))
    sleep 0.02
done
"#;

/// The demo's own directory, new and empty; it goes when this is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _guardian: Guardian,
    _lock: File,
}

/// Makes `.demo` in the clone, after taking back what a killed demo may have left.
pub fn directory(repository: &Path) -> Result<Directory> {
    let path = repository.join(".demo");
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let lock = File::open(&path)?;
    if lock.try_lock().is_err() {
        bail!("another demo runs in this clone; end it with Ctrl-C first");
    }
    slot::reap_stale(&path.join("devices"))?;
    for entry in fs::read_dir(&path)? {
        let entry = entry?.path();
        if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) }.with_context(
            || format!("{} is left of an earlier demo and can't be removed", entry.display()),
        )?;
    }
    let guardian = Guardian::new(CLEAN, &[&path.display().to_string()], Some(&lock))?;
    Ok(Directory { path, _guardian: guardian, _lock: lock })
}

impl Directory {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes shell variables, one a line.
pub fn write(path: &Path, variables: &[(&str, String)]) -> Result<()> {
    let mut text = String::new();
    for (name, value) in variables {
        let _ = writeln!(text, "{name}={}", quoted(value));
    }
    // Whole or not at all: scripts wait for the file to appear.
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, path)?;
    Ok(())
}
