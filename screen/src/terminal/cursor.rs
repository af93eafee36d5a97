//! Where the cursor goes.

use super::Terminal;
use crate::reflow::CursorPosition;

impl Terminal {
    /// Goes to a row and column of the screen; with DECOM rows count from the top margin.
    pub fn go(&mut self, row: usize, column: usize) {
        let (top, bottom) = if self.pen.origin { self.margins } else { (0, self.height) };
        self.pen.at = CursorPosition {
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
}
