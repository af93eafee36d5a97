//! Another size. On the main screen lines that ran over into the next row are joined and
//! broken anew, as terminals of today do; on the alternate one rows are cut, because the
//! program that has it draws it anew.
//!
//! Which rows are on the screen afterwards: a screen that was full stays full, with its
//! last row at the bottom; one that was not keeps its first row, as long as the cursor and
//! what stands below it have room.

use std::collections::VecDeque;

use crate::grid::Grid;
use crate::row::{Row, Slot, Width};

/// Where the cursor is; `pending` when the next character goes to the next row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CursorPosition {
    pub row: usize,
    pub column: usize,
    pub pending: bool,
}

impl CursorPosition {
    pub fn clamp(self, columns: usize, height: usize) -> Self {
        let position = Self { row: self.row.min(height - 1), column: self.column.min(columns - 1), ..self };
        Self { pending: self.pending && position.column == columns - 1, ..position }
    }
}

/// Gives the main screen another size; returns where the cursor is then.
pub(crate) fn reflow(
    grid: &mut Grid,
    columns: usize,
    height: usize,
    cursor: CursorPosition,
) -> CursorPosition {
    let (old_columns, old_height, top) = (grid.columns(), grid.height(), grid.history());
    let old_cursor = top + cursor.row;
    let rows = grid.take();
    let blank = |row: &Row| row.fill().is_blank() && row.cells().iter().all(Slot::is_blank);
    let last = rows.iter().rposition(|row| !blank(row)).unwrap_or(0).max(old_cursor);
    let full = last + 1 >= top + old_height;
    let mut broken =
        Breaker { columns, rows: VecDeque::with_capacity(rows.len()), cursor: CursorPosition::default() };
    let mut new_top = 0;
    let mut line: Vec<Slot> = Vec::new();
    let (mut cursor_at, mut top_at) = (None, None);
    for (index, row) in rows.into_iter().enumerate().take(last + 1) {
        if index == old_cursor {
            cursor_at = Some((line.len() + cursor.column + usize::from(cursor.pending), cursor.pending));
        }
        if index == top {
            top_at = Some(line.len());
        }
        line.extend_from_slice(row.cells());
        if row.wrapped && index < last {
            let start = line.len() - row.cells().len();
            line.resize(start + old_columns, row.fill());
            if line.last().is_some_and(|cell| cell.skipped) {
                line.pop();
            }
            continue;
        }
        let first = broken.rows.len();
        broken.line(&mut line, row.fill(), cursor_at.take());
        if let Some(offset) = top_at.take() {
            new_top = first + broken.row_of(first, offset);
        }
    }
    let cursor = broken.cursor;
    let mut rows = broken.rows;
    let end = rows.len();
    if full {
        new_top = end.saturating_sub(height);
    }
    new_top =
        new_top.max(end.saturating_sub(height)).min(cursor.row).max((cursor.row + 1).saturating_sub(height));
    rows.truncate(new_top + height);
    while rows.len() < new_top + height {
        rows.push_back(Row::default());
    }
    grid.refill(rows, columns, height);
    CursorPosition { row: cursor.row - new_top, ..cursor }
}

/// Breaks lines into rows.
struct Breaker {
    columns: usize,
    rows: VecDeque<Row>,
    /// Where the cursor is, counted from the first row of all.
    cursor: CursorPosition,
}

impl Breaker {
    /// Takes what stands in `line`. `cursor` is the cursor's offset in it, and whether it
    /// was to go on in the next row.
    fn line(&mut self, line: &mut Vec<Slot>, fill: Slot, cursor: Option<(usize, bool)>) {
        let used = line.iter().rposition(|cell| !cell.is_blank()).map_or(0, |last| last + 1);
        line.truncate(used);
        let mut start = 0;
        loop {
            let mut end = (start + self.columns).min(line.len());
            let split = line.get(end).is_some_and(|cell| cell.width == Width::Continuation);
            if split && self.columns > 1 {
                end -= 1;
            }
            let mut cells = line.get(start..end).unwrap_or_default().to_vec();
            let last = end >= line.len();
            if !last {
                cells.resize(self.columns, Slot { skipped: true, ..Slot::default() });
            }
            if let Some((offset, pending)) = cursor
                && offset >= start
                && (offset < end || last)
            {
                let column = offset - start;
                let over = column >= self.columns;
                self.cursor = CursorPosition {
                    row: self.rows.len(),
                    column: column.min(self.columns - 1),
                    pending: column == self.columns || (pending && over),
                };
            }
            if self.columns == 1 {
                cells.iter_mut().for_each(|cell| cell.width = Width::Narrow);
            }
            self.rows.push_back(Row::of(cells, if last { fill } else { Slot::default() }, !last));
            if last {
                break;
            }
            start = end;
        }
        line.clear();
    }

    /// The row, counted from `first`, that an offset of the last line is in.
    fn row_of(&self, first: usize, offset: usize) -> usize {
        let mut left = offset;
        for (index, row) in self.rows.iter().skip(first).enumerate() {
            let cells = row.cells().iter().filter(|cell| !cell.skipped).count();
            if left < cells {
                return index;
            }
            left -= cells;
        }
        self.rows.len().saturating_sub(first + 1)
    }
}

/// Cuts rows, or adds some; returns where the cursor is then.
pub(crate) fn cut(grid: &mut Grid, columns: usize, height: usize, cursor: CursorPosition) -> CursorPosition {
    let above = (cursor.row + 1).saturating_sub(height);
    let history = grid.history();
    let mut rows = grid.take();
    rows.drain(history..history + above);
    rows.truncate(history + height);
    rows.iter_mut().for_each(|row| row.narrow(columns));
    grid.refill(rows, columns, height);
    CursorPosition { row: cursor.row - above, ..cursor }.clamp(columns, height)
}
