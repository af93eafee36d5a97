//! One row of cells. It holds those up to the last one written; all after them look
//! alike, so that a row is erased, and a screen filled, at the cost of a row's head.

use crate::style::Style;

/// How many columns a cell takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Width {
    /// One.
    #[default]
    Narrow,
    /// This one and the next.
    Wide,
    /// The second column of the wide one before it.
    Continuation,
}

/// A cell as it is kept: 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub character: char,
    pub style: Style,
    pub width: Width,
    /// A wide character did not fit here and went to the next row.
    pub skipped: bool,
    /// Index of its combining characters in [`Marks`](crate::marks::Marks); 0 is none.
    pub marks: u16,
}

impl Slot {
    /// Nothing, on the background that `style` has.
    pub fn blank(style: Style) -> Self {
        let style = Style { background: style.background, ..Style::default() };
        Self { character: ' ', style, width: Width::Narrow, skipped: false, marks: 0 }
    }

    pub fn is_blank(&self) -> bool {
        *self == Self::default() || self.skipped
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::blank(Style::default())
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    cells: Vec<Slot>,
    /// What stands in all columns after those.
    fill: Slot,
    /// The line goes on in the next row.
    pub wrapped: bool,
}

impl Row {
    pub fn of(cells: Vec<Slot>, fill: Slot, wrapped: bool) -> Self {
        Self { cells, fill, wrapped }
    }

    pub fn cells(&self) -> &[Slot] {
        &self.cells
    }

    pub fn cells_mut(&mut self) -> &mut [Slot] {
        &mut self.cells
    }

    pub fn fill(&self) -> Slot {
        self.fill
    }

    pub fn get(&self, column: usize) -> Slot {
        self.cells.get(column).copied().unwrap_or(self.fill)
    }

    /// Erases all of it.
    pub fn reset(&mut self, fill: Slot) {
        self.cells.clear();
        self.fill = fill;
        self.wrapped = false;
    }

    /// Puts a narrow character where a narrow one, or nothing, was.
    #[inline]
    pub fn put(&mut self, column: usize, slot: Slot, columns: usize) {
        if let Some(old) = self.cells.get_mut(column) {
            if old.width == Width::Narrow {
                *old = slot;
                return;
            }
        } else if column == self.cells.len() && column < columns {
            if self.cells.capacity() == column {
                self.cells.reserve_exact((column.max(20) * 2).min(columns) - column);
            }
            self.cells.push(slot);
            return;
        }
        self.replace(column, column + 1, slot, columns);
    }

    /// Puts ASCII characters from a column on, each as `slot` but for its character.
    pub fn put_ascii(&mut self, column: usize, text: &[u8], slot: Slot, columns: usize) {
        let end = (column + text.len()).min(columns);
        self.cut(column);
        self.cut(end);
        if self.cells.len() < end {
            if self.cells.capacity() < end {
                let capacity = end.max(20).saturating_mul(2).min(columns);
                self.cells.reserve_exact(capacity - self.cells.len());
            }
            self.cells.resize(end, self.fill);
        }
        if let Some(cells) = self.cells.get_mut(column..end) {
            for (cell, byte) in cells.iter_mut().zip(text) {
                *cell = Slot { character: char::from(*byte), ..slot };
            }
        }
    }

    /// All cells from one column to before another.
    pub fn replace(&mut self, from: usize, to: usize, slot: Slot, columns: usize) {
        let to = to.min(columns);
        if from >= to {
            return;
        }
        self.cut(from);
        self.cut(to);
        if to > self.cells.len() {
            self.cells.resize(to, self.fill);
        }
        if let Some(cells) = self.cells.get_mut(from..to) {
            cells.fill(slot);
        }
    }

    /// Puts a wide character; its two columns are there.
    pub fn put_wide(&mut self, column: usize, slot: Slot, columns: usize) {
        self.replace(column, column + 2, slot, columns);
        if let Some(cell) = self.cells.get_mut(column) {
            cell.width = Width::Wide;
        }
        if let Some(cell) = self.cells.get_mut(column + 1) {
            *cell = Slot { character: ' ', width: Width::Continuation, marks: 0, ..slot };
        }
    }

    /// Erases from one column to before another.
    pub fn erase(&mut self, from: usize, to: usize, fill: Slot, columns: usize) {
        if to < columns {
            return self.replace(from, to, fill, columns);
        }
        self.wrapped = false;
        if from >= columns {
            return;
        }
        self.cut(from);
        if from > self.cells.len() && self.fill != fill {
            self.cells.resize(from, self.fill);
        }
        self.cells.truncate(from);
        self.fill = fill;
    }

    /// Moves what stands from a column on to the right, by `count`; what leaves is lost.
    pub fn insert(&mut self, column: usize, count: usize, fill: Slot, columns: usize) {
        let count = count.min(columns.saturating_sub(column));
        if count == 0 {
            return;
        }
        self.cut(column);
        self.cut(columns - count);
        if self.cells.len() > column || self.fill != fill {
            self.cells.resize(columns, self.fill);
            if let Some(moved) = self.cells.get_mut(column..) {
                moved.rotate_right(count);
                moved.iter_mut().take(count).for_each(|cell| *cell = fill);
            }
        }
        self.wrapped = false;
    }

    /// Takes `count` cells out; what stands after them moves left.
    pub fn delete(&mut self, column: usize, count: usize, fill: Slot, columns: usize) {
        let count = count.min(columns.saturating_sub(column));
        if count == 0 {
            return;
        }
        self.cut(column);
        self.cut(column + count);
        if self.fill != fill {
            self.cells.resize(columns, self.fill);
        }
        let end = self.cells.len();
        self.cells.drain(column.min(end)..(column + count).min(end));
        self.fill = fill;
        self.wrapped = false;
    }

    /// No cell of more than `columns` is left.
    pub fn narrow(&mut self, columns: usize) {
        self.cut(columns);
        if self.cells.len() > columns {
            self.cells.truncate(columns);
            self.cells.shrink_to_fit();
        }
    }

    /// Lets no wide character stand across the left edge of a column.
    fn cut(&mut self, column: usize) {
        let across = self.cells.get(column).is_some_and(|cell| cell.width == Width::Continuation);
        if across && let Some(halves) = self.cells.get_mut(column.saturating_sub(1)..=column) {
            halves.iter_mut().for_each(|cell| *cell = Slot::blank(cell.style));
        }
    }
}
