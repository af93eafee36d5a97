//! What a terminal knows, and what it does to its screen. `cursor` moves the cursor, `text`
//! writes characters.

mod cursor;
mod text;

use crate::changes::Tracker;
use crate::charset::Charset;
use crate::color::Colors;
use crate::grid::Grid;
use crate::marks::Marks;
use crate::reflow::{CursorPosition, cut, reflow};
use crate::row::Slot;
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
    pub at: CursorPosition,
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
    /// A sequence has just ended, so that what follows is text.
    pub between: bool,
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
            between: false,
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
        let (CursorPosition { row, column, .. }, columns, fill) = (self.pen.at, self.columns, self.blank());
        if let Some(line) = self.grid_mut().row_mut(row) {
            line.insert(column, count, fill, columns);
        }
        self.changes.columns(row, column.saturating_sub(1), columns);
        self.pen.at.pending = false;
    }

    pub fn delete_cells(&mut self, count: usize) {
        let (CursorPosition { row, column, .. }, columns, fill) = (self.pen.at, self.columns, self.blank());
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
        (if self.alternate.is_some() { alternate } else { main }).at = CursorPosition::default();
        self.margins = (0, self.height);
    }

    /// RIS. The title stays, as with xterm.
    pub fn reset(&mut self) {
        let size = Size {
            columns: u16::try_from(self.columns).unwrap_or(u16::MAX),
            rows: u16::try_from(self.height).unwrap_or(u16::MAX),
        };
        let (title, credit) = (self.title.take(), self.credit);
        *self = Self { title, credit, between: self.between, ..Self::new(size) };
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
