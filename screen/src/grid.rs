//! The rows of one screen, with those that left it at the top as far as they are kept.

use std::collections::VecDeque;

use crate::row::{Row, Slot};

/// The most rows that are kept above the screen.
const MOST_HISTORY: usize = 1000;
/// The most cells that those may have.
const MOST_HISTORY_CELLS: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Grid {
    /// The history, then the screen.
    rows: VecDeque<Row>,
    height: usize,
    columns: usize,
    /// Rows of the history that may be kept.
    keep: usize,
}

impl Grid {
    pub fn new(columns: usize, height: usize, history: bool) -> Self {
        let rows = std::iter::repeat_with(Row::default).take(height).collect();
        Self { rows, height, columns, keep: if history { keep(columns) } else { 0 } }
    }

    /// Puts these rows in the place of all; the last `height` ones are the screen.
    pub fn refill(&mut self, rows: VecDeque<Row>, columns: usize, height: usize) {
        (self.rows, self.columns, self.height) = (rows, columns, height);
        while self.rows.len() < height {
            self.rows.push_back(Row::default());
        }
        if self.keep > 0 {
            self.keep = keep(columns);
        }
        let most = height + self.keep;
        self.rows.drain(..self.rows.len().saturating_sub(most));
    }

    pub fn take(&mut self) -> VecDeque<Row> {
        std::mem::take(&mut self.rows)
    }

    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.rows.iter_mut()
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    pub fn height(&self) -> usize {
        self.height
    }

    /// Rows above the screen.
    pub fn history(&self) -> usize {
        self.rows.len().saturating_sub(self.height)
    }

    pub fn forget_history(&mut self) {
        self.rows.drain(..self.history());
    }

    /// Cells that are held, which is what it costs to go through them.
    pub fn held(&self) -> usize {
        self.rows.iter().map(|row| row.cells().len() + 8).sum()
    }

    #[inline]
    pub fn row(&self, row: usize) -> Option<&Row> {
        self.rows.get(self.history() + row)
    }

    #[inline]
    pub fn row_mut(&mut self, row: usize) -> Option<&mut Row> {
        let place = self.history() + row;
        self.rows.get_mut(place)
    }

    /// Moves the rows from `top` to before `bottom` up. What leaves the screen at its top
    /// goes to the history.
    pub fn scroll_up(&mut self, top: usize, bottom: usize, count: usize, fill: Slot) {
        let count = count.min(bottom.saturating_sub(top));
        if top == 0 && (self.keep > 0 || bottom == self.height) {
            for _ in 0..count {
                // The oldest row gives its memory to the new one.
                let oldest = if self.history() >= self.keep { self.rows.pop_front() } else { None };
                let mut fresh = oldest.unwrap_or_default();
                fresh.reset(fill);
                // Rows below the region stay where they are.
                let below = self.height - bottom;
                self.rows.insert(self.rows.len().saturating_sub(below), fresh);
            }
            return;
        }
        let start = self.history();
        for row in top..bottom - count {
            self.rows.swap(start + row, start + row + count);
        }
        self.reset(bottom - count, bottom, fill);
    }

    /// As [`Self::scroll_up`] from the top row, but the history gets nothing.
    pub fn drop_rows(&mut self, bottom: usize, count: usize, fill: Slot) {
        let history = self.history();
        let count = count.min(bottom);
        for row in 0..bottom - count {
            self.rows.swap(history + row, history + row + count);
        }
        self.reset(bottom - count, bottom, fill);
    }

    /// Moves the rows from `top` to before `bottom` down; those that leave are lost.
    pub fn scroll_down(&mut self, top: usize, bottom: usize, count: usize, fill: Slot) {
        let count = count.min(bottom.saturating_sub(top));
        let start = self.history();
        for row in (top + count..bottom).rev() {
            self.rows.swap(start + row, start + row - count);
        }
        self.reset(top, top + count, fill);
    }

    /// Erases the rows from one to before another.
    pub fn reset(&mut self, from: usize, to: usize, fill: Slot) {
        let start = self.history();
        for row in self.rows.iter_mut().skip(start + from).take(to.saturating_sub(from)) {
            row.reset(fill);
        }
    }
}

fn keep(columns: usize) -> usize {
    (MOST_HISTORY_CELLS / columns.max(1)).min(MOST_HISTORY)
}
