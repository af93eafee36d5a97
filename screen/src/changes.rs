//! What may look different since somebody last asked.

use std::ops::Range;

/// Rows that may look different, from top to bottom, and in which columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The size, the colours of the terminal or what stands in every row: draw it all.
    pub all: bool,
    /// Rows with their columns; each of them where `all` is set.
    pub spans: Vec<Span>,
}

/// Columns of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub row: u16,
    pub columns: Range<u16>,
}

impl Changes {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// Collects changes.
#[derive(Debug)]
pub(crate) struct Tracker {
    /// The first and the last column of each row; none where the first is greater.
    rows: Vec<(u16, u16)>,
    columns: u16,
    all: bool,
}

const CLEAN: (u16, u16) = (u16::MAX, 0);

impl Tracker {
    pub fn new(columns: u16, rows: u16) -> Self {
        Self { rows: vec![CLEAN; usize::from(rows)], columns, all: true }
    }

    pub fn everything(&mut self) {
        self.all = true;
    }

    /// Columns of a row, from one to before another.
    #[inline]
    pub fn columns(&mut self, row: usize, from: usize, to: usize) {
        if self.all {
            return;
        }
        if let Some((first, last)) = self.rows.get_mut(row) {
            *first = (*first).min(short(from));
            *last = (*last).max(short(to.saturating_sub(1)));
        }
    }

    /// All of the rows from one to before another.
    pub fn rows(&mut self, from: usize, to: usize) {
        if self.all || (from == 0 && to >= self.rows.len()) {
            self.all = true;
            return;
        }
        for row in from..to {
            self.columns(row, 0, usize::from(self.columns));
        }
    }

    pub fn take(&mut self) -> Changes {
        let (columns, all) = (self.columns, self.all);
        let span = |(row, kept): (usize, &mut (u16, u16))| {
            let (first, last) = std::mem::replace(kept, CLEAN);
            let (from, to) = if all { (0, columns) } else { (first, last.saturating_add(1).min(columns)) };
            (from < to).then_some(Span { row: short(row), columns: from..to })
        };
        let spans = self.rows.iter_mut().enumerate().filter_map(span).collect();
        Changes { all: std::mem::take(&mut self.all), spans }
    }
}

fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
