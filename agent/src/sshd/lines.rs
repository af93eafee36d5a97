//! Where a setting stands: the lines of sshd_config(5) and of what it includes. What is in
//! force sshd says itself; here is only looked for the line that says so.

use std::fmt;
use std::path::{Path, PathBuf};

use super::patterns;
use crate::paths::Paths;
use crate::text::read_words;

/// How deep files include others, at most (sshd's own bound), and how many lines are read.
const MOST_DEPTH: usize = 16;
const MOST_LINES: usize = 20_000;

/// One line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub file: PathBuf,
    /// From 1 on.
    pub number: usize,
    /// In small letters.
    keyword: String,
    arguments: Vec<String>,
    /// The `Match` under which it stands, if one.
    under: Option<Box<Line>>,
}

/// `line 3 of /etc/ssh/sshd_config`
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of {}", self.number, self.file.display())
    }
}

impl Line {
    /// The `Match` above it, as it is written, that bounds it.
    #[must_use]
    pub fn under(&self) -> Option<&Self> {
        self.under.as_deref()
    }

    /// Its arguments.
    #[must_use]
    pub fn value(&self) -> String {
        self.arguments.join(" ")
    }
}

/// The lines in the order in which sshd reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// Reads the host's; a file that cannot be read has none.
    #[must_use]
    pub fn read(paths: &Paths) -> Self {
        let ssh = paths.etc.join("ssh");
        let mut lines = Self::default();
        lines.add(&ssh, &ssh.join("sshd_config"), None, 0);
        lines
    }

    fn add(&mut self, ssh: &Path, file: &Path, outer: Option<Box<Line>>, depth: usize) {
        let text = read_words(file).unwrap_or_default();
        let mut under = outer.clone();
        for (number, text) in (1..).zip(text.lines()) {
            if self.0.len() >= MOST_LINES {
                return;
            }
            let mut words = words(text).into_iter();
            let Some(keyword) = words.next() else { continue };
            let (keyword, arguments) = (keyword.to_ascii_lowercase(), words.collect());
            let line = Line { file: file.to_owned(), number, keyword, arguments, under: under.clone() };
            if line.keyword == "include" && depth < MOST_DEPTH {
                for file in line.arguments.iter().flat_map(|pattern| files(ssh, pattern)) {
                    // A `Match` in it ends with it.
                    self.add(ssh, &file, line.under.clone(), depth + 1);
                }
            }
            if line.keyword == "match" {
                let everybody = line.arguments.iter().any(|word| word.eq_ignore_ascii_case("all"));
                under = match everybody {
                    true => outer.clone(),
                    false => Some(Box::new(Line { under: None, ..line.clone() })),
                };
            }
            self.0.push(line);
        }
    }

    /// Those of a keyword.
    pub fn of(&self, keyword: &str) -> impl Iterator<Item = &Line> {
        self.0.iter().filter(move |line| line.keyword == keyword)
    }

    /// The first that sets a keyword to what is in force.
    #[must_use]
    pub fn that_says(&self, keyword: &str, value: &str) -> Option<&Line> {
        self.of(keyword).find(|line| line.value().eq_ignore_ascii_case(value))
    }
}

/// ` (line 3 of FILE)`, or nothing.
pub fn place(line: Option<&Line>) -> String {
    line.map(|line| format!(" ({line})")).unwrap_or_default()
}

/// The keyword and its arguments: between blanks, the keyword's perhaps with a `=`; quotes hold
/// together, `#` begins a comment.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut letters = text.chars().peekable();
    let mut word = String::new();
    let mut quoted = false;
    while let Some(letter) = letters.next() {
        match letter {
            '"' => quoted = !quoted,
            '\\' if quoted && letters.peek() == Some(&'"') => word.extend(letters.next()),
            '#' if !quoted && word.is_empty() => break,
            letter if !quoted && (letter.is_whitespace() || letter == '=' && words.is_empty()) => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            letter => word.push(letter),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The files of an Include, as sshd sorts them: a pattern in the last part of the path only.
fn files(ssh: &Path, pattern: &str) -> Vec<PathBuf> {
    let whole = ssh.join(pattern);
    let (Some(directory), Some(name)) = (whole.parent(), whole.file_name().and_then(|name| name.to_str()))
    else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|file| !file.starts_with('.') && patterns::matches(file, name))
        })
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    fn written(config: &str, drop_in: &str) -> (Scratch, Lines) {
        let scratch = Scratch::new();
        let ssh = scratch.paths().etc.join("ssh");
        std::fs::create_dir_all(ssh.join("sshd_config.d")).unwrap();
        std::fs::write(ssh.join("sshd_config"), config).unwrap();
        std::fs::write(ssh.join("sshd_config.d/tidegate.conf"), drop_in).unwrap();
        let lines = Lines::read(scratch.paths());
        (scratch, lines)
    }

    #[test]
    fn a_line_is_found_in_what_is_included_and_however_it_is_written() {
        let config =
            "# AllowUsers no\nInclude sshd_config.d/*.conf\n allowUSERS=\"ops\" deploy # and so on\n";
        let (scratch, lines) = written(config, "\nTrustedUserCAKeys /x\n");
        let line = lines.that_says("allowusers", "ops deploy").unwrap();
        assert_eq!((line.number, line.under()), (3, None));
        let line = lines.that_says("trustedusercakeys", "/x").unwrap();
        let file = scratch.paths().etc.join("ssh/sshd_config.d/tidegate.conf");
        assert_eq!(line.to_string(), format!("line 2 of {}", file.display()));
        assert!(lines.that_says("trustedusercakeys", "/y").is_none());
    }

    #[test]
    fn a_match_bounds_what_follows_in_its_file_and_what_that_includes() {
        let config =
            "Match User git\nInclude /etc/none\nInclude sshd_config.d/*.conf\nMatch all\nUseDNS no\n";
        let (_scratch, lines) = written(config, "TrustedUserCAKeys /x\nMatch User y\nUsePAM no\n");
        let under = |keyword: &str| {
            let line = lines.of(keyword).next().unwrap();
            line.under().map(Line::value)
        };
        assert_eq!(under("trustedusercakeys").as_deref(), Some("User git"));
        assert_eq!(under("usepam").as_deref(), Some("User y"));
        assert_eq!(under("usedns"), None);
    }
}
