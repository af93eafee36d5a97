//! Characters of fonts to pixels of a cell.

use swash::FontRef;
use swash::scale::image::Content;
use swash::scale::{Render, ScaleContext, Source, StrikeWith};
use swash::zeno::{Angle, Transform};

use super::Metrics;
use super::color::Rgb;
use super::mask::{Mask, whole};
use crate::fonts::{Cut, Fonts, Found};

/// What a character leaves on its cell.
pub enum Ink {
    /// In the text's colour.
    Mask(Mask),
    /// With colours of its own: each pixel with its alpha, row by row.
    Colored(Vec<(Rgb, u8)>),
}

/// Draws glyphs, one at a time.
pub struct Glyphs {
    fonts: Fonts,
    scaler: ScaleContext,
}

impl Glyphs {
    #[must_use]
    pub fn new(fonts: Fonts) -> Self {
        Self { fonts, scaler: ScaleContext::new() }
    }

    /// The cell that a size of text asks for.
    #[must_use]
    pub fn metrics(&self, text_size: u16) -> Metrics {
        Metrics::of(self.fonts.text(), text_size)
    }

    /// Draws a character, over one cell or over two. What no font has is a hollow box.
    pub fn draw(&mut self, character: char, cut: Cut, wide: bool, picture: bool, metrics: &Metrics) -> Ink {
        let width = if wide { 2 * metrics.width } else { metrics.width };
        let Some(found) = self.fonts.lookup(character, cut, picture) else {
            return Ink::Mask(missing(width, metrics));
        };
        let size = fitting_size(&found, wide, width, metrics);
        let advance = found.font.glyph_metrics(&[]).scale(size).advance_width(found.glyph);
        let mut scaler = self.scaler.builder(found.font).size(size).hint(true).build();
        let sources = [Source::ColorOutline(0), Source::ColorBitmap(StrikeWith::BestFit), Source::Outline];
        let mut render = Render::new(&sources);
        if !found.own && cut.is_bold() {
            render.embolden(size / 40.0);
        }
        if !found.own && cut.is_italic() {
            let slant = Transform::skew(Angle::from_degrees(12.0), Angle::from_degrees(0.0));
            render.transform(Some(slant));
        }
        let Some(image) = render.render(&mut scaler, found.glyph) else {
            // A space, for one.
            return Ink::Mask(Mask::new(width, metrics.height));
        };
        let place = image.placement;
        let (image_width, image_height) = (length(place.width), length(place.height));
        // A mark without an advance was drawn back over what stands before it.
        let room = if advance > 0.0 { (width as f32 - advance) / 2.0 } else { width as f32 };
        let left = if found.own && advance > 0.0 { 0 } else { room.round() as i32 } + place.left;
        let middle = (whole(metrics.height) - whole(image_height)) / 2;
        if image.content == Content::Color {
            let left = (whole(width) - whole(image_width)) / 2;
            return colored(&image.data, image_width, (left, middle), width, metrics.height);
        }
        let mut mask = Mask::new(width, metrics.height);
        let top = metrics.baseline - place.top;
        for (row, line) in (top..).zip(image.data.chunks(image_width.max(1))) {
            for (column, cover) in (left..).zip(line) {
                mask.add(column, row, *cover);
            }
        }
        Ink::Mask(mask)
    }
}

/// Fonts for other scripts have other proportions; none may leave its cells.
fn fitting_size(found: &Found<'_>, wide: bool, width: usize, metrics: &Metrics) -> f32 {
    if found.own && !wide {
        return metrics.size;
    }
    let size = if wide { (width as f32).min(0.92 * metrics.height as f32) } else { metrics.size };
    let advance = found.font.glyph_metrics(&[]).scale(size).advance_width(found.glyph);
    if advance > width as f32 { size * width as f32 / advance } else { size }
}

fn colored(rgba: &[u8], image: usize, (left, top): (i32, i32), width: usize, height: usize) -> Ink {
    let mut pixels = vec![(Rgb::hex(0), 0); width * height];
    for (row, line) in (top..).zip(rgba.chunks(image.max(1) * 4)) {
        for (column, pixel) in (left..).zip(line.as_chunks::<4>().0) {
            let (Ok(x), Ok(y)) = (usize::try_from(column), usize::try_from(row)) else { continue };
            let [red, green, blue, alpha] = *pixel;
            if x < width
                && let Some(place) = pixels.get_mut(y * width + x)
            {
                *place = (Rgb { red, green, blue }, alpha);
            }
        }
    }
    Ink::Colored(pixels)
}

fn missing(width: usize, metrics: &Metrics) -> Mask {
    let mut mask = Mask::new(width, metrics.height);
    let (right, bottom) = (whole(width) - 1, metrics.baseline);
    let top = bottom - (metrics.size * 0.7) as i32;
    mask.rectangle((1, right), (top, top + 1), 160);
    mask.rectangle((1, right), (bottom - 1, bottom), 160);
    mask.rectangle((1, 2), (top, bottom), 160);
    mask.rectangle((right - 1, right), (top, bottom), 160);
    mask
}

fn length(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

impl Metrics {
    /// The cell of a font at about `text_size` pixels, so that each is a whole and even number
    /// of pixels wide and high (a video keeps colour for two by two of them).
    fn of(font: Option<FontRef<'_>>, text_size: u16) -> Self {
        let wanted = f32::from(text_size);
        let (advance, ascent, descent) = font.map_or((0.602, 0.928, 0.236), |font| {
            let metrics = font.metrics(&[]).scale(1.0);
            let glyph = font.charmap().map('M');
            (font.glyph_metrics(&[]).scale(1.0).advance_width(glyph), metrics.ascent, metrics.descent)
        });
        let (advance, ascent, descent) =
            (advance.clamp(0.2, 2.0), ascent.clamp(0.2, 2.0), descent.clamp(0.0, 1.0));
        let even = |value: f32| ((value / 2.0).round() as usize).clamp(2, 100) * 2;
        let width = even(wanted * advance);
        let size = width as f32 / advance;
        let height = even(size * (ascent + descent) * 1.02);
        let baseline = ((height as f32 + size * (ascent - descent)) / 2.0).round() as i32;
        let thickness = (size / 14.0).round().max(1.0) as i32;
        Self { width, height, size, baseline, thickness }
    }
}
