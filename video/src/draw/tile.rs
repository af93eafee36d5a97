//! What stands in a cell, resolved to colours, and its pixels.

use std::collections::HashMap;
use std::rc::Rc;

use tidegate_screen::Underline;

use super::color::Rgb;
use super::glyphs::Ink;
use super::mask::{Mask, whole};
use super::{Glyphs, Metrics, shapes};
use crate::fonts::Cut;

/// The most combining marks that are drawn over one character.
pub const MARKS: usize = 4;

/// The most bytes of tiles that are kept; then they are made anew.
const MOST_BYTES: usize = 24 * 1024 * 1024;

/// A cursor's shape that leaves the text as it is. (A block is text in other colours.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cursor {
    Underline,
    Bar,
    Hollow,
}

/// All that decides what a cell looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Look {
    pub character: char,
    /// NUL where there is none.
    pub marks: [char; MARKS],
    /// Whether it takes this cell and the next.
    pub wide: bool,
    pub foreground: Rgb,
    pub background: Rgb,
    pub cut: Cut,
    pub under: Option<(Underline, Rgb)>,
    pub strike: bool,
    pub cursor: Option<(Cursor, Rgb)>,
}

impl Look {
    /// A character and nothing else.
    #[must_use]
    pub fn plain(character: char, foreground: Rgb, background: Rgb) -> Self {
        Self {
            character,
            marks: ['\0'; MARKS],
            wide: false,
            foreground,
            background,
            cut: Cut::Regular,
            under: None,
            strike: false,
            cursor: None,
        }
    }

    /// Nothing but its background.
    #[must_use]
    pub fn blank(background: Rgb) -> Self {
        Self::plain(' ', background, background)
    }

    /// Whether it is to be a picture where a font has one: what takes two cells and is no
    /// ideograph, and what a variation selector (U+FE0F) asks for.
    fn is_picture(&self) -> bool {
        let emoji = matches!(u32::from(self.character), 0x231a..=0x2bff | 0x1f000..=0x1faff);
        (self.wide && emoji) || self.marks.contains(&'\u{fe0f}')
    }
}

/// Pixels of one cell, or of two.
#[derive(Debug)]
pub struct Tile {
    width: usize,
    pixels: Vec<Rgb>,
    luma: Vec<u8>,
    chroma: [Vec<u8>; 2],
}

impl Tile {
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    #[must_use]
    pub fn pixels(&self) -> &[Rgb] {
        &self.pixels
    }

    #[must_use]
    pub fn luma(&self) -> &[u8] {
        &self.luma
    }

    #[must_use]
    pub fn chroma(&self) -> &[Vec<u8>; 2] {
        &self.chroma
    }

    fn new(width: usize, pixels: Vec<Rgb>) -> Self {
        let luma = pixels.iter().map(|pixel| pixel.yuv()[0]).collect();
        let mut chroma = [Vec::new(), Vec::new()];
        for rows in pixels.chunks_exact(2 * width) {
            let (upper, lower) = rows.split_at(width);
            for (upper, lower) in upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0) {
                let [_, u, v] = average([upper[0], upper[1], lower[0], lower[1]]).yuv();
                chroma[0].push(u);
                chroma[1].push(v);
            }
        }
        Self { width, pixels, luma, chroma }
    }

    fn bytes(&self) -> usize {
        self.pixels.len() * 5
    }
}

fn average(pixels: [Rgb; 4]) -> Rgb {
    let mean = |part: fn(&Rgb) -> u8| {
        let sum: u16 = pixels.iter().map(|pixel| u16::from(part(pixel))).sum();
        u8::try_from((sum + 2) / 4).unwrap_or(u8::MAX)
    };
    Rgb { red: mean(|pixel| pixel.red), green: mean(|pixel| pixel.green), blue: mean(|pixel| pixel.blue) }
}

/// Every tile that was needed so far, and how the next ones are made.
pub struct Tiles {
    glyphs: Glyphs,
    metrics: Metrics,
    made: HashMap<Look, Rc<Tile>>,
    /// Neighbours often look alike.
    last: Option<(Look, Rc<Tile>)>,
    bytes: usize,
}

impl Tiles {
    #[must_use]
    pub fn new(glyphs: Glyphs, text_size: u16) -> Self {
        let metrics = glyphs.metrics(text_size);
        Self { glyphs, metrics, made: HashMap::new(), last: None, bytes: 0 }
    }

    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.metrics
    }

    /// The tile of a cell.
    pub fn get(&mut self, look: &Look) -> Rc<Tile> {
        if let Some((last, tile)) = &self.last
            && last == look
        {
            return Rc::clone(tile);
        }
        let tile = self.made.get(look).map(Rc::clone).unwrap_or_else(|| self.make(look));
        self.last = Some((*look, Rc::clone(&tile)));
        tile
    }

    fn make(&mut self, look: &Look) -> Rc<Tile> {
        let tile = Rc::new(self.draw(look));
        if self.bytes > MOST_BYTES {
            self.made.clear();
            self.bytes = 0;
        }
        self.bytes += tile.bytes();
        self.made.insert(*look, Rc::clone(&tile));
        tile
    }

    fn draw(&mut self, look: &Look) -> Tile {
        let metrics = self.metrics;
        let width = if look.wide { 2 * metrics.width } else { metrics.width };
        let mut pixels = vec![look.background; width * metrics.height];
        if look.character != ' ' {
            match shapes::shape(look.character, width, metrics.height) {
                Some(mask) => paint(&mut pixels, &mask, look.foreground),
                None => self.ink(look, look.character, &mut pixels),
            }
        }
        let marks = look
            .marks
            .into_iter()
            .filter(|mark| !matches!(mark, '\0' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}'));
        for mark in marks {
            self.ink(look, mark, &mut pixels);
        }
        if let Some((line, color)) = look.under {
            paint(&mut pixels, &under(line, width, &metrics), color);
        }
        let mut mask = Mask::new(width, metrics.height);
        if look.strike {
            let middle = metrics.baseline - (metrics.size * 0.26) as i32;
            mask.rectangle((0, whole(width)), (middle, middle + metrics.thickness), 255);
            paint(&mut pixels, &mask, look.foreground);
        }
        if let Some((cursor, color)) = look.cursor {
            paint(&mut pixels, &outline(cursor, width, metrics.height), color);
        }
        Tile::new(width, pixels)
    }

    fn ink(&mut self, look: &Look, character: char, pixels: &mut [Rgb]) {
        match self.glyphs.draw(character, look.cut, look.wide, look.is_picture(), &self.metrics) {
            Ink::Mask(mask) => paint(pixels, &mask, look.foreground),
            Ink::Colored(colors) => {
                for (pixel, (color, alpha)) in pixels.iter_mut().zip(colors) {
                    *pixel = color.over(*pixel, alpha);
                }
            }
        }
    }
}

fn paint(pixels: &mut [Rgb], mask: &Mask, color: Rgb) {
    for (pixel, cover) in pixels.iter_mut().zip(mask.samples()) {
        *pixel = color.over(*pixel, *cover);
    }
}

/// Lines meet those of the next cell: their patterns fit into a cell.
fn under(line: Underline, width: usize, metrics: &Metrics) -> Mask {
    let mut mask = Mask::new(width, metrics.height);
    let (right, bottom, thick) = (whole(width), whole(metrics.height), metrics.thickness);
    let top = (metrics.baseline + thick.max(2)).min(bottom - thick);
    let mut dash = |from: i32, until: i32, top: i32| mask.rectangle((from, until), (top, top + thick), 255);
    match line {
        Underline::None => {}
        Underline::Single => dash(0, right, top),
        Underline::Double => {
            dash(0, right, (top - thick).max(0));
            dash(0, right, (top + thick).min(bottom - thick));
        }
        Underline::Dotted => {
            (0..right).step_by(4).for_each(|from| dash(from, (from + 2).min(right), top));
        }
        Underline::Dashed => {
            let third = (whole(metrics.width) / 3).max(1);
            (0..right).step_by(metrics.width).for_each(|from| {
                dash(from, from + third, top);
                dash(from + 2 * third, from + whole(metrics.width), top);
            });
        }
        Underline::Curly => {
            let height = ((bottom - metrics.baseline) as f32 * 0.25).max(1.0);
            let middle = (bottom as f32 - height - thick as f32).max(metrics.baseline as f32 + height);
            let turn = std::f32::consts::TAU / metrics.width as f32;
            mask.shade(|x, y| {
                let distance = (y - middle - height * (x * turn).sin()).abs();
                thick as f32 / 2.0 + 0.5
                    - distance / (1.0 + (height * turn * (x * turn).cos()).powi(2)).sqrt()
            });
        }
    }
    mask
}

fn outline(cursor: Cursor, width: usize, height: usize) -> Mask {
    let mut mask = Mask::new(width, height);
    let (right, bottom) = (whole(width), whole(height));
    let mut bar = |x: (i32, i32), y: (i32, i32)| mask.rectangle(x, y, 255);
    match cursor {
        Cursor::Underline => bar((0, right), (bottom - 2, bottom)),
        Cursor::Bar => bar((0, 2), (0, bottom)),
        Cursor::Hollow => {
            bar((0, right), (0, 1));
            bar((0, right), (bottom - 1, bottom));
            bar((0, 1), (0, bottom));
            bar((right - 1, right), (0, bottom));
        }
    }
    mask
}
