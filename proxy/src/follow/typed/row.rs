//! The row of the screen that the cursor is on, with the rows it runs over into. Of
//! ECMA-48 and xterm's ctlseqs it knows what line editors use.

use vte::{Params, Perform};

use super::sequences::{Sequences, first};

/// The most letters of a row.
pub const MOST: usize = 4096;

/// A tabulator's stops.
const TAB: usize = 8;

/// The cursor's row, and what is read of a sequence so far.
pub struct Row {
    sequences: Sequences,
    cells: Cells,
}

/// The letters of a row.
pub struct Cells {
    letters: Vec<char>,
    at: usize,
    width: usize,
    /// Counts rows, so that one is never taken for another.
    number: u64,
    /// It has more letters than are kept.
    over: bool,
}

impl Row {
    pub fn new(columns: u32) -> Self {
        let cells = Cells { letters: Vec::new(), at: 0, width: width(columns), number: 0, over: false };
        Self { sequences: Sequences::default(), cells }
    }

    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    pub fn resize(&mut self, columns: u32) {
        self.cells.width = width(columns);
    }

    /// Another screen was shown: nothing is known of this one's row.
    pub fn leave(&mut self) {
        self.sequences = Sequences::default();
        self.cells.end();
    }

    /// Reads what is shown; `ended` sees each row at its end.
    pub fn write(&mut self, bytes: &[u8], ended: impl FnMut(&Cells)) {
        self.sequences.read(&mut Pen { cells: &mut self.cells, ended }, bytes);
    }

    /// Reads what is shown where no row but the last one matters, for little: what comes
    /// before the last line feed is not looked at.
    pub fn pass(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if let Some(place) = memchr::memrchr(b'\n', rest) {
            self.leave();
            rest = rest.get(place + 1..).unwrap_or_default();
        }
        if (rest.len() > MOST || self.cells.over)
            && let Some(place) = memchr::memrchr(b'\r', rest)
        {
            self.leave();
            rest = rest.get(place + 1..).unwrap_or_default();
        }
        if rest.len() > MOST {
            self.cells.over = true;
        }
        if !self.cells.over {
            self.write(rest, |_| {});
        }
    }
}

fn width(columns: u32) -> usize {
    usize::try_from(columns).ok().filter(|columns| *columns > 0).unwrap_or(usize::MAX)
}

impl Cells {
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where the cursor is.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What stands there; nothing when it is not all known.
    pub fn letters(&self) -> &[char] {
        if self.over { &[] } else { &self.letters }
    }

    fn end(&mut self) {
        self.letters.clear();
        self.at = 0;
        self.over = false;
        self.number += 1;
    }

    /// Moves the cursor, and lets the row reach it.
    fn go(&mut self, to: usize) {
        if to > MOST {
            self.over = true;
            return;
        }
        self.at = to;
        if self.letters.len() < to {
            self.letters.resize(to, ' ');
        }
    }

    /// Where the cursor's line of the screen begins.
    fn margin(&self) -> usize {
        self.at - self.at.checked_rem(self.width).unwrap_or(0)
    }

    fn put(&mut self, letter: char) {
        let at = self.at;
        self.go(at + 1);
        if let Some(cell) = self.letters.get_mut(at) {
            *cell = letter;
        }
    }

    fn control(&mut self, action: char, count: usize) {
        let (at, end, margin) = (self.at, self.letters.len(), self.margin());
        match action {
            'C' => self.go(at.saturating_add(count)),
            'D' => self.go(at.saturating_sub(count)),
            'G' | '`' => self.go(margin.saturating_add(count - 1)),
            'A' => self.go(at.checked_sub(self.width.saturating_mul(count)).unwrap_or(at - margin)),
            'B' => self.go(at.saturating_add(self.width.saturating_mul(count)).min(end)),
            'P' => drop(self.letters.drain(at.min(end)..at.saturating_add(count).min(end))),
            '@' if end.saturating_add(count) > MOST => self.over = true,
            '@' => drop(self.letters.splice(at.min(end)..at.min(end), std::iter::repeat_n(' ', count))),
            'X' => self.letters.iter_mut().skip(at).take(count).for_each(|cell| *cell = ' '),
            _ => {}
        }
    }
}

/// Writes on a row.
struct Pen<'a, F> {
    cells: &'a mut Cells,
    ended: F,
}

impl<F: FnMut(&Cells)> Perform for Pen<'_, F> {
    fn print(&mut self, letter: char) {
        self.cells.put(letter);
    }

    fn execute(&mut self, byte: u8) {
        let cells = &mut *self.cells;
        match byte {
            0x08 => cells.go(cells.at.saturating_sub(1)),
            b'\t' => cells.go(cells.at.saturating_add(TAB) / TAB * TAB),
            b'\r' => cells.go(cells.margin()),
            b'\n' | 0x0b | 0x0c => {
                // A line editor moves so between the lines of one that is too long for the screen.
                let below = cells.margin().saturating_add(cells.width);
                if below < cells.letters.len() {
                    cells.go((cells.at.saturating_add(cells.width)).min(cells.letters.len()));
                } else {
                    (self.ended)(cells);
                    cells.end();
                }
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        if !intermediates.is_empty() {
            return;
        }
        let cells = &mut *self.cells;
        match (action, first(params)) {
            ('K', 0) | ('J', 0) => cells.letters.truncate(cells.at),
            ('K', 1) => cells.letters.iter_mut().take(cells.at).for_each(|cell| *cell = ' '),
            ('K', _) => {
                cells.letters.clear();
                cells.go(cells.at);
            }
            ('J' | 'H' | 'f' | 'd', _) => cells.end(),
            (action, count) => cells.control(action, usize::from(count.max(1))),
        }
    }

    fn esc_dispatch(&mut self, _intermediates: &[u8], _ignore: bool, byte: u8) {
        // RIS, a full reset.
        if byte == b'c' {
            self.cells.end();
        }
    }
}
