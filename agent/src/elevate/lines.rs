//! Writes the account files anew.

use std::io;

use super::reserve;
use crate::files::replace_in;
use crate::paths::Paths;
use crate::program;

/// Replaces the files, all on disk before the first takes its place.
pub fn write(paths: &Paths, files: &[(&str, Vec<u8>)]) -> Result<(), String> {
    written(paths, files, replace_in(&paths.etc, files, 0o600))
}

/// The same to take something back: on a full disk, with the room that was kept for it.
pub fn put_back(paths: &Paths, files: &[(&str, Vec<u8>)]) -> Result<(), String> {
    let replaced = match replace_in(&paths.etc, files, 0o600) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull && reserve::give_up(paths) => {
            replace_in(&paths.etc, files, 0o600)
        }
        replaced => replaced,
    };
    written(paths, files, replaced)
}

fn written(paths: &Paths, files: &[(&str, Vec<u8>)], replaced: io::Result<()>) -> Result<(), String> {
    if !files.is_empty() {
        flush_caches();
    }
    replaced.map_err(|error| unwritten(paths, &error))
}

pub fn unwritten(paths: &Paths, error: &io::Error) -> String {
    format!("the account files in {} could not be written: {error}", paths.etc.display())
}

/// nscd keeps what it read for minutes; where it runs it has to be told.
fn flush_caches() {
    if std::path::Path::new("/run/nscd/socket").exists() {
        for table in ["passwd", "group"] {
            let told = program::run("nscd", &["-i", table], std::time::Duration::from_secs(2));
            if let Err(error) = told {
                tracing::warn!(%error, "nscd may answer with old accounts for a while");
            }
        }
    }
}
