//! Free text that is safe to keep and to show: bounded, on one line.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::unseen::{is_unseen, never};

/// At most `MOST` bytes without control or invisible characters. Making one never
/// fails: what does not fit is cut and marked with `…`, what does not show is escaped.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Note<const MOST: usize = 512>(String);

/// The text of a command: longer than a [`Note`].
pub type CommandText = Note<4096>;

/// A stored note is longer than its kind, or holds what no note ever did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a text of the log is too long or holds control characters")]
pub struct NoteError;

impl<const MOST: usize> Note<MOST> {
    /// The text, cut and escaped as needed.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        let mut kept = String::new();
        let mut piece = String::new();
        for letter in text.as_ref().chars() {
            piece.clear();
            if is_unseen(letter) {
                piece.extend(letter.escape_default());
            } else {
                piece.push(letter);
            }
            if kept.len() + piece.len() > MOST {
                while kept.len() + '…'.len_utf8() > MOST {
                    kept.pop();
                }
                kept.push('…');
                break;
            }
            kept.push_str(&piece);
        }
        Self(kept)
    }

    /// Bytes as a note; what is not UTF-8 shows as U+FFFD.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let most = bytes.get(..MOST.saturating_add(4)).unwrap_or(bytes);
        Self::new(String::from_utf8_lossy(most))
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The note as it would be made now: one that was read, from a peer or from what was stored
    /// by an earlier version, may hold what new ones do not.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::new(&self.0)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MOST: usize> TryFrom<String> for Note<MOST> {
    type Error = NoteError;
    fn try_from(text: String) -> Result<Self, NoteError> {
        if text.len() > MOST || text.chars().any(never) {
            return Err(NoteError);
        }
        Ok(Self(text))
    }
}

impl<const MOST: usize> From<Note<MOST>> for String {
    fn from(note: Note<MOST>) -> String {
        note.0
    }
}

impl<const MOST: usize> From<&str> for Note<MOST> {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<const MOST: usize> fmt::Display for Note<MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<const MOST: usize> fmt::Debug for Note<MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A short list of notes: at most [`Notes::MOST`], the last of which then counts the others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Notes(Vec<Note>);

impl Notes {
    /// How many are kept.
    pub const MOST: usize = 32;

    /// Shows each item; what is over the bound is only counted.
    #[must_use]
    pub fn of<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> Self {
        Self::of_some(items, 0)
    }

    /// As [`Self::of`], where so many more were not even listed.
    #[must_use]
    pub fn of_some<T: fmt::Display>(items: impl IntoIterator<Item = T>, more: u64) -> Self {
        let mut items = items.into_iter();
        let first: Vec<Note> =
            items.by_ref().take(Self::MOST).map(|item| Note::new(item.to_string())).collect();
        let over = u64::try_from(items.count()).unwrap_or(u64::MAX).saturating_add(more);
        let mut notes = Self(first);
        if over > 0 {
            let taken = notes.0.len() == Self::MOST && notes.0.pop().is_some();
            notes.0.push(Note::new(format!("and {} more", over.saturating_add(u64::from(taken)))));
        }
        notes
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.0.iter()
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(place, note)| {
            if place > 0 {
                f.write_str("; ")?;
            }
            f.write_str(note.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_move_the_cursor_or_reorder_the_line_is_escaped() {
        assert_eq!(Note::<512>::new("a\x1b[2Jb\n\u{202e}c").as_str(), "a\\u{1b}[2Jb\\n\\u{202e}c");
    }

    #[test]
    fn what_was_stored_before_the_list_grew_reads_as_it_was_and_new_notes_escape_it() {
        for letter in ['\u{34f}', '\u{3164}', '\u{fe0f}', '\u{e0100}', '\u{1d173}', '\u{2800}'] {
            let stored = format!("a{letter}b");
            let read: Note = serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap();
            assert_eq!(read.as_str(), stored);
            assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(&stored).unwrap());
            assert!(!read.anew().as_str().contains(letter), "{letter:?}");
        }
        for letter in ['\u{1b}', '\u{9b}', '\u{202e}', '\n'] {
            assert_eq!(Note::<20>::try_from(format!("a{letter}b")), Err(NoteError));
        }
        for letter in ['ü', '語', '✓', '…', '\u{a0}', '🙂'] {
            assert!(!is_unseen(letter), "{letter:?}");
        }
    }

    #[test]
    fn a_list_over_its_bound_counts_the_rest() {
        let notes = Notes::of(0..40);
        assert_eq!(notes.iter().count(), Notes::MOST);
        assert_eq!(notes.iter().last().map(Note::as_str), Some("and 9 more"));
        assert_eq!(Notes::of([1, 2]).to_string(), "1; 2");
    }

    proptest! {
        #[test]
        fn a_note_is_bounded_and_reads_back(text in "\\PC*|[\\x00-\\x7f]*|(?s).{0,40}") {
            let note = Note::<20>::new(&text);
            prop_assert!(note.as_str().len() <= 20);
            prop_assert_eq!(Note::<20>::try_from(note.as_str().to_owned()), Ok(note));
        }
    }
}
