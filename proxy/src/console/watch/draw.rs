//! Cells to what a terminal draws them with (ECMA-48, xterm's ctlseqs).

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use tidegate_screen::{Attribute, Cell, Color, Screen, Shape, Style, Underline, Width};

use crate::console::Size;

/// The alternate screen.
const BEGIN: &str = "\x1b[?1049h\x1b[2J";
/// As it was before.
pub const END: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// The part of a session's screen that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    top: u16,
    left: u16,
    rows: u16,
    columns: u16,
    /// The terminal it is drawn on.
    on: (u16, u16),
    reverse: bool,
}

impl Part {
    /// All of it, or what is around the cursor.
    fn of(screen: &Screen, size: Size) -> Self {
        let side = |number: u32, usual| match u16::try_from(number) {
            Ok(0) => usual,
            Ok(number) => number,
            Err(_) => u16::MAX,
        };
        let on = (side(size.columns, 80), side(size.rows, 24));
        let (cursor, all) = (screen.cursor(), screen.size());
        let from = |cursor: u16, all: u16, room: u16| {
            cursor.saturating_add(1).saturating_sub(room).min(all.saturating_sub(room))
        };
        let (top, left) = (from(cursor.row, all.rows, on.1), from(cursor.column, all.columns, on.0));
        let (rows, columns) = (all.rows.min(on.1), all.columns.min(on.0));
        Self { top, left, rows, columns, on, reverse: screen.reverse() }
    }
}

/// What stands on the watcher's terminal.
#[derive(Debug, Default)]
pub struct Drawing {
    about: String,
    part: Option<Part>,
}

impl Drawing {
    /// Takes the terminal; `about` is whose session it is.
    pub fn begin(&mut self, about: &str) -> String {
        self.about = about.chars().filter(|letter| !letter.is_control()).collect();
        format!("{BEGIN}\x1b]2;{}\x07", self.about)
    }

    /// What of the screen differs from what was drawn last, for a terminal of this size.
    pub fn draw(&mut self, screen: &mut Screen, size: Size) -> String {
        let part = Part::of(screen, size);
        let mut changes = screen.take_changes();
        let anew = self.part != Some(part) || changes.all;
        let mut text = "\x1b[?2026h\x1b[?25l".to_owned();
        if anew {
            changes.spans.clear();
            for row in part.top..part.top.saturating_add(part.rows) {
                cells(&mut text, screen, part, row);
                text.push_str("\x1b[0m\x1b[K");
            }
            if part.rows < part.on.1 {
                at(&mut text, part.rows, 0);
                text.push_str("\x1b[0m\x1b[J");
                at(&mut text, part.on.1 - 1, 0);
                let about: String = self.about.chars().take(part.on.0.into()).collect();
                text.push_str(&format!("\x1b[0;7m{about}\x1b[K\x1b[0m"));
            }
        }
        for span in changes.spans {
            if (part.top..part.top.saturating_add(part.rows)).contains(&span.row) {
                cells(&mut text, screen, part, span.row);
            }
        }
        self.part = Some(part);
        text.push_str("\x1b[0m");
        let cursor = screen.cursor();
        at(&mut text, cursor.row.saturating_sub(part.top), cursor.column.saturating_sub(part.left));
        if cursor.shape != Shape::Hidden {
            text.push_str("\x1b[?25h");
        }
        text.push_str("\x1b[?2026l");
        text
    }
}

/// Puts the cursor there; both count from 0.
fn at(text: &mut String, row: u16, column: u16) {
    let _ = write!(text, "\x1b[{};{}H", u32::from(row) + 1, u32::from(column) + 1);
}

/// Draws a row of the part.
fn cells(text: &mut String, screen: &Screen, part: Part, row: u16) {
    at(text, row.saturating_sub(part.top), 0);
    let mut drawn = None;
    let (mut column, end) = (0, part.columns);
    for cell in screen.row(row).skip(part.left.into()).take(part.columns.into()) {
        let style = if part.reverse { reversed(cell.style) } else { cell.style };
        if drawn != Some(style) {
            sgr(text, style);
            drawn = Some(style);
        }
        match cell.width {
            Width::Wide if column + 1 < end => letters(text, &cell),
            // The other half is not there.
            Width::Wide => text.push(' '),
            Width::Continuation if column == 0 => text.push(' '),
            Width::Continuation => {}
            Width::Narrow => letters(text, &cell),
        }
        column += 1;
    }
}

fn letters(text: &mut String, cell: &Cell<'_>) {
    text.push(cell.character);
    text.extend(cell.marks);
}

fn reversed(style: Style) -> Style {
    let is = style.has(Attribute::Reverse);
    if is { style.without(Attribute::Reverse) } else { style.with(Attribute::Reverse) }
}

/// A style, whatever was before.
fn sgr(text: &mut String, style: Style) {
    text.push_str("\x1b[0");
    for (attribute, number) in [
        (Attribute::Bold, 1),
        (Attribute::Dim, 2),
        (Attribute::Italic, 3),
        (Attribute::Blink, 5),
        (Attribute::Reverse, 7),
        (Attribute::Hidden, 8),
        (Attribute::Strike, 9),
    ] {
        if style.has(attribute) {
            let _ = write!(text, ";{number}");
        }
    }
    text.push_str(match style.underline {
        Underline::None => "",
        Underline::Single => ";4",
        Underline::Double => ";21",
        Underline::Curly => ";4:3",
        Underline::Dotted => ";4:4",
        Underline::Dashed => ";4:5",
    });
    color(text, style.foreground, 30);
    color(text, style.background, 40);
    match style.underline_color {
        Some(Color::Indexed(index)) => drop(write!(text, ";58:5:{index}")),
        Some(Color::Rgb(red, green, blue)) => drop(write!(text, ";58:2::{red}:{green}:{blue}")),
        Some(Color::Default) | None => {}
    }
    text.push('m');
}

fn color(text: &mut String, color: Color, base: u8) {
    let _ = match color {
        Color::Default => Ok(()),
        Color::Indexed(index @ 0..8) => write!(text, ";{}", base + index),
        Color::Indexed(index @ 8..16) => write!(text, ";{}", base + 52 + index),
        Color::Indexed(index) => write!(text, ";{};5;{index}", base + 8),
        Color::Rgb(red, green, blue) => write!(text, ";{};2;{red};{green};{blue}", base + 8),
    };
}
