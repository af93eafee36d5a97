//! Files that are replaced in one step, so that readers see the old or the new one and never half,
//! and descriptors that stay open for the program that takes this one's place.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// What a file of /proc has at most as a rule: more is read in steps that grow.
const PAGE: usize = 4096;

/// Reads a file whose length its metadata does not tell, as those of /proc and /sys: its first
/// `most` bytes.
///
/// # Errors
/// When it cannot be opened or read.
pub fn read_up_to(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PAGE);
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts `content` in the place of `path`, durable when this returns. The owner,
/// mode and security label are those of the file before; a new file gets `mode`.
///
/// # Errors
/// When any step fails; the old file is untouched then.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "no file name in the path");
    let directory = path.parent().ok_or_else(wrong)?;
    let name = path.file_name().ok_or_else(wrong)?.to_str().ok_or_else(wrong)?;
    replace_in(directory, &[(name, content.to_vec())], mode)
}

/// Replaces several files of one directory: all are on disk before the first takes
/// its place, and the directory is made durable once.
///
/// # Errors
/// When any step fails; most likely all old files are untouched then.
pub fn replace_in(directory: &Path, files: &[(&str, Vec<u8>)], mode: u32) -> io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let fresh = |name: &str| fresh(directory, name);
    let write_all = || {
        files.iter().try_for_each(|(name, content)| write(&fresh(name), &directory.join(name), content, mode))
    };
    let place_all =
        || files.iter().try_for_each(|(name, _)| std::fs::rename(fresh(name), directory.join(name)));
    if let Err(error) = write_all().and_then(|()| place_all()) {
        for (name, _) in files {
            let _ = std::fs::remove_file(fresh(name));
        }
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

/// Where a file's new content waits for its place.
pub fn fresh(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!(".{name}.tidegate"))
}

/// Removes what a crash left of replacing these files: a copy of /etc/shadow among others.
pub fn clear(directory: &Path, files: &[&str]) {
    for left in files.iter().map(|name| fresh(directory, name)) {
        if let Err(error) = std::fs::remove_file(&left)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, left = %left.display(), "what a crash left could not be removed");
        }
    }
}

/// Leaves a descriptor open for the program that execve(2) puts in our place.
///
/// # Errors
/// When the kernel refuses.
pub fn keep_open<T: std::ops::Deref<Target: AsFd>>(kept: T) -> io::Result<RawFd> {
    fcntl(&*kept, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let number = kept.as_fd().as_raw_fd();
    std::mem::forget(kept);
    Ok(number)
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
