//! Characters on their way to cells.

use std::mem;

use unicode_width::UnicodeWidthChar as _;

use super::Terminal;
use crate::charset::Charset;
use crate::grapheme;
use crate::reflow::CursorPosition;
use crate::row::{Slot, Width};

impl Terminal {
    /// Prints characters from space to tilde, a row's part at a time.
    pub fn ascii(&mut self, text: &str) {
        let charset = self.pen.charsets.get(self.pen.charset).copied().unwrap_or_default();
        if self.modes.insert || !self.modes.wrap || charset != Charset::Ascii {
            return text.chars().for_each(|character| self.print(character));
        }
        let mut rest = text;
        while !rest.is_empty() {
            if self.pen.at.pending {
                self.wrap();
            }
            let (CursorPosition { row, column, .. }, columns) = (self.pen.at, self.columns);
            let fits = rest.len().min(columns - column);
            let (part, after) = rest.split_at_checked(fits).unwrap_or((rest, ""));
            let style = self.pen.style;
            let grid = self.alternate.as_mut().unwrap_or(&mut self.main);
            if let Some(line) = grid.row_mut(row) {
                line.put_ascii(column, part.as_bytes(), Slot { style, ..Slot::default() }, columns);
            }
            self.changes.columns(row, column.saturating_sub(1), column + fits + 1);
            self.last = part.chars().next_back();
            self.forward(fits);
            rest = after;
        }
    }

    #[inline]
    pub fn print(&mut self, character: char) {
        let charset = self.pen.charsets.get(self.pen.charset).copied().unwrap_or_default();
        let character = if charset == Charset::Ascii { character } else { charset.map(character) };
        if matches!(character, ' '..='~') {
            return self.narrow(character);
        }
        match width(character) {
            Some(0) => self.mark(character),
            Some(1) if !self.modes.graphemes => self.narrow(character),
            Some(columns) if !self.modes.graphemes || !self.join(character) => match columns {
                1 => self.narrow(character),
                _ => self.wide(character),
            },
            _ => {}
        }
    }

    #[inline]
    fn narrow(&mut self, character: char) {
        if self.pen.at.pending {
            self.wrap();
        }
        let (CursorPosition { row, column, .. }, columns) = (self.pen.at, self.columns);
        let slot = Slot { character, style: self.pen.style, width: Width::Narrow, skipped: false, marks: 0 };
        if self.modes.insert {
            self.insert_cells(1);
        }
        let grid = self.alternate.as_mut().unwrap_or(&mut self.main);
        if let Some(line) = grid.row_mut(row) {
            line.put(column, slot, columns);
        }
        self.changes.columns(row, column.saturating_sub(1), column + 2);
        self.last = Some(character);
        self.forward(1);
    }

    fn wide(&mut self, character: char) {
        let columns = self.columns;
        if columns < 2 {
            return;
        }
        if self.pen.at.pending {
            self.wrap();
        }
        if self.pen.at.column + 2 > columns {
            if !self.modes.wrap {
                return;
            }
            // It does not fit any more, and leaves a column free.
            let (at, slot) = (self.pen.at, Slot { skipped: true, ..self.blank() });
            if let Some(line) = self.grid_mut().row_mut(at.row) {
                line.replace(at.column, columns, slot, columns);
            }
            self.changes.columns(at.row, at.column.saturating_sub(1), columns);
            self.wrap();
        }
        if self.modes.insert {
            self.insert_cells(2);
        }
        let CursorPosition { row, column, .. } = self.pen.at;
        let slot = Slot { character, style: self.pen.style, ..Slot::default() };
        if let Some(line) = self.grid_mut().row_mut(row) {
            line.put_wide(column, slot, columns);
        }
        self.changes.columns(row, column.saturating_sub(1), column + 3);
        self.last = Some(character);
        self.forward(2);
    }

    #[inline]
    fn forward(&mut self, columns: usize) {
        let at = &mut self.pen.at;
        at.column += columns;
        if at.column >= self.columns {
            at.column = self.columns - 1;
            at.pending = true;
        }
    }

    /// To the start of the next row, of which this one is a part; without DECAWM it stays.
    fn wrap(&mut self) {
        self.pen.at.pending = false;
        if !self.modes.wrap {
            return;
        }
        let row = self.pen.at.row;
        if let Some(line) = self.grid_mut().row_mut(row) {
            line.wrapped = true;
        }
        self.pen.at.column = 0;
        self.line_feed();
    }

    /// The cell that was written last, where the cursor still stands behind it.
    fn before(&self) -> Option<(CursorPosition, Slot)> {
        let mut at = self.pen.at;
        if !at.pending {
            at.column = at.column.checked_sub(1)?;
        }
        let line = self.grid().row(at.row)?;
        if line.get(at.column).width == Width::Continuation {
            at.column = at.column.checked_sub(1)?;
        }
        Some((at, line.get(at.column)))
    }

    /// Puts a combining character on what stands before the cursor.
    fn mark(&mut self, mark: char) {
        if !grapheme::is_kept(mark) {
            return;
        }
        let Some((at, slot)) = self.before() else { return };
        let marks = self.marks.with(slot.marks, mark);
        let columns = self.columns;
        let Some(line) = self.grid_mut().row_mut(at.row) else { return };
        let widen = mark == grapheme::EMOJI_STYLE && slot.width == Width::Narrow;
        if marks != slot.marks {
            if slot.width == Width::Wide {
                line.put_wide(at.column, Slot { marks, width: Width::Narrow, ..slot }, columns);
            } else {
                line.replace(at.column, at.column + 1, Slot { marks, ..slot }, columns);
            }
        }
        self.changes.columns(at.row, at.column, at.column + 2);
        if self.modes.graphemes && widen && grapheme::is_emoji_base(slot.character) {
            self.widen(at, Slot { marks, ..slot });
        }
    }

    /// A character of one column becomes one of two.
    fn widen(&mut self, at: CursorPosition, slot: Slot) {
        let columns = self.columns;
        if at.column + 2 > columns {
            return;
        }
        if let Some(line) = self.grid_mut().row_mut(at.row) {
            line.put_wide(at.column, slot, columns);
        }
        self.changes.columns(at.row, at.column, at.column + 3);
        self.forward(1);
    }

    /// Adds a character to the one before it, where both are one (mode 2027).
    fn join(&mut self, character: char) -> bool {
        let Some((at, slot)) = self.before() else { return false };
        if !grapheme::joins(slot.character, self.marks.get(slot.marks), character) {
            return false;
        }
        let marks = self.marks.with(slot.marks, character);
        let columns = self.columns;
        if let Some(line) = self.grid_mut().row_mut(at.row) {
            match slot.width {
                Width::Wide => {
                    line.put_wide(at.column, Slot { marks, width: Width::Narrow, ..slot }, columns)
                }
                _ => line.replace(at.column, at.column + 1, Slot { marks, ..slot }, columns),
            }
        }
        self.changes.columns(at.row, at.column, at.column + 2);
        if slot.width == Width::Narrow {
            self.widen(at, Slot { marks, ..slot });
        }
        true
    }

    /// Prints the last character again (REP). More than a row of them no program asks for.
    pub fn repeat(&mut self, count: usize) {
        let Some(last) = self.last else { return };
        let charset = mem::replace(&mut self.pen.charset, 0);
        let ascii = self.pen.charsets.first().copied().unwrap_or_default();
        self.set_charset(0, Charset::Ascii);
        for _ in 0..count.min(self.columns) {
            self.print(last);
        }
        self.set_charset(0, ascii);
        self.pen.charset = charset;
    }

    pub fn set_charset(&mut self, index: usize, charset: Charset) {
        if let Some(place) = self.pen.charsets.get_mut(index) {
            *place = charset;
        }
    }

    pub fn use_charset(&mut self, index: usize) {
        self.pen.charset = index;
    }
}

/// Columns that a character takes; none for a control.
fn width(character: char) -> Option<usize> {
    match character {
        // Shown as a hyphen by terminals, and one column for wcwidth(3).
        '\u{ad}' => Some(1),
        _ => character.width(),
    }
}
