//! Where the files of scp's protocol lie on the device. The protocol names them without
//! their directory, and whether a target is one is only known to the device.

use tidegate_common::audit::{CommandText, Note};

use super::super::asked::{Scp, name};

/// Directories in one another.
const DEPTH: usize = 128;
/// Bytes of their names together.
const NAMES: usize = 64 * 1024;

/// Where the next file goes to, or comes from.
pub(super) struct FilePath {
    asked: Scp,
    inside: Vec<Vec<u8>>,
}

impl FilePath {
    pub fn new(asked: Scp) -> Self {
        Self { asked, inside: Vec::new() }
    }

    /// What the far end was told.
    pub fn asked(&self) -> CommandText {
        match &self.asked {
            Scp::Upload { target, .. } => CommandText::of_name(target),
            Scp::Download { sources } => CommandText::of_names(sources),
        }
    }

    /// Goes into a directory; `None` where that is too deep.
    pub fn enter(&mut self, name: Vec<u8>) -> Option<()> {
        self.inside.push(name);
        let names: usize = self.inside.iter().map(Vec::len).sum();
        (self.inside.len() <= DEPTH && names <= NAMES).then_some(())
    }

    /// Goes out of it.
    pub fn leave(&mut self) {
        self.inside.pop();
    }

    /// The directory that was entered last.
    pub fn here(&self) -> CommandText {
        self.path(None).0
    }

    /// A file's path, and what is not certain of it.
    pub fn file(&self, name: &[u8]) -> (CommandText, Option<Note>) {
        self.path(Some(name))
    }

    fn path(&self, file: Option<&[u8]>) -> (CommandText, Option<Note>) {
        let mut parts: Vec<&[u8]> = self.inside.iter().map(Vec::as_slice).chain(file).collect();
        let first = parts.first().copied().unwrap_or_default();
        let (base, aside) = match &self.asked {
            Scp::Upload { target, inside: true } => (target.clone(), None),
            Scp::Upload { target, inside: false } => {
                parts.drain(..1.min(parts.len()));
                let first = CommandText::of_name(first);
                (target.clone(), Some(format!("or in it as `{first}`, if it is a directory")))
            }
            Scp::Download { sources } => {
                let matching = sources.iter().find(|source| name(bare(source)) == first);
                match (matching, sources.as_slice()) {
                    (Some(source), _) => {
                        parts.drain(..1.min(parts.len()));
                        (source.clone(), None)
                    }
                    // A pattern, whose directory is certain.
                    (None, [source]) => {
                        let directory = source.strip_suffix(name(source)).unwrap_or_default();
                        (directory.to_owned(), None)
                    }
                    (None, _) => (Vec::new(), Some(format!("one of {}", self.asked()))),
                }
            }
        };
        let path = parts.iter().fold(base, |path, part| join(path, part));
        (CommandText::of_name(&path), aside.map(Note::new))
    }
}

/// A path without the slashes at its end.
fn bare(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    path
}

fn join(mut path: Vec<u8>, part: &[u8]) -> Vec<u8> {
    if !path.is_empty() && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(part);
    path
}
