//! A terminal's screen: takes the bytes that a session showed, and says what stood there.
//!
//! It never answers, never waits and knows no clock. Whatever is written, in whatever
//! pieces, it neither fails nor takes more memory than its size allows: some 30 MB for a
//! screen of 1,000 x 1,000 that is full, twice that with an alternate one, and far less for
//! what people use. Each byte costs at most what a row or a column of the screen does.
//!
//! # What is where
//! `vte` finds control sequences; `perform` says what they mean, `sgr` and `color` what
//! their colours are; `terminal` holds the cursor and the modes; `grid`, `row` and `marks`
//! the cells; `reflow` what another size does to them; `changes` what is to be drawn.
//!
//! # Where it differs from a terminal
//! - Characters take the columns that wcwidth(3) says, as shells and editors expect. Only
//!   with mode 2027 a sequence of emoji that is one picture takes one place; without it its
//!   parts stand side by side, and U+FE0F changes no width.
//! - No left and right margins (DECLRMM), no protected cells (DECSCA), no rectangles
//!   (DECFRA and its like), no lines of double size, no 132 columns by sequence (DECCOLM),
//!   no pictures (sixel and others). What they draw with is skipped.
//! - A synchronized update (mode 2026) is applied at once; [`Screen::is_updating`] says that
//!   a picture of now would be torn.
//! - Controls of 8 bits are only IND, NEL, HTS and RI; other ones start no sequence, as in
//!   most terminals that read UTF-8.

mod changes;
mod charset;
mod color;
mod grapheme;
mod grid;
mod marks;
mod perform;
mod reflow;
mod row;
mod sgr;
mod style;
mod terminal;
#[cfg(test)]
mod tests;
mod utf8;

pub use changes::{Changes, Span};
pub use color::{Colors, Rgb};
pub use marks::MAX_MARKS;
pub use row::Width;
pub use style::{Attribute, Attributes, Color, Style, Underline};
pub use utf8::Unfinished;

use terminal::Terminal;

/// The most columns and the most rows.
pub const MAX_SIDE: u16 = 1000;

/// A screen's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

impl Size {
    /// The size of a terminal that has none.
    pub const USUAL: Self = Self { columns: 80, rows: 24 };

    /// A size that can be: 0 is the usual one's, and more than [`MAX_SIDE`] is that.
    #[must_use]
    pub fn bounded(columns: u32, rows: u32) -> Self {
        let side = |number: u32, usual| match u16::try_from(number) {
            Ok(0) => usual,
            Ok(number) => number.min(MAX_SIDE),
            Err(_) => MAX_SIDE,
        };
        Self { columns: side(columns, Self::USUAL.columns), rows: side(rows, Self::USUAL.rows) }
    }
}

/// How the cursor looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    Block,
    Underline,
    Bar,
    /// It is not shown.
    Hidden,
}

/// Where the cursor is, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub row: u16,
    pub column: u16,
    pub shape: Shape,
}

/// One column of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<'a> {
    /// A space where nothing is, and in the second column of a wide one.
    pub character: char,
    /// Combining characters, in the order in which they came; at most [`MAX_MARKS`].
    pub marks: &'a [char],
    pub width: Width,
    pub style: Style,
}

/// The screen.
pub struct Screen {
    parser: vte::Parser,
    /// The start of a character whose end has not come.
    unfinished: utf8::Unfinished,
    terminal: Terminal,
    /// As it was when changes were taken last.
    cursor: Cursor,
}

impl Screen {
    /// An empty one.
    #[must_use]
    pub fn new(size: Size) -> Self {
        let size = Size::bounded(size.columns.into(), size.rows.into());
        let mut terminal = Terminal::new(size);
        terminal.between = true;
        let cursor = Cursor { row: 0, column: 0, shape: Shape::Block };
        Self { parser: vte::Parser::new(), unfinished: utf8::Unfinished::default(), terminal, cursor }
    }

    /// Its size.
    #[must_use]
    pub fn size(&self) -> Size {
        Size { columns: short(self.terminal.columns), rows: short(self.terminal.height) }
    }

    /// Shows bytes. They may be cut anywhere; what is no UTF-8 shows as U+FFFD.
    pub fn write(&mut self, bytes: &[u8]) {
        self.terminal.written(bytes.len());
        let Self { parser, unfinished, terminal, .. } = self;
        unfinished.join(bytes, |whole| {
            let mut rest = whole;
            while !rest.is_empty() {
                if terminal.between {
                    // Text is the most of it, and needs no parser.
                    let length = memchr::memchr(0x1b, rest).unwrap_or(rest.len());
                    let text = rest.get(..length).unwrap_or_default();
                    let valid = match std::str::from_utf8(text) {
                        Ok(text) => text,
                        Err(error) => {
                            let valid = text.get(..error.valid_up_to()).unwrap_or_default();
                            std::str::from_utf8(valid).unwrap_or_default()
                        }
                    };
                    terminal.text(valid);
                    rest = rest.get(valid.len()..).unwrap_or_default();
                    terminal.between = rest.is_empty();
                } else {
                    let used = parser.advance_until_terminated(terminal, rest);
                    rest = rest.get(used..).unwrap_or_default();
                }
            }
        });
    }

    /// Gives it another size. Lines that ran over into the next row are broken anew.
    pub fn resize(&mut self, size: Size) {
        self.terminal.resize(Size::bounded(size.columns.into(), size.rows.into()));
    }

    /// A row's cells from left to right, one for each column; none of a row that is not.
    pub fn row(&self, row: u16) -> impl Iterator<Item = Cell<'_>> {
        let line = self.terminal.grid().row(usize::from(row));
        line.into_iter().flat_map(|line| {
            (0..self.terminal.columns).map(|column| {
                let slot = line.get(column);
                let marks = self.terminal.marks.get(slot.marks);
                Cell { character: slot.character, marks, width: slot.width, style: slot.style }
            })
        })
    }

    /// Whether the line of a row goes on in the next one, because it was too long.
    #[must_use]
    pub fn is_wrapped(&self, row: u16) -> bool {
        self.terminal.grid().row(usize::from(row)).is_some_and(|line| line.wrapped)
    }

    /// The cursor.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        let at = self.terminal.pen.at;
        let shape = if self.terminal.modes.cursor { self.terminal.shape } else { Shape::Hidden };
        Cursor { row: short(at.row), column: short(at.column), shape }
    }

    /// What may look different since this was last asked, the cursor included; all of it at
    /// first.
    pub fn take_changes(&mut self) -> Changes {
        let cursor = self.cursor();
        let old = std::mem::replace(&mut self.cursor, cursor);
        if old != cursor {
            for Cursor { row, column, .. } in [old, cursor] {
                // It may stand on a wide character.
                let column = usize::from(column);
                self.terminal.changes.columns(row.into(), column.saturating_sub(1), column + 2);
            }
        }
        self.terminal.changes.take()
    }

    /// Colours that a program set.
    #[must_use]
    pub fn colors(&self) -> &Colors {
        &self.terminal.colors
    }

    /// Whether foreground and background have changed places everywhere (DECSCNM).
    #[must_use]
    pub fn reverse(&self) -> bool {
        self.terminal.modes.reverse
    }

    /// Whether a program is in the middle of drawing (mode 2026). One that never ends must
    /// not keep a viewer waiting: terminals show what is there after some 150 ms.
    #[must_use]
    pub fn is_updating(&self) -> bool {
        self.terminal.modes.updating
    }

    /// Whether a program has the alternate screen.
    #[must_use]
    pub fn is_alternate(&self) -> bool {
        self.terminal.is_alternate()
    }

    /// The title, at most 256 characters of it, without controls.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.terminal.title.as_deref()
    }

    /// All rows, each with a line feed after it but the last, without blanks at their ends.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for row in 0..self.size().rows {
            if row > 0 {
                text.push('\n');
            }
            let start = text.len();
            for cell in self.row(row).filter(|cell| cell.width != Width::Continuation) {
                text.push(cell.character);
                text.extend(cell.marks);
            }
            let end = text.get(start..).map_or(0, |row| row.trim_end_matches(' ').len());
            text.truncate(start + end);
        }
        text
    }
}

fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
