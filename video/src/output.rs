//! The file that is made: beside its place until it is whole, then renamed, so that nobody
//! finds half of one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error("the recording {path} could not be read: {source}")]
    Input { path: PathBuf, source: io::Error },
    #[error("the recording could not be taken from standard input: {0}")]
    Spool(io::Error),
    #[error("{0} is the recording itself; name another file for the video")]
    Same(PathBuf),
    #[error("{0} is a directory; name a file in it")]
    Directory(PathBuf),
    #[error("{0} is no plain file; `-` writes to standard output")]
    Special(PathBuf),
    #[error("the video {path} could not be made: {source}")]
    Create { path: PathBuf, source: io::Error },
    #[error("the video {path} is whole, and could not be given its name: {source}")]
    Rename { path: PathBuf, source: io::Error },
    #[error("whoever read the video from standard output went away")]
    Gone,
    #[error("the video could not be written to standard output: {0}")]
    Copy(io::Error),
}

/// Where it will be.
#[derive(Debug)]
pub enum Output {
    /// A file; until then it has the name of `beside`.
    File { path: PathBuf, beside: PathBuf, file: File },
    /// Standard output, which takes it when it is whole.
    Standard { file: File },
}

/// Opens the recording; what comes from standard input is kept in a file without a name, for
/// it is read twice.
///
/// # Errors
/// When it cannot be read.
pub fn input(path: &Path) -> Result<File, OutputError> {
    if path.as_os_str() != "-" {
        let failed = |source| OutputError::Input { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        if kind.is_file() || kind.is_block_device() {
            return Ok(file);
        }
        if kind.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        return spool(file);
    }
    spool(io::stdin().lock())
}

fn spool(mut from: impl io::Read) -> Result<File, OutputError> {
    let mut file = nameless().map_err(OutputError::Spool)?;
    io::copy(&mut from, &mut file).map_err(OutputError::Spool)?;
    file.rewind().map_err(OutputError::Spool)?;
    Ok(file)
}

/// A file that is gone when the program is.
fn nameless() -> io::Result<File> {
    let directory = std::env::temp_dir();
    let flags = OFlag::O_TMPFILE.bits();
    OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(flags).open(directory)
}

impl Output {
    /// Makes the file, empty.
    ///
    /// # Errors
    /// When it cannot be made, or would take the place of something that it must not.
    pub fn begin(path: &Path, input: &File) -> Result<Self, OutputError> {
        let failed = |source| OutputError::Create { path: path.to_owned(), source };
        if path.as_os_str() == "-" {
            return Ok(Self::Standard { file: nameless().map_err(failed)? });
        }
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(OutputError::Directory(path.to_owned())),
            Ok(there) if !there.is_file() => return Err(OutputError::Special(path.to_owned())),
            Ok(there) => {
                let from = input.metadata().map_err(failed)?;
                if (there.dev(), there.ino()) == (from.dev(), from.ino()) {
                    return Err(OutputError::Same(path.to_owned()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // The name of a link stays; what it leads to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = path.file_name().ok_or_else(|| OutputError::Directory(path.clone()))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(hidden);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&beside)
            .map_err(|source| OutputError::Create { path: path.clone(), source })?;
        Ok(Self::File { path, beside, file })
    }

    /// What is written to.
    #[must_use]
    pub fn file(&self) -> &File {
        match self {
            Self::File { file, .. } | Self::Standard { file } => file,
        }
    }

    /// The file that must go if the video does not become whole.
    #[must_use]
    pub fn beside(&self) -> Option<&Path> {
        match self {
            Self::File { beside, .. } => Some(beside),
            Self::Standard { .. } => None,
        }
    }

    /// It is whole.
    ///
    /// # Errors
    /// When it could not be put in its place; then it is gone.
    pub fn finish(self) -> Result<(), OutputError> {
        match self {
            Self::File { path, beside, file } => {
                let named = file.sync_all().and_then(|()| fs::rename(&beside, &path));
                named.map_err(|source| {
                    remove(&beside);
                    OutputError::Rename { path, source }
                })
            }
            Self::Standard { mut file } => {
                let copied = file.rewind().and_then(|()| io::copy(&mut file, &mut io::stdout().lock()));
                match copied {
                    Ok(_) => Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(OutputError::Gone),
                    Err(error) => Err(OutputError::Copy(error)),
                }
            }
        }
    }

    /// There will be none.
    pub fn discard(self) {
        if let Self::File { beside, .. } = self {
            remove(&beside);
        }
    }
}

fn remove(beside: &Path) {
    // Nothing else can be done about it.
    let _ = fs::remove_file(beside);
}
