//! What was typed since the last Enter, and lines whose Enter was typed and not answered.

use std::collections::VecDeque;

use vte::{Params, Perform};

use super::row::{Cells, MOST};
use super::sequences::{Sequences, first};

/// Lines that may wait for their echo.
const MOST_WAITING: usize = 64;

/// Ends of control sequences that terminals send by themselves: reports of the cursor,
/// of what they are, of their modes, the focus and the mouse (xterm's ctlseqs).
const ANSWERS: [char; 9] = ['R', 'c', 'n', 't', 'I', 'O', 'M', 'm', 'y'];

/// What stands before and behind a paste (xterm's ctlseqs, bracketed paste mode).
const PASTE: [u16; 2] = [200, 201];

/// What was typed.
#[derive(Default)]
pub struct Keys {
    sequences: Sequences,
    hand: Hand,
}

#[derive(Default)]
struct Hand {
    line: Option<Line>,
    entered: VecDeque<Line>,
}

/// A line that is typed, or was.
struct Line {
    /// The row and place of the first key, and the prompt that stood before it.
    row: u64,
    place: usize,
    prompt: Vec<char>,
    /// The letters, as long as no key was anything else: then the screen shows these.
    letters: Option<Vec<char>>,
    /// It follows one that was not answered when its first key came.
    ahead: bool,
}

impl Keys {
    /// Reads what is typed while `row` is the cursor's.
    pub fn read(&mut self, bytes: &[u8], row: &Cells) {
        self.sequences.read(&mut Reader { hand: &mut self.hand, row }, bytes);
    }

    /// Whether nothing was typed that could still show.
    pub fn is_idle(&self) -> bool {
        self.hand.line.is_none() && self.hand.entered.is_empty()
    }

    /// Gives up what was typed.
    pub fn forget(&mut self) {
        self.hand = Hand::default();
    }

    /// A row has ended: the line that it shows, if one was entered on it.
    pub fn row_ended(&mut self, row: &Cells) -> Option<String> {
        let entered = &mut self.hand.entered;
        let shown = entered.iter().enumerate().find_map(|(place, line)| Some((place, line.shown(row)?)));
        match shown {
            Some((place, text)) => {
                entered.drain(..=place);
                Some(text).filter(|text| !text.trim().is_empty())
            }
            // The row of these has ended, and they were not on it: not echoed.
            None => {
                entered.retain(|line| line.row != row.number());
                None
            }
        }
    }
}

impl Line {
    fn new(row: &Cells) -> Self {
        let prompt = row.letters().iter().take(row.at()).copied().collect();
        Self { row: row.number(), place: row.at(), prompt, letters: Some(Vec::new()), ahead: false }
    }

    /// A line behind one that nobody has answered yet: it will stand on a row of its own, and
    /// the prompt before the cursor is the other's.
    fn ahead(row: &Cells) -> Self {
        Self { prompt: Vec::new(), ahead: true, ..Self::new(row) }
    }

    /// Enter was typed. Of a line that was typed ahead and edited only the row where it stands by
    /// now can be known; `false` where there is none.
    fn enter(&mut self, row: &Cells) -> bool {
        if !self.ahead || self.letters.is_some() {
            return true;
        }
        let elsewhere = row.number() != self.row;
        (self.row, self.place) = (row.number(), 0);
        elsewhere
    }

    /// The line as a row shows it.
    fn shown(&self, row: &Cells) -> Option<String> {
        let all = row.letters();
        let start = if row.number() == self.row {
            Some(self.place)
        } else {
            // The row was drawn anew, after a list of completions for example.
            let blank = self.prompt.iter().all(|letter| letter.is_whitespace());
            (!blank && all.starts_with(&self.prompt)).then_some(self.prompt.len())
        };
        let rest = all.get(start.unwrap_or(0)..)?;
        match (&self.letters, start) {
            (Some(letters), Some(_)) if rest.starts_with(letters) => Some(letters.iter().collect()),
            (Some(letters), _) => rest.ends_with(letters).then(|| letters.iter().collect()),
            (None, Some(_)) => {
                let text: String = rest.iter().collect();
                // Some programs show a star for each letter of a secret.
                let stars = text.trim().chars().all(|letter| matches!(letter, '*' | '•'));
                (!stars).then(|| text.trim().to_owned())
            }
            (None, None) => None,
        }
    }
}

/// Reads keys.
struct Reader<'a> {
    hand: &'a mut Hand,
    row: &'a Cells,
}

impl Reader<'_> {
    fn line(&mut self) -> &mut Line {
        let Hand { line, entered } = &mut *self.hand;
        let waits = entered.back().is_some_and(|before| before.row == self.row.number());
        line.get_or_insert_with(|| if waits { Line::ahead(self.row) } else { Line::new(self.row) })
    }

    /// A key that edits: what the line is now, only the screen shows.
    fn edit(&mut self) {
        self.line().letters = None;
    }
}

impl Perform for Reader<'_> {
    fn print(&mut self, letter: char) {
        if letter == '\u{7f}' {
            return self.execute(0x7f);
        }
        let line = self.line();
        match &mut line.letters {
            Some(letters) if letters.len() < MOST => letters.push(letter),
            _ => self.edit(),
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' | b'\n' => {
                let Some(mut line) = self.hand.line.take() else { return };
                // Nothing is left of it, or nobody could tell.
                if line.letters.as_ref().is_some_and(Vec::is_empty) {
                    return;
                }
                if !line.enter(self.row) {
                    return;
                }
                if self.hand.entered.len() >= MOST_WAITING {
                    self.hand.entered.pop_front();
                }
                self.hand.entered.push_back(line);
            }
            // Backspace.
            0x08 | 0x7f => {
                if let Some(letters) = &mut self.line().letters {
                    letters.pop();
                }
            }
            // ^U
            0x15 => {
                if let Some(letters) = &mut self.line().letters {
                    letters.clear();
                }
            }
            // ^C and ^Z
            0x03 | 0x1a => self.hand.line = None,
            _ => self.edit(),
        }
    }

    fn csi_dispatch(&mut self, params: &Params, _intermediates: &[u8], _ignore: bool, action: char) {
        let paste = action == '~' && PASTE.contains(&first(params));
        if !paste && !ANSWERS.contains(&action) {
            self.edit();
        }
    }

    fn esc_dispatch(&mut self, _intermediates: &[u8], _ignore: bool, byte: u8) {
        // The end of a string that a terminal answered with.
        if byte != b'\\' {
            self.edit();
        }
    }
}
