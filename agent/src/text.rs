//! Text of the host's. It is bytes: a comment, a name or a path may be in any encoding,
//! and one such byte must not make a file unreadable, or look as if it were empty.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// The largest file that is read whole, in bytes.
const MOST: u64 = 64 * 1024 * 1024;

/// Reads a regular file, never waiting for one that is none. A link is followed.
///
/// # Errors
/// When it cannot be read, or is larger than any such file should be.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    whole(file)
}

fn whole(file: File) -> io::Result<Vec<u8>> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    // One more than it has, so that its end is seen at once.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(MOST)).unwrap_or(0) + 1);
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Of a file in which only words of ASCII are looked for: other bytes are no such word.
///
/// # Errors
/// As [`read`].
pub fn read_words(path: &Path) -> io::Result<String> {
    read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The same, of a file that need not be there.
///
/// # Errors
/// As [`read`], but for a file that is not there.
pub fn read_if_there(path: &Path) -> io::Result<Vec<u8>> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Its lines, each without its end.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// For people: each byte that is no UTF-8 as `\xff`. What reads as such already has its
/// backslash doubled, so that two names never look alike.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        push(&mut text, chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn push(text: &mut String, valid: &str) {
    if !valid.contains("\\x") {
        return text.push_str(valid);
    }
    let mut rest = valid;
    while let Some(place) = rest.find("\\x") {
        let (before, from) = rest.split_at(place);
        text.push_str(before);
        if from.as_bytes().get(2).is_some_and(|digit| matches!(digit, b'8' | b'9' | b'a'..=b'f')) {
            text.push('\\');
        }
        text.push_str("\\x");
        rest = from.get(2..).unwrap_or_default();
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    #[test]
    fn a_name_in_any_encoding_is_shown_and_two_never_look_alike() {
        assert_eq!(shown("/home/jürgen".as_bytes()), "/home/jürgen");
        assert_eq!(shown(b"/tmp/y\xff"), "/tmp/y\\xff");
        assert_eq!(shown(br"/tmp/y\xff"), r"/tmp/y\\xff");
        assert_eq!(shown(br"dev-disk-by\x2duuid.swap"), r"dev-disk-by\x2duuid.swap");
    }

    #[test]
    fn what_is_no_file_is_an_error_and_waits_for_nobody() {
        let scratch = Scratch::new();
        let path = scratch.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(read(&path).is_err());
        assert!(read(scratch.path()).is_err());
        assert!(read(&scratch.path().join("none")).is_err());
        assert_eq!(read_if_there(&scratch.path().join("none")).unwrap(), b"");
        std::fs::write(path.with_extension("text"), b"UID_MAX 5 # gr\xfc\xdfe").unwrap();
        assert!(read_words(&path.with_extension("text")).unwrap().starts_with("UID_MAX 5"));
    }
}
