//! A screen, with a title bar above it, on a surface of one size: only cells that look
//! otherwise than before are drawn.

use tidegate_screen::{Attribute, Cell, Color, Screen, Shape, Size, Underline, Width};

use super::color::Rgb;
use super::theme::{Theme, indexed};
use super::{Cursor, Look, MARKS, Surface, Tiles};
use crate::fonts::Cut;

/// Pixels around the screen.
const MARGIN: usize = 8;
/// Pixels above and below the title bar's text.
const BAR_MARGIN: usize = 4;

/// How the cursor is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorStyle {
    /// As the program on the screen asks for it.
    Program,
    Block,
    Underline,
    Bar,
    /// Not at all.
    Hidden,
}

/// What is drawn, and how.
pub struct Stage {
    tiles: Tiles,
    theme: Theme,
    cursor: CursorStyle,
    canvas: Size,
    bar: bool,
    /// What each cell looks like on the surface: the bar's row, then the canvas.
    shown: Vec<Option<Look>>,
}

/// Which part is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Bar,
    Screen,
}

impl Stage {
    /// `canvas` is the largest screen that will be drawn.
    #[must_use]
    pub fn new(tiles: Tiles, theme: Theme, cursor: CursorStyle, canvas: Size, bar: bool) -> Self {
        let cells = usize::from(canvas.columns) * (usize::from(canvas.rows) + 1);
        Self { tiles, theme, cursor, canvas, bar, shown: vec![None; cells] }
    }

    /// Width and height of the surface, in pixels; both even.
    #[must_use]
    pub fn pixels(&self) -> (usize, usize) {
        let metrics = self.tiles.metrics();
        let width = usize::from(self.canvas.columns) * metrics.width + 2 * MARGIN;
        (width, self.top() + usize::from(self.canvas.rows) * metrics.height + MARGIN)
    }

    /// Where a cell of the screen is on the surface, and how large it is.
    #[must_use]
    pub fn cell(&self, column: u16, row: u16) -> ((usize, usize), (usize, usize)) {
        let metrics = self.tiles.metrics();
        let x = MARGIN + usize::from(column) * metrics.width;
        ((x, self.top() + usize::from(row) * metrics.height), (metrics.width, metrics.height))
    }

    /// The title bar's screen: one row, in which the theme's colour of alarm is colour 3.
    #[must_use]
    pub fn bar(&self) -> Screen {
        Screen::new(Size { columns: self.canvas.columns, rows: 1 })
    }

    /// Paints what no cell covers. Once, before the first [`Self::draw`].
    pub fn prepare(&self, surface: &mut impl Surface) {
        let (width, height) = self.pixels();
        surface.fill((0, 0), (width, height), self.theme.background);
        if self.bar {
            let bar = self.tiles.metrics().height + 2 * BAR_MARGIN;
            surface.fill((0, 0), (width, bar), self.theme.bar_background);
        }
    }

    /// Draws what changed of the screen and of the bar since the last time; says whether
    /// anything looks otherwise now.
    pub fn draw(&mut self, screen: &mut Screen, bar: &mut Screen, surface: &mut impl Surface) -> bool {
        let drawn = self.part(screen, Part::Screen, surface);
        (self.bar && self.part(bar, Part::Bar, surface)) || drawn
    }

    fn top(&self) -> usize {
        if self.bar { self.tiles.metrics().height + 2 * BAR_MARGIN + MARGIN } else { MARGIN }
    }

    fn part(&mut self, screen: &mut Screen, part: Part, surface: &mut impl Surface) -> bool {
        let changes = screen.take_changes();
        if changes.is_empty() {
            return false;
        }
        let screen = &*screen;
        let size = screen.size();
        let mut drawn = false;
        for span in &changes.spans {
            let mut before = None;
            let cells = (0..).zip(screen.row(span.row)).take(usize::from(span.columns.end));
            // A wide character draws its second column too.
            let from = span.columns.start.saturating_sub(1);
            for (column, cell) in cells {
                let covered = cell.width == Width::Continuation && before == Some(Width::Wide);
                before = Some(cell.width);
                if column < from {
                    continue;
                }
                let look = (!covered).then(|| self.look(screen, &cell, (column, span.row), part));
                drawn |= self.put((column, span.row), look, part, surface);
            }
        }
        if changes.all && part == Part::Screen {
            drawn |= self.outside(size, surface);
        }
        drawn
    }

    /// What the canvas has beyond a smaller screen.
    fn outside(&mut self, size: Size, surface: &mut impl Surface) -> bool {
        let outside = Look::blank(self.theme.bar_background.over(self.theme.background, 128));
        let mut drawn = false;
        for row in 0..self.canvas.rows {
            let from = if row < size.rows { size.columns } else { 0 };
            for column in from..self.canvas.columns {
                drawn |= self.put((column, row), Some(outside), Part::Screen, surface);
            }
        }
        drawn
    }

    /// Draws a cell, if it looks otherwise than it did. What is covered by the one before it
    /// has no look of its own.
    fn put(&mut self, at: (u16, u16), look: Option<Look>, part: Part, surface: &mut impl Surface) -> bool {
        let (column, row) = at;
        let line = if part == Part::Bar { 0 } else { usize::from(row) + 1 };
        if column >= self.canvas.columns || (part == Part::Screen && row >= self.canvas.rows) {
            return false;
        }
        let place = line * usize::from(self.canvas.columns) + usize::from(column);
        let Some(shown) = self.shown.get_mut(place) else { return false };
        if *shown == look {
            return false;
        }
        *shown = look;
        let Some(look) = look else { return true };
        let ((x, y), _) = self.cell(column, row);
        let y = if part == Part::Bar { BAR_MARGIN } else { y };
        surface.put(x, y, &self.tiles.get(&look));
        true
    }

    fn look(&self, screen: &Screen, cell: &Cell<'_>, at: (u16, u16), part: Part) -> Look {
        let style = cell.style;
        let bold = style.has(Attribute::Bold);
        let (default_foreground, default_background) = self.defaults(screen, part);
        // Bold text in one of the eight colours is bright, as on most terminals.
        let foreground = match style.foreground {
            Color::Default => default_foreground,
            Color::Indexed(index) if bold && index < 8 => self.color(screen, index + 8, part),
            Color::Indexed(index) => self.color(screen, index, part),
            Color::Rgb(red, green, blue) => Rgb { red, green, blue },
        };
        let background = match style.background {
            Color::Default => default_background,
            Color::Indexed(index) => self.color(screen, index, part),
            Color::Rgb(red, green, blue) => Rgb { red, green, blue },
        };
        let reverse = style.has(Attribute::Reverse) != screen.reverse();
        let (mut foreground, background) =
            if reverse { (background, foreground) } else { (foreground, background) };
        if style.has(Attribute::Dim) {
            foreground = foreground.over(background, 150);
        }
        if style.has(Attribute::Hidden) {
            foreground = background;
        }
        let line_color = match style.underline_color {
            Some(Color::Indexed(index)) => self.color(screen, index, part),
            Some(Color::Rgb(red, green, blue)) => Rgb { red, green, blue },
            Some(Color::Default) | None => foreground,
        };
        let mut marks = ['\0'; MARKS];
        marks.iter_mut().zip(cell.marks).for_each(|(mark, from)| *mark = *from);
        let mut look = Look {
            character: cell.character,
            marks,
            wide: cell.width == Width::Wide,
            foreground,
            background,
            cut: Cut::of(bold, style.has(Attribute::Italic)),
            under: (style.underline != Underline::None).then_some((style.underline, line_color)),
            strike: style.has(Attribute::Strike),
            cursor: None,
        };
        if part == Part::Screen {
            self.under_cursor(screen, at, &mut look);
        }
        // What cannot be seen makes no tile of its own.
        if look.character == ' ' && look.under.is_none() && !look.strike && look.marks == ['\0'; MARKS] {
            (look.foreground, look.cut) = (look.background, Cut::Regular);
        }
        look
    }

    fn under_cursor(&self, screen: &Screen, (column, row): (u16, u16), look: &mut Look) {
        let cursor = screen.cursor();
        let here =
            cursor.row == row && (cursor.column == column || (look.wide && cursor.column == column + 1));
        if !here || cursor.shape == Shape::Hidden {
            return;
        }
        let color = screen.colors().cursor.map_or(self.theme.cursor, rgb);
        let shape = match (self.cursor, cursor.shape) {
            (CursorStyle::Hidden, _) | (_, Shape::Hidden) => return,
            (CursorStyle::Block, _) | (CursorStyle::Program, Shape::Block) => None,
            (CursorStyle::Underline, _) | (CursorStyle::Program, Shape::Underline) => Some(Cursor::Underline),
            (CursorStyle::Bar, _) | (CursorStyle::Program, Shape::Bar) => Some(Cursor::Bar),
        };
        match shape {
            Some(shape) => look.cursor = Some((shape, color)),
            None => (look.foreground, look.background) = (look.background, color),
        }
    }

    fn defaults(&self, screen: &Screen, part: Part) -> (Rgb, Rgb) {
        match part {
            Part::Bar => (self.theme.bar_foreground, self.theme.bar_background),
            Part::Screen => (
                screen.colors().foreground.map_or(self.theme.foreground, rgb),
                screen.colors().background.map_or(self.theme.background, rgb),
            ),
        }
    }

    fn color(&self, screen: &Screen, index: u8, part: Part) -> Rgb {
        match (part, index) {
            // Bold makes it bright.
            (Part::Bar, 3 | 11) => self.theme.alarm,
            _ => screen.colors().indexed(index).map_or_else(|| indexed(&self.theme.palette, index), rgb),
        }
    }
}

fn rgb((red, green, blue): (u8, u8, u8)) -> Rgb {
    Rgb { red, green, blue }
}
