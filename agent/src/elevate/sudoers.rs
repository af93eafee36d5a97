//! The order in which sudo reads its policy (sudoers(5)): which rules come after those of a
//! directory that it includes, and so win where both match.
//!
//! Only as much is read as tells a rule from aliases and settings, of which some count
//! ([`super::defaults`]); what a rule means, sudo itself says ([`super::listing`]).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::settings::{self, Setting};
use crate::text::{self, shown};

/// Files in files, and files in all.
const DEEPEST: u8 = 16;
const MOST_FILES: usize = 1000;

/// A rule, where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLine {
    pub file: PathBuf,
    pub line: usize,
}

/// `line 3 of /etc/sudoers.d/local`
impl fmt::Display for FileLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of {}", self.line, shown(self.file.as_os_str().as_bytes()))
    }
}

/// What sudo reads, in its order.
#[derive(Debug)]
pub struct Policy {
    directory: PathBuf,
    /// Whether the directory is included.
    pub included: bool,
    /// Rules for others than root, after the last time that it is.
    pub later: Vec<FileLine>,
    /// What `Defaults` set, in order.
    pub settings: Vec<(FileLine, Setting)>,
    /// What each alias stands for; of users, hosts and others alike.
    pub aliases: BTreeMap<String, Vec<String>>,
    files: usize,
}

impl Policy {
    /// Follows the policy at `path`, looking for the directory.
    ///
    /// # Errors
    /// When one of its files cannot be read.
    pub fn read(path: &Path, directory: &Path) -> io::Result<Self> {
        let mut policy = Self {
            directory: directory.to_owned(),
            included: false,
            later: Vec::new(),
            settings: Vec::new(),
            aliases: BTreeMap::new(),
            files: 0,
        };
        policy.file(path, DEEPEST)?;
        Ok(policy)
    }

    fn file(&mut self, path: &Path, left: u8) -> io::Result<()> {
        self.files = self.files.saturating_add(1);
        if left == 0 || self.files > MOST_FILES {
            return Err(io::Error::other(format!("{} is one file too many", path.display())));
        }
        let wrong = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let content = text::read(path).map_err(wrong)?;
        for (line, text) in logical(&content) {
            match Line::of(&text) {
                Line::Include(named) => {
                    let named = beside(path, &named);
                    // One that is not there is sudo's to complain of.
                    if named.exists() {
                        self.file(&named, left - 1)?;
                    }
                }
                Line::Directory(named) => self.directory(&beside(path, &named), left - 1)?,
                Line::Rule => self.later.push(FileLine { file: path.to_owned(), line }),
                Line::Defaults => {
                    let line = FileLine { file: path.to_owned(), line };
                    let parsed = settings::parse(&shown(&text));
                    self.settings.extend(parsed.into_iter().map(|setting| (line.clone(), setting)));
                }
                Line::Alias => self.aliases.extend(settings::aliases(&shown(&text))),
                Line::Other => {}
            }
        }
        Ok(())
    }

    fn directory(&mut self, path: &Path, left: u8) -> io::Result<()> {
        if path == self.directory {
            self.included = true;
            self.later.clear();
            return Ok(());
        }
        let entries = match std::fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut names: Vec<_> =
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
        names.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
        names.retain(|name| !name.as_bytes().contains(&b'.') && !name.as_bytes().ends_with(b"~"));
        for file in names.iter().map(|name| path.join(name)).filter(|file| file.is_file()) {
            self.file(&file, left)?;
        }
        Ok(())
    }
}

/// A path of an include, relative ones beside the file that names them.
fn beside(file: &Path, named: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).join(named)
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Include(PathBuf),
    Directory(PathBuf),
    /// Of a user, a group or an alias; root's own needs none.
    Rule,
    Defaults,
    Alias,
    Other,
}

impl Line {
    fn of(line: &[u8]) -> Self {
        let line = line.trim_ascii();
        let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let named = || path(line.get(word.len()..).unwrap_or_default().trim_ascii());
        match word {
            b"@include" | b"#include" => Self::Include(named()),
            b"@includedir" | b"#includedir" => Self::Directory(named()),
            b"" | b"root" => Self::Other,
            _ if word.starts_with(b"Defaults") => Self::Defaults,
            _ if word.ends_with(b"_Alias") => Self::Alias,
            // A user id; otherwise a comment.
            [b'#', digit, ..] if digit.is_ascii_digit() => Self::Rule,
            [b'#', ..] => Self::Other,
            _ => Self::Rule,
        }
    }
}

/// In double quotes, or with a backslash before a blank.
fn path(text: &[u8]) -> PathBuf {
    let text = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len());
    let mut escaped = false;
    for byte in text {
        escaped = *byte == b'\\' && !escaped;
        if !escaped {
            bytes.push(*byte);
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// Lines with those that they are continued by (`\` at the end), each with its number.
fn logical(content: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut continued = false;
    for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let (text, goes_on) = match line.strip_suffix(b"\\") {
            Some(text) => (text, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| continued) {
            Some((_, before)) => before.extend_from_slice(text),
            None => lines.push((number.saturating_add(1), text.to_vec())),
        }
        continued = goes_on;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    #[test]
    fn rules_that_come_after_a_directory_are_found_in_sudos_own_order() {
        let scratch = Scratch::new();
        let etc = &scratch.paths().etc;
        let own = scratch.paths().sudoers_d();
        let drop_ins = etc.join("sudoers.d");
        std::fs::create_dir_all(&drop_ins).unwrap();
        let policy = etc.join("sudoers");
        let write = |name: &str, text: &str| std::fs::write(drop_ins.join(name), text).unwrap();
        std::fs::write(&policy, "jane ALL=ALL\n@includedir sudoers.d\n").unwrap();
        let read = || Policy::read(&policy, &own).unwrap();
        assert!(!read().included);
        write("m", &format!("# ours\n#includedir {}\n", own.display()));
        write("a", "ops ALL=(ALL) ALL\n");
        write("z.bak", "ops ALL=(ALL) ALL\n");
        write("z~", "ops ALL=(ALL) ALL\n");
        write(
            "z-root",
            "# gr\\\nDefaults x\nroot ALL=(ALL) ALL\nUser_Alias A = b, \\\n c\nDefaults:ops !lecture\n",
        );
        assert!(read().included);
        assert_eq!(read().later, []);
        std::fs::write(drop_ins.join("zz\u{e4}"), b"# gr\xfcn\n\n%adm \\\n ALL=ALL\n#1000 ALL=ALL\n")
            .unwrap();
        let told: Vec<String> = read().later.iter().map(ToString::to_string).collect();
        let file = drop_ins.join("zz\u{e4}").display().to_string();
        assert_eq!(told, [format!("line 3 of {file}"), format!("line 5 of {file}")]);
        std::fs::remove_file(drop_ins.join("zz\u{e4}")).unwrap();
        std::fs::write(&policy, "@includedir sudoers.d\n@include \"more rules\"\n").unwrap();
        std::fs::write(etc.join("more rules"), "ops ALL=ALL\n").unwrap();
        assert_eq!(read().later, [FileLine { file: etc.join("more rules"), line: 1 }]);
        std::fs::write(&policy, "@include sudoers\n").unwrap();
        assert!(Policy::read(&policy, &own).is_err(), "one that includes itself");
    }
}
