//! Free text that is safe to keep and to show: bounded, on one line.

use std::fmt::{self, Write as _};

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
        Self::gather(text.as_ref().chars().map(Piece::Letter), show, || "…".to_owned())
    }

    /// Bytes as a note; what is not UTF-8 shows as `\xff`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::gather(pieces(bytes), show, || "…".to_owned())
    }

    /// Takes pieces as `show` writes them, as far as they fit; where some do not, `mark` ends
    /// the note.
    fn gather<T>(
        pieces: impl Iterator<Item = T>,
        show: impl Fn(T, &mut String),
        mark: impl FnOnce() -> String,
    ) -> Self {
        let mut kept = String::new();
        let mut shown = String::new();
        for piece in pieces {
            shown.clear();
            show(piece, &mut shown);
            if kept.len() + shown.len() > MOST {
                let mark = mark();
                while kept.len() + mark.len() > MOST && kept.pop().is_some() {}
                kept.push_str(&mark);
                break;
            }
            kept.push_str(&shown);
        }
        Self(kept)
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

impl CommandText {
    /// The name of a file, whatever its bytes are. Each name has a text of its own: what does
    /// not show and what is not UTF-8 is escaped (`\u{1b}`, `\n`, `\xff`), and so is the
    /// backslash (`\\`); one that is cut ends in `\…` and the start of the BLAKE3 of all of it.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Self {
        Self::gather(pieces(name), show_of_name, || cut(name))
    }

    /// Names of files in a row, told apart by spaces; those within one are escaped.
    #[must_use]
    pub fn of_names(names: &[Vec<u8>]) -> Self {
        let [name] = names else {
            let show = |piece: Option<Piece>, shown: &mut String| match piece {
                Some(Piece::Letter(' ')) => shown.push_str("\\ "),
                Some(piece) => show_of_name(piece, shown),
                None => shown.push(' '),
            };
            let all = names.iter().enumerate().flat_map(|(place, name)| {
                (place > 0).then_some(None).into_iter().chain(pieces(name).map(Some))
            });
            return Self::gather(all, show, || cut(&names.join(&0)));
        };
        Self::of_name(name)
    }
}

/// A letter, or a byte that belongs to none.
#[derive(Clone, Copy)]
enum Piece {
    Letter(char),
    Byte(u8),
}

fn pieces(bytes: &[u8]) -> impl Iterator<Item = Piece> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let letters = chunk.valid().chars().map(Piece::Letter);
        letters.chain(chunk.invalid().iter().copied().map(Piece::Byte))
    })
}

fn show(piece: Piece, shown: &mut String) {
    match piece {
        Piece::Letter(letter) if is_unseen(letter) => shown.extend(letter.escape_default()),
        Piece::Letter(letter) => shown.push(letter),
        Piece::Byte(byte) => {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
}

fn show_of_name(piece: Piece, shown: &mut String) {
    match piece {
        Piece::Letter('\\') => shown.push_str("\\\\"),
        piece => show(piece, shown),
    }
}

/// What ends a name that is cut.
fn cut(whole: &[u8]) -> String {
    let digest = blake3::hash(whole).to_hex();
    format!("\\…{}", digest.get(..16).unwrap_or_default())
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
    fn bytes_that_are_no_text_show_by_their_number() {
        assert_eq!(Note::<512>::from_bytes(b"gr\xfcn \xe2\x82").as_str(), "gr\\xfcn \\xe2\\x82");
        assert_eq!(Note::<512>::from_bytes("a\\b\u{fffd}\n".as_bytes()).as_str(), "a\\b\u{fffd}\\n");
    }

    #[test]
    fn names_of_files_are_escaped_so_that_no_two_look_alike() {
        for (name, shown) in [
            (&b"/tmp/gr\xfcn"[..], "/tmp/gr\\xfcn"),
            (b"/tmp/gr\\xfcn", "/tmp/gr\\\\xfcn"),
            ("/tmp/gr\u{fffd}n".as_bytes(), "/tmp/gr\u{fffd}n"),
            ("grün €".as_bytes(), "grün €"),
            (b"a\nb", "a\\nb"),
            (b"a\\nb", "a\\\\nb"),
            ("a\u{202e}b…".as_bytes(), "a\\u{202e}b…"),
            (b"a\\u{202e}b", "a\\\\u{202e}b"),
        ] {
            assert_eq!(CommandText::of_name(name).as_str(), shown);
        }
        let names = |names: &[&[u8]]| {
            let names: Vec<_> = names.iter().map(|name| name.to_vec()).collect();
            CommandText::of_names(&names).as_str().to_owned()
        };
        assert_eq!(names(&[b"a b"]), "a b");
        assert_eq!(names(&[b"a b", b"c"]), "a\\ b c");
        assert_eq!(names(&[b"a", b"b c"]), "a b\\ c");
        let long = |last: u8| [&[b'x'; 5000][..], &[last]].concat();
        let (one, other) = (CommandText::of_name(&long(b'1')), CommandText::of_name(&long(b'2')));
        assert_ne!(one, other);
        assert!(one.as_str().len() <= 4096 && one.as_str().contains("x\\…"), "{one}");
        // One that is written as another's cut form is.
        assert_ne!(CommandText::of_name(one.as_str().as_bytes()), one);
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

        #[test]
        fn different_names_have_different_texts(
            one in prop::collection::vec(prop::sample::select(&b"\\xfu{}1n \n\xff\xc3\xbc"[..]), 0..6),
            other in prop::collection::vec(prop::sample::select(&b"\\xfu{}1n \n\xff\xc3\xbc"[..]), 0..6),
        ) {
            let same = CommandText::of_name(&one) == CommandText::of_name(&other);
            prop_assert_eq!(same, one == other);
            let text = CommandText::of_name(&one);
            prop_assert_eq!(CommandText::try_from(text.as_str().to_owned()), Ok(text));
        }
    }
}
