//! One change of a host's set-up.

use std::fmt;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SetupError;
use crate::files::replace;
use crate::program::run;
use crate::sshd;

/// How long systemctl and its like may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(90);

/// What a file must pass before it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    None,
    /// `visudo -c`: the whole policy.
    Sudoers,
    /// `sshd -t`: the whole configuration.
    Sshd,
}

/// A step that can be shown, made, and found made.
#[derive(Debug, Clone)]
pub enum Change {
    Directory {
        path: PathBuf,
        mode: u32,
    },
    File {
        path: PathBuf,
        content: Vec<u8>,
        mode: u32,
        check: Check,
    },
    RemoveFile(PathBuf),
    /// With everything in it.
    RemoveTree(PathBuf),
    /// Only when it is empty.
    RemoveDirectory(PathBuf),
    /// A program of the host. `unless` ends with success when there is nothing to do.
    Run {
        program: &'static str,
        arguments: Vec<String>,
        unless: Option<(&'static str, Vec<String>)>,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, mode } => {
                write!(f, "make the directory {} (mode {mode:o})", path.display())
            }
            Self::File { path, content, mode, .. } => {
                let verb = if path.exists() { "change" } else { "write" };
                write!(f, "{verb} {} (mode {mode:o}, {} bytes)", path.display(), content.len())?;
                let text = std::str::from_utf8(content).ok().filter(|text| text.len() < 1000);
                let lines = text.into_iter().flat_map(str::lines).filter(|line| !line.starts_with('#'));
                lines.filter(|line| !line.is_empty()).try_for_each(|line| write!(f, "\n    {line}"))
            }
            Self::RemoveFile(path) => write!(f, "remove {}", path.display()),
            Self::RemoveTree(path) => write!(f, "remove {} and all that is in it", path.display()),
            Self::RemoveDirectory(path) => write!(f, "remove the empty directory {}", path.display()),
            Self::Run { program, arguments, .. } => write!(f, "run {program} {}", arguments.join(" ")),
        }
    }
}

impl Change {
    /// Whether the host is as the change would make it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Directory { path, mode } => path.is_dir() && mode_of(path) == Some(*mode),
            Self::File { path, content, mode, .. } => {
                mode_of(path) == Some(*mode) && std::fs::read(path).is_ok_and(|now| now == *content)
            }
            Self::RemoveFile(path) | Self::RemoveTree(path) => path.symlink_metadata().is_err(),
            Self::RemoveDirectory(path) => match std::fs::read_dir(path) {
                Ok(mut entries) => entries.next().is_some(),
                Err(_) => true,
            },
            Self::Run { unless, .. } => unless.as_ref().is_some_and(|(program, arguments)| {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                run(program, &arguments, DEADLINE).is_ok_and(|answer| answer.status.success())
            }),
        }
    }

    /// Makes it.
    pub fn make(&self) -> Result<(), SetupError> {
        match self {
            Self::Directory { path, mode } => {
                let made = std::fs::DirBuilder::new().recursive(true).mode(*mode).create(path);
                made.and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode)))
                    .map_err(|source| SetupError::File { path: path.clone(), source })
            }
            Self::File { path, content, mode, check } => write_checked(path, content, *mode, *check),
            Self::RemoveFile(path) => gone(path, std::fs::remove_file(path)),
            Self::RemoveTree(path) => gone(path, std::fs::remove_dir_all(path)),
            Self::RemoveDirectory(path) => gone(path, std::fs::remove_dir(path)),
            Self::Run { program, arguments, .. } => {
                let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let answer = run(program, &words, DEADLINE)?;
                if answer.status.success() {
                    Ok(())
                } else {
                    Err(SetupError::Host(format!(
                        "{program} {} failed: {}",
                        arguments.join(" "),
                        answer.line()
                    )))
                }
            }
        }
    }
}

fn mode_of(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o7777)
}

fn gone(path: &Path, result: io::Result<()>) -> Result<(), SetupError> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(SetupError::File { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes it, has the host check the whole, and puts the old one back when refused.
fn write_checked(path: &Path, content: &[u8], mode: u32, check: Check) -> Result<(), SetupError> {
    let wrong = |source| SetupError::File { path: path.to_owned(), source };
    let before = std::fs::read(path).ok();
    let put = |content: &[u8]| {
        replace(path, content, mode)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    };
    put(content).map_err(wrong)?;
    let (program, answer) = match check {
        Check::None => return Ok(()),
        Check::Sudoers => ("visudo", run("visudo", &["-c"], DEADLINE)),
        Check::Sshd => ("sshd", sshd::ask(&["-t"])),
    };
    if answer.as_ref().is_ok_and(|answer| answer.status.success()) {
        return Ok(());
    }
    match before {
        Some(before) => put(&before).map_err(wrong)?,
        None => gone(path, std::fs::remove_file(path))?,
    }
    Err(SetupError::Refused { program, said: answer?.line() })
}
