//! Small files that must be whole and durable (keys and certificates), files that may be something
//! else by now, and files that hold one secret.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tidegate_common::secret::Secret;

/// Bytes of a file with a secret.
const MOST_SECRET: usize = 4096;

/// Opens evidence to read it. What is no plain file in its place is as good as gone: to open a
/// FIFO would wait for ever.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::NotFound, "it is no file any more")),
    }
}

/// Writes a file whole or not at all, durable when it returns.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let partial = path.with_extension("new");
    let _ = fs::remove_file(&partial);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
    // Whatever the umask takes away.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    match path.parent() {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// A secret in a file, without the end of its line.
///
/// # Errors
/// Why it cannot be read, or that it holds none on one line.
pub async fn read_secret(path: &Path) -> Result<Secret, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = tokio::fs::read_to_string(path).await.map_err(|why| wrong(&why))?;
    let secret = Secret::new(text);
    let trimmed = secret.reveal().trim_end_matches(['\r', '\n']);
    if trimmed.is_empty() || trimmed.len() > MOST_SECRET || trimmed.chars().any(char::is_control) {
        return Err(wrong(&"it holds no secret on one line"));
    }
    Ok(Secret::new(trimmed.to_owned()))
}
