//! What a terminal knows, and what its cursor can do on the screen.

use std::mem;

use unicode_width::UnicodeWidthChar as _;

use crate::changes::Tracker;
use crate::charset::Charset;
use crate::color::Colors;
use crate::grapheme;
use crate::grid::Grid;
use crate::marks::Marks;
use crate::reflow::{Place, cut, reflow};
use crate::row::{Slot, Width};
use crate::style::Style;
use crate::{Shape, Size};

/// Titles that are kept at once.
const MOST_TITLES: usize = 16;
/// Cells that may be gone through for new sizes beyond those that were written for it: at
/// most about a second. After that rows are cut, as terminals without reflow do.
const REFLOW_CREDIT: usize = 64 << 20;
/// Cells that each byte written adds to it.
const REFLOW_CREDIT_A_BYTE: usize = 64;

/// What DECSC keeps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pen {
    pub at: Place,
    pub style: Style,
    charsets: [Charset; 4],
    /// The one of them that is in use.
    charset: usize,
    /// Rows count from the top margin (DECOM).
    pub origin: bool,
}

/// Modes that are on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Modes {
    pub wrap: bool,
    pub insert: bool,
    pub newline: bool,
    pub reverse: bool,
    pub cursor: bool,
    /// Synchronized update (2026).
    pub updating: bool,
    /// What belongs together takes one place (2027).
    pub graphemes: bool,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            wrap: true,
            insert: false,
            newline: false,
            reverse: false,
            cursor: true,
            updating: false,
            graphemes: false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Terminal {
    pub columns: usize,
    pub height: usize,
    main: Grid,
    /// There while a program has it.
    alternate: Option<Grid>,
    pub pen: Pen,
    /// Of the main screen and of the alternate one.
    saved: [Pen; 2],
    pub modes: Modes,
    pub shape: Shape,
    /// The scroll region: its first row, and the first one after it.
    pub margins: (usize, usize),
    tabs: Vec<bool>,
    /// For REP.
    last: Option<char>,
    pub marks: Marks,
    pub colors: Colors,
    pub title: Option<String>,
    titles: Vec<Option<String>>,
    pub changes: Tracker,
    credit: usize,
}

impl Terminal {
    pub fn new(size: Size) -> Self {
        let (columns, height) = (usize::from(size.columns), usize::from(size.rows));
        Self {
            columns,
            height,
            main: Grid::new(columns, height, true),
            alternate: None,
            pen: Pen::default(),
            saved: [Pen::default(); 2],
            modes: Modes::default(),
            shape: Shape::Block,
            margins: (0, height),
            tabs: stops(columns),
            last: None,
            marks: Marks::default(),
            colors: Colors::default(),
            title: None,
            titles: Vec::new(),
            changes: Tracker::new(size.columns, size.rows),
            credit: REFLOW_CREDIT,
        }
    }

    pub fn grid(&self) -> &Grid {
        self.alternate.as_ref().unwrap_or(&self.main)
    }

    pub fn grid_mut(&mut self) -> &mut Grid {
        self.alternate.as_mut().unwrap_or(&mut self.main)
    }

    /// What an erased cell looks like.
    pub fn blank(&self) -> Slot {
        Slot::blank(self.pen.style)
    }

    /// Bytes were written.
    pub fn written(&mut self, bytes: usize) {
        self.credit =
            self.credit.saturating_add(bytes.saturating_mul(REFLOW_CREDIT_A_BYTE)).min(REFLOW_CREDIT);
        if self.marks.is_crowded() {
            let rows = self.main.rows_mut().chain(self.alternate.iter_mut().flat_map(Grid::rows_mut));
            let cells = rows.flat_map(|row| row.cells_mut().iter_mut());
            self.marks.clean(|renew| cells.for_each(|cell| renew(&mut cell.marks)));
        }
    }

    // Characters.

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
        let (Place { row, column, .. }, columns) = (self.pen.at, self.columns);
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
        let Place { row, column, .. } = self.pen.at;
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
    fn before(&self) -> Option<(Place, Slot)> {
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
    fn widen(&mut self, at: Place, slot: Slot) {
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

    // The cursor.

    /// Goes to a row and column of the screen; with DECOM rows count from the top margin.
    pub fn go(&mut self, row: usize, column: usize) {
        let (top, bottom) = if self.pen.origin { self.margins } else { (0, self.height) };
        self.pen.at = Place {
            row: row.saturating_add(top).min(bottom.saturating_sub(1)),
            column: column.min(self.columns - 1),
            pending: false,
        };
    }

    pub fn go_column(&mut self, column: usize) {
        self.pen.at.column = column.min(self.columns - 1);
        self.pen.at.pending = false;
    }

    pub fn go_row(&mut self, row: usize) {
        self.go(row, self.pen.at.column);
    }

    /// Up, not beyond the top margin.
    pub fn up(&mut self, count: usize) {
        let at = &mut self.pen.at;
        let stop = if at.row >= self.margins.0 { self.margins.0 } else { 0 };
        at.row = at.row.saturating_sub(count).max(stop);
        at.pending = false;
    }

    /// Down, not beyond the bottom margin.
    pub fn down(&mut self, count: usize) {
        let at = &mut self.pen.at;
        let stop = if at.row < self.margins.1 { self.margins.1 } else { self.height };
        at.row = at.row.saturating_add(count).min(stop - 1);
        at.pending = false;
    }

    pub fn left(&mut self, count: usize) {
        self.go_column(self.pen.at.column.saturating_sub(count));
    }

    pub fn right(&mut self, count: usize) {
        self.go_column(self.pen.at.column.saturating_add(count));
    }

    pub fn line_feed(&mut self) {
        self.pen.at.pending = false;
        if self.pen.at.row + 1 == self.margins.1 {
            self.scroll_up(1);
        } else if self.pen.at.row + 1 < self.height {
            self.pen.at.row += 1;
        }
    }

    /// RI.
    pub fn reverse_line_feed(&mut self) {
        self.pen.at.pending = false;
        if self.pen.at.row == self.margins.0 {
            self.scroll_down(1);
        } else {
            self.pen.at.row = self.pen.at.row.saturating_sub(1);
        }
    }

    pub fn tab(&mut self, count: usize) {
        let after = self.tabs.iter().enumerate().skip(self.pen.at.column + 1);
        let stop = after.filter(|(_, stop)| **stop).nth(count.saturating_sub(1));
        let to = stop.map_or(self.columns - 1, |(column, _)| column);
        if to != self.pen.at.column {
            self.go_column(to);
        }
    }

    pub fn tab_back(&mut self, count: usize) {
        let before = self.tabs.iter().enumerate().take(self.pen.at.column).rev();
        let stop = before.filter(|(_, stop)| **stop).nth(count.saturating_sub(1));
        self.go_column(stop.map_or(0, |(column, _)| column));
    }

    pub fn set_tab(&mut self, on: bool) {
        if let Some(stop) = self.tabs.get_mut(self.pen.at.column) {
            *stop = on;
        }
    }

    pub fn clear_tabs(&mut self) {
        self.tabs.fill(false);
    }

    pub fn save(&mut self) {
        let [main, alternate] = &mut self.saved;
        *(if self.alternate.is_some() { alternate } else { main }) = self.pen;
    }

    pub fn restore(&mut self) {
        let [main, alternate] = self.saved;
        self.pen = if self.alternate.is_some() { alternate } else { main };
        self.pen.at = self.pen.at.clamp(self.columns, self.height);
    }

    // The screen.

    pub fn scroll_up(&mut self, count: usize) {
        let ((top, bottom), fill) = (self.margins, self.blank());
        self.grid_mut().scroll_up(top, bottom, count, fill);
        self.changes.rows(top, bottom);
    }

    pub fn scroll_down(&mut self, count: usize) {
        let ((top, bottom), fill) = (self.margins, self.blank());
        self.grid_mut().scroll_down(top, bottom, count, fill);
        self.changes.rows(top, bottom);
    }

    /// IL, or with `delete` DL: at the cursor, within the margins.
    pub fn shift_lines(&mut self, count: usize, delete: bool) {
        let ((top, bottom), row, fill) = (self.margins, self.pen.at.row, self.blank());
        if !(top..bottom).contains(&row) {
            return;
        }
        if delete && row > 0 {
            self.grid_mut().scroll_up(row, bottom, count, fill);
        } else if delete {
            self.grid_mut().drop_rows(bottom, count, fill);
        } else {
            self.grid_mut().scroll_down(row, bottom, count, fill);
        }
        self.changes.rows(row, bottom);
        self.go_column(0);
    }

    pub fn set_margins(&mut self, top: usize, bottom: usize) {
        let bottom = bottom.min(self.height);
        if top + 1 < bottom {
            self.margins = (top, bottom);
            self.go(0, 0);
        }
    }

    pub fn insert_cells(&mut self, count: usize) {
        let (Place { row, column, .. }, columns, fill) = (self.pen.at, self.columns, self.blank());
        if let Some(line) = self.grid_mut().row_mut(row) {
            line.insert(column, count, fill, columns);
        }
        self.changes.columns(row, column.saturating_sub(1), columns);
        self.pen.at.pending = false;
    }

    pub fn delete_cells(&mut self, count: usize) {
        let (Place { row, column, .. }, columns, fill) = (self.pen.at, self.columns, self.blank());
        if let Some(line) = self.grid_mut().row_mut(row) {
            line.delete(column, count, fill, columns);
        }
        self.changes.columns(row, column.saturating_sub(1), columns);
        self.pen.at.pending = false;
    }

    /// Erases columns of the cursor's row, from one to before another.
    pub fn erase(&mut self, from: usize, to: usize) {
        let (row, columns, fill) = (self.pen.at.row, self.columns, self.blank());
        let to = to.min(columns);
        if let Some(line) = self.grid_mut().row_mut(row) {
            line.erase(from, to, fill, columns);
        }
        self.changes.columns(row, from.saturating_sub(1), to + 1);
    }

    pub fn erase_rows(&mut self, from: usize, to: usize) {
        let fill = self.blank();
        self.grid_mut().reset(from, to, fill);
        self.changes.rows(from, to);
    }

    pub fn forget_history(&mut self) {
        self.main.forget_history();
    }

    /// DECALN.
    pub fn align(&mut self) {
        self.margins = (0, self.height);
        self.pen.origin = false;
        self.go(0, 0);
        let height = self.height;
        self.grid_mut().reset(0, height, Slot { character: 'E', ..Slot::default() });
        self.changes.everything();
    }

    /// To the alternate screen, which is empty then, or back.
    pub fn alternate(&mut self, on: bool) {
        if on == self.alternate.is_some() {
            return;
        }
        let (height, fill) = (self.height, self.blank());
        self.alternate = on.then(|| Grid::new(self.columns, height, false));
        if let Some(grid) = &mut self.alternate {
            grid.reset(0, height, fill);
        }
        self.changes.everything();
    }

    pub fn is_alternate(&self) -> bool {
        self.alternate.is_some()
    }

    pub fn set_title(&mut self, title: Option<String>) {
        self.title = title;
    }

    pub fn push_title(&mut self) {
        if self.titles.len() < MOST_TITLES {
            self.titles.push(self.title.clone());
        }
    }

    pub fn pop_title(&mut self) {
        if let Some(title) = self.titles.pop() {
            self.title = title;
        }
    }

    /// DECSTR.
    pub fn soft_reset(&mut self) {
        let Modes { reverse, newline, graphemes, .. } = self.modes;
        self.modes = Modes { reverse, newline, graphemes, ..Modes::default() };
        self.pen = Pen { at: self.pen.at, ..Pen::default() };
        self.pen.at.pending = false;
        self.save();
        let [main, alternate] = &mut self.saved;
        (if self.alternate.is_some() { alternate } else { main }).at = Place::default();
        self.margins = (0, self.height);
    }

    /// RIS. The title stays, as with xterm.
    pub fn reset(&mut self) {
        let size = Size {
            columns: u16::try_from(self.columns).unwrap_or(u16::MAX),
            rows: u16::try_from(self.height).unwrap_or(u16::MAX),
        };
        let (title, credit) = (self.title.take(), self.credit);
        *self = Self { title, credit, ..Self::new(size) };
    }

    pub fn resize(&mut self, size: Size) {
        let (columns, height) = (usize::from(size.columns), usize::from(size.rows));
        if (columns, height) == (self.columns, self.height) {
            return;
        }
        let cost = self.main.held() + height;
        let change = if let Some(rest) = self.credit.checked_sub(cost) {
            self.credit = rest;
            reflow
        } else {
            cut
        };
        let [main, alternate] = &mut self.saved;
        match &mut self.alternate {
            Some(grid) => {
                main.at = change(&mut self.main, columns, height, main.at.clamp(self.columns, self.height));
                self.pen.at = cut(grid, columns, height, self.pen.at);
            }
            None => self.pen.at = change(&mut self.main, columns, height, self.pen.at),
        }
        (self.columns, self.height) = (columns, height);
        main.at = main.at.clamp(columns, height);
        alternate.at = alternate.at.clamp(columns, height);
        self.margins = (0, height);
        self.tabs.truncate(columns);
        self.tabs.extend(stops(columns).into_iter().skip(self.tabs.len()));
        self.changes = Tracker::new(size.columns, size.rows);
    }
}

fn stops(columns: usize) -> Vec<bool> {
    (0..columns).map(|column| column % 8 == 0).collect()
}

/// Columns that a character takes; none for a control.
fn width(character: char) -> Option<usize> {
    match character {
        // Shown as a hyphen by terminals, and one column for wcwidth(3).
        '\u{ad}' => Some(1),
        _ => character.width(),
    }
}
