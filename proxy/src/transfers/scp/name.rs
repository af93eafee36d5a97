//! Where the files of scp's protocol lie on the device. The protocol names them without
//! their directory, and whether a target is one is only known to the device.

use super::super::asked::{Scp, name};

/// Directories in one another.
const DEPTH: usize = 128;
/// Bytes of their names together.
const NAMES: usize = 64 * 1024;

/// Where the next file goes to, or comes from.
pub(super) struct Place {
    asked: Scp,
    inside: Vec<String>,
}

impl Place {
    pub fn new(asked: Scp) -> Self {
        Self { asked, inside: Vec::new() }
    }

    /// What the far end was told.
    pub fn asked(&self) -> String {
        match &self.asked {
            Scp::Upload { target, .. } => target.clone(),
            Scp::Download { sources } => sources.join(" "),
        }
    }

    /// Goes into a directory; `None` where that is too deep.
    pub fn enter(&mut self, name: String) -> Option<()> {
        self.inside.push(name);
        let names: usize = self.inside.iter().map(String::len).sum();
        (self.inside.len() <= DEPTH && names <= NAMES).then_some(())
    }

    /// Goes out of it.
    pub fn leave(&mut self) {
        self.inside.pop();
    }

    /// The directory that was entered last.
    pub fn here(&self) -> String {
        self.path(None).0
    }

    /// A file's path, and what is not certain of it.
    pub fn file(&self, name: &str) -> (String, Option<String>) {
        self.path(Some(name))
    }

    fn path(&self, file: Option<&str>) -> (String, Option<String>) {
        let mut parts: Vec<&str> = self.inside.iter().map(String::as_str).chain(file).collect();
        let first = parts.first().copied().unwrap_or_default();
        let (base, aside) = match &self.asked {
            Scp::Upload { target, inside: true } => (target.clone(), None),
            Scp::Upload { target, inside: false } => {
                parts.drain(..1.min(parts.len()));
                (target.clone(), Some(format!("or in it as `{first}`, if it is a directory")))
            }
            Scp::Download { sources } => {
                let matching = sources.iter().find(|source| name(source.trim_end_matches('/')) == first);
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
                    (None, _) => (String::new(), Some(format!("one of {}", sources.join(" ")))),
                }
            }
        };
        (parts.iter().fold(base, |path, part| join(path, part)), aside)
    }
}

fn join(mut path: String, part: &str) -> String {
    if !path.is_empty() && !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(part);
    path
}
