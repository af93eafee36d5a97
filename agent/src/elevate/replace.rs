//! Replaces a file in one step: readers see the old or the new one, never half.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Puts `content` in the place of `path`, durable when this returns. The owner,
/// mode and security label are those of the file before; a new file gets `mode`.
///
/// # Errors
/// When any step fails; the old file is untouched then.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "no file name in the path");
    let directory = path.parent().ok_or_else(wrong)?;
    let name = path.file_name().ok_or_else(wrong)?.to_string_lossy();
    let fresh = directory.join(format!(".{name}.tidegate"));
    let written = write(&fresh, path, content, mode).and_then(|()| std::fs::rename(&fresh, path));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&fresh);
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

fn write(fresh: &Path, old: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    match std::fs::remove_file(fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // Left by a crash, or nothing there.
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
    file.write_all(content)?;
    match std::fs::metadata(old) {
        Ok(before) => {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
            file.set_permissions(std::fs::Permissions::from_mode(before.mode() & 0o7777))?;
            crate::sys::copy_label(old, &file)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        }
        Err(error) => return Err(error),
    }
    file.sync_all()
}
