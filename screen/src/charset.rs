//! Character sets that a 7-bit code may mean (ISO 2022, as VT terminals have them).

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Charset {
    #[default]
    Ascii,
    /// DEC Special Graphics: lines and corners.
    Lines,
    /// As ASCII, with a pound sign.
    British,
}

impl Charset {
    /// By the last byte of its designation.
    pub fn named(byte: u8) -> Self {
        match byte {
            b'0' | b'2' => Self::Lines,
            b'A' => Self::British,
            _ => Self::Ascii,
        }
    }

    pub fn map(self, character: char) -> char {
        match (self, character) {
            (Self::British, '#') => '£',
            (Self::Lines, '_'..='~') => lines(character),
            _ => character,
        }
    }
}

fn lines(character: char) -> char {
    match character {
        '_' => ' ',
        '`' => '◆',
        'a' => '▒',
        'b' => '␉',
        'c' => '␌',
        'd' => '␍',
        'e' => '␊',
        'f' => '°',
        'g' => '±',
        'h' => '␤',
        'i' => '␋',
        'j' => '┘',
        'k' => '┐',
        'l' => '┌',
        'm' => '└',
        'n' => '┼',
        'o' => '⎺',
        'p' => '⎻',
        'q' => '─',
        'r' => '⎼',
        's' => '⎽',
        't' => '├',
        'u' => '┤',
        'v' => '┴',
        'w' => '┬',
        'x' => '│',
        'y' => '≤',
        'z' => '≥',
        '{' => 'π',
        '|' => '≠',
        '}' => '£',
        '~' => '·',
        other => other,
    }
}
