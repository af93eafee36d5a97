//! Whether a program has the terminal's alternate screen, and whether a line of ours
//! would fall into the middle of something: xterm's DECSET 47, 1047 and 1049
//! (ctlseqs, "Private modes"), followed through whatever pieces the bytes come in.
//!
//! It is a heuristic: eight-bit controls are not read (in UTF-8 they are letters), and
//! a terminal of another kind may read a sequence otherwise. What it gets wrong is the
//! moment of a warning, no more.

/// `ESC`
const ESC: u8 = 0x1b;
/// `CAN` and `SUB` break a sequence off.
const BREAK_OFF: [u8; 2] = [0x18, 0x1a];
const BEL: u8 = 0x07;

/// A terminal's screen as far as the bytes so far tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlternateScreen {
    place: InSequence,
    alternate: bool,
    /// How many bytes of a UTF-8 letter are still to come.
    letter: u8,
}

/// Where in a sequence (ECMA-48) the bytes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum InSequence {
    #[default]
    Text,
    /// After `ESC`, perhaps with intermediate bytes.
    Escape,
    /// In a control sequence: its private parameters so far, or none if it has no `?`.
    Control { private: Option<Private>, first: bool },
    /// In a string that `ESC` ends, one of `OSC` also `BEL`.
    String { bell_ends: bool },
}

/// Private parameters: the number being read, and whether one named the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Private {
    number: u16,
    named: bool,
}

impl Private {
    fn end_number(self) -> Self {
        Self { number: 0, named: self.named || matches!(self.number, 47 | 1047 | 1049) }
    }
}

impl AlternateScreen {
    /// Takes what the terminal is sent; tells whether a line of ours may stand there now:
    /// no program has the alternate screen, and no letter or sequence is cut.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while let Some((first, tail)) = rest.split_first() {
            if self.place == InSequence::Text {
                // Most of all bytes are text, and skipped at the speed of memory.
                match memchr::memchr(ESC, rest) {
                    Some(place) => {
                        self.place = InSequence::Escape;
                        rest = rest.get(place + 1..).unwrap_or_default();
                    }
                    None => break,
                }
                continue;
            }
            self.step(*first);
            rest = tail;
        }
        self.letter = cut(self.letter, bytes);
        self.is_free()
    }

    /// Whether a line of ours may stand there now.
    #[must_use]
    pub fn is_free(&self) -> bool {
        !self.alternate && self.is_whole()
    }

    /// Whether no letter or sequence is cut.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.place == InSequence::Text && self.letter == 0
    }

    /// Whether a program has the alternate screen.
    #[must_use]
    pub fn is_alternate(&self) -> bool {
        self.alternate
    }

    fn step(&mut self, byte: u8) {
        if byte == ESC {
            self.place = InSequence::Escape;
            return;
        }
        if BREAK_OFF.contains(&byte) {
            self.place = InSequence::Text;
            return;
        }
        self.place = match self.place {
            InSequence::Text => InSequence::Text,
            InSequence::Escape => match byte {
                b'[' => InSequence::Control { private: None, first: true },
                b']' => InSequence::String { bell_ends: true },
                b'P' | b'X' | b'^' | b'_' => InSequence::String { bell_ends: false },
                // RIS, a full reset.
                b'c' => {
                    self.alternate = false;
                    InSequence::Text
                }
                // Intermediate bytes, and controls that are carried out in between.
                ..=0x2f => InSequence::Escape,
                _ => InSequence::Text,
            },
            InSequence::Control { private, first } => match (byte, private) {
                (b'?', None) if first => {
                    InSequence::Control { private: Some(Private::default()), first: false }
                }
                (b'0'..=b'9', Some(private)) => {
                    let number = private.number.saturating_mul(10).saturating_add((byte - b'0').into());
                    InSequence::Control { private: Some(Private { number, ..private }), first: false }
                }
                (b';', Some(private)) => {
                    InSequence::Control { private: Some(private.end_number()), first: false }
                }
                (b'h' | b'l', Some(private)) => {
                    if private.end_number().named {
                        self.alternate = byte == b'h';
                    }
                    InSequence::Text
                }
                // Controls are carried out in between.
                (..=0x1f, private) => InSequence::Control { private, first },
                (0x40..=0x7e, _) => InSequence::Text,
                // An intermediate byte makes it another sequence.
                (0x20..=0x2f, _) => InSequence::Control { private: None, first: false },
                (_, private) => InSequence::Control { private, first: false },
            },
            InSequence::String { bell_ends: true } if byte == BEL => InSequence::Text,
            string @ InSequence::String { .. } => string,
        };
    }
}

/// How many bytes the last letter of `bytes` lacks, where `before` were lacking.
fn cut(before: u8, bytes: &[u8]) -> u8 {
    let mut after: u8 = 0;
    for byte in bytes.iter().rev().take(3) {
        let length: u8 = match byte {
            0x80..=0xbf => {
                after += 1;
                continue;
            }
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return length.saturating_sub(after + 1);
    }
    before.saturating_sub(after)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(text: &str) -> bool {
        AlternateScreen::default().feed(text.as_bytes())
    }

    #[test]
    fn a_line_may_stand_where_no_program_has_the_screen() {
        for text in [
            "",
            "$ ls\r\n",
            "\x1b[1;31mred\x1b[0m",
            "\x1b[?1049h vi \x1b[?1049l$ ",
            "\x1b[?47h\x1b[?47l",
            "\x1b[?1;1047h\x1b[?1047;25l",
            "\x1b[?1049h\x1bc",
            "\x1b[?25h\x1b[?2004h",
            "\x1b[1049h",
            "\x1b[?1049$h",
            "\x1b]0;title\x07$ ",
            "\x1b]0;[?1049h\x1b\\$ ",
            "\x1b(B\x1b=",
            "\x1b[?10\x1849h",
            "ünï€𝄞",
        ] {
            assert!(after(text), "{text:?}");
        }
    }

    #[test]
    fn none_may_stand_over_a_program_or_inside_a_sequence_or_a_letter() {
        for text in [
            "\x1b[?1049h",
            "\x1b[?1049h text \x1b[H\x1b[2J\x1b[31m",
            "\x1b[?47h",
            "\x1b[?1047h",
            "\x1b[?1;1049;25h",
            "\x1b[?1049l\x1b[?1049h",
            "\x1b[?10\n49h",
            "\x1b",
            "\x1b[",
            "\x1b[31",
            "\x1b]0;title",
            "\x1bPq",
        ] {
            assert!(!after(text), "{text:?}");
        }
        for letter in ["ü", "€", "𝄞"] {
            for length in 1..letter.len() {
                let part = letter.as_bytes().get(..length).unwrap();
                assert!(!AlternateScreen::default().feed(part), "{part:?}");
            }
        }
    }

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known =
            ["\x1b[?1049h", "\x1b[?1047;1l", "\x1b[?47h", "\x1b[31m", "\x1b]0;t\x07", "\x1bc", "€", "ab"];
        prop_oneof![
            proptest::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
            proptest::collection::vec(proptest::sample::select(b"\x1b[?1049hl;47\x18P]\x07".to_vec()), 0..8),
        ]
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_does_not_matter(
            pieces in proptest::collection::vec(piece(), 0..12),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        ) {
            let bytes = pieces.concat();
            let mut whole = AlternateScreen::default();
            whole.feed(&bytes);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut parts = AlternateScreen::default();
            for pair in cuts.windows(2) {
                parts.feed(&bytes[pair[0]..pair[1]]);
            }
            prop_assert_eq!(parts, whole);
        }
    }
}
