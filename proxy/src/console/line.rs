//! One line typed on a terminal in raw mode: echo, corrections, and what leaves.

/// The longest line, in bytes; what is typed beyond it is not taken.
const LONGEST: usize = 4096;

/// What came of the keys so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// Enter.
    Line(String),
    /// Ctrl-C or Ctrl-D.
    Leave,
}

/// The line being typed. It writes no escape sequence, so that any terminal will do.
#[derive(Debug, Default)]
pub struct Line {
    text: String,
    /// The bytes of a letter that is not whole yet.
    letter: Vec<u8>,
    key: Key,
}

/// Where in a function key's sequence the bytes stand; such keys do nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Key {
    #[default]
    Plain,
    Escape,
    Sequence,
    Single,
}

impl Line {
    /// Takes one byte; what the terminal shall show of it is added to `echo`.
    pub fn key(&mut self, byte: u8, echo: &mut String) -> Option<Typed> {
        match (self.key, byte) {
            (_, 0x03 | 0x04) => return Some(Typed::Leave),
            (_, 0x1b) => self.key = Key::Escape,
            (Key::Escape, b'[') => self.key = Key::Sequence,
            (Key::Escape, b'O') => self.key = Key::Single,
            (Key::Sequence, 0x20..=0x3f) => {}
            (Key::Escape | Key::Sequence | Key::Single, _) => self.key = Key::Plain,
            (Key::Plain, b'\r' | b'\n') => {
                echo.push_str("\r\n");
                self.letter.clear();
                return Some(Typed::Line(std::mem::take(&mut self.text)));
            }
            (Key::Plain, 0x08 | 0x7f) => self.erase(1, echo),
            // Ctrl-U and Ctrl-W.
            (Key::Plain, 0x15) => self.erase(usize::MAX, echo),
            (Key::Plain, 0x17) => {
                let kept = self.text.trim_end().rfind(' ').map_or(0, |place| place + 1);
                let word = self.text.get(kept..).unwrap_or_default().chars().count();
                self.erase(word, echo);
            }
            (Key::Plain, byte) => self.put(byte, echo),
        }
        None
    }

    fn put(&mut self, byte: u8, echo: &mut String) {
        self.letter.push(byte);
        match std::str::from_utf8(&self.letter) {
            Ok(letter) => {
                let fits = self.text.len() + letter.len() <= LONGEST;
                if fits && letter.chars().all(|letter| tidegate_common::unseen::printable(letter) == letter) {
                    self.text.push_str(letter);
                    echo.push_str(letter);
                }
                self.letter.clear();
            }
            // Cut, so the rest may still come; else no letter at all.
            Err(error) if error.error_len().is_none() => {}
            Err(_) => self.letter.clear(),
        }
    }

    fn erase(&mut self, letters: usize, echo: &mut String) {
        for _ in 0..letters.min(self.text.chars().count()) {
            let columns = self.text.pop().map(super::table::columns).unwrap_or_default();
            // Back first: a terminal clears both columns of a wide letter when one is written on.
            echo.extend(std::iter::repeat_n('\u{8}', columns));
            echo.extend(std::iter::repeat_n(' ', columns));
            echo.extend(std::iter::repeat_n('\u{8}', columns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> (Option<Typed>, String) {
        let (mut line, mut echo) = (Line::default(), String::new());
        let typed = keys.iter().find_map(|key| line.key(*key, &mut echo));
        (typed, echo)
    }

    #[test]
    fn a_line_is_echoed_and_corrected() {
        let line = |text: &str| Some(Typed::Line(text.to_owned()));
        assert_eq!(typed(b"db01\r"), (line("db01"), "db01\r\n".to_owned()));
        assert_eq!(typed(b"db\x7f\x7f2\r"), (line("2"), "db\u{8} \u{8}\u{8} \u{8}2\r\n".to_owned()));
        assert_eq!(typed("語\u{7f}\r".as_bytes()), (line(""), "語\u{8}\u{8}  \u{8}\u{8}\r\n".to_owned()));
        assert_eq!(typed(b"one two\x173\r").0, line("one 3"));
        assert_eq!(typed(b"one\x15two\r").0, line("two"));
        assert_eq!(typed(b"\x7f\r").0, line(""));
        assert_eq!(typed("gr\u{fc}n\u{7f}\r".as_bytes()).0, line("gr\u{fc}"));
        assert_eq!(typed(&[&[b'a'; 5000][..], b"\r"].concat()).0, line(&"a".repeat(LONGEST)));
    }

    #[test]
    fn function_keys_and_bytes_that_are_no_letter_do_nothing() {
        let line = Some(Typed::Line("ab".to_owned()));
        for keys in [&b"a\x1b[Ab\r"[..], b"a\x1b[1;5Cb\r", b"a\x1bOPb\r", b"a\xff\xfeb\r", b"a\x07\x00b\r"] {
            let (typed, echo) = typed(keys);
            assert_eq!((typed, echo.as_str()), (line.clone(), "ab\r\n"), "{keys:?}");
        }
    }

    #[test]
    fn ctrl_c_and_ctrl_d_leave_whatever_was_typed() {
        for keys in [&b"\x03"[..], b"\x04", b"db\x03", b"db\x1b[\x04"] {
            assert_eq!(typed(keys).0, Some(Typed::Leave), "{keys:?}");
        }
    }
}
