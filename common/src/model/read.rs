//! TOML text to resources. Every mistake is reported at once, each with its line
//! and column: the text is read by hand over the parser's spans, because serde
//! stops at the first.

mod fields;
mod key_index;
mod kinds;

use std::collections::{HashMap, HashSet};
use std::fmt;

use toml::de::DeTable;

use super::resources::Written;
use super::{Kind, Resource, ResourceName, Resources};
use crate::unseen::printable;
pub(super) use fields::Fields;
use fields::Reader;
pub use key_index::KeyIndex;
pub(crate) use key_index::line_and_column;

/// More than a large company's resources.
const MOST_BYTES: usize = 16 << 20;

/// One mistake in a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// One sentence, on one line; nothing in it moves the cursor or hides, whatever was written.
    pub why: String,
}

impl Mistake {
    /// A mistake at a place. What serde and the parser say quotes the text as it stands.
    pub(crate) fn at((line, column): (usize, usize), why: &str) -> Self {
        let lines = why.lines().map(str::trim).filter(|line| !line.is_empty());
        let sentence = lines.collect::<Vec<_>>().join(", ");
        Self { line, column, why: sentence.chars().map(printable).collect() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.why)
    }
}

/// Every mistake of a text, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// A text read onto what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Everything, as it shall be.
    pub whole: Resources,
    /// The resources of the text, in its order, and what each did.
    pub written: Vec<(Resource, Written)>,
}

impl Resources {
    /// Reads a text that stands alone.
    ///
    /// # Errors
    /// All mistakes of the text.
    pub fn read(text: &str) -> Result<Self, Mistakes> {
        Self::default().update(text).map(|update| update.whole)
    }

    /// Reads a text as an addition to `self`: names may lead to either.
    ///
    /// # Errors
    /// All mistakes of the text, and what the text would break in `self`.
    pub fn update(&self, text: &str) -> Result<Update, Mistakes> {
        if text.len() > MOST_BYTES {
            let why = format!("the text is larger than {} MiB", MOST_BYTES >> 20);
            return Err(Mistakes(vec![Mistake::at((1, 1), &why)]));
        }
        let mut reader = Reader::new();
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            reader.wrong(error.span().map_or(0, |span| span.start), error.message());
        }
        let read = kinds::all(&mut reader, table.get_ref());
        let mut whole = self.clone();
        let written: Vec<_> = read.into_iter().map(|new| (new.clone(), whole.put(new))).collect();
        // What could not be parsed at all may hold any name, so nothing is called missing then.
        if errors.is_empty() {
            let users = written.iter().filter_map(|(resource, did)| match resource {
                Resource::User(user) if *did != Written::Unchanged => Some(user.name.clone()),
                _ => None,
            });
            let shared = whole.newly_shared(&users.collect());
            for problem in whole.check_beside(&reader.unreadable).into_iter().chain(shared) {
                match reader.offset(&problem.of, &problem.field) {
                    Some(offset) => reader.wrong(offset, problem.why),
                    None => reader.wrong(0, format!("{} (not in this text): {}", problem.of, problem.why)),
                }
            }
        }
        if reader.mistakes.is_empty() { Ok(Update { whole, written }) } else { Err(reader.report(text)) }
    }
}

/// What the reader remembers of the text.
type FieldOffsets = HashMap<(Kind, String), HashMap<String, usize>>;
type Names = HashSet<ResourceName>;

#[cfg(test)]
mod tests;
