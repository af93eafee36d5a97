//! Characters that are shapes and not letters: they must fill their cell and meet their
//! neighbours, which a font's glyphs do only in its own cell size. Box drawing (U+2500 to
//! U+257F) is in [`lines`].

mod lines;

use super::mask::{Mask, whole};

/// The shape of a character in a cell of that size, if it is one.
#[must_use]
pub fn shape(character: char, width: usize, height: usize) -> Option<Mask> {
    let code = u32::from(character);
    let mut mask = Mask::new(width, height);
    match code {
        0x2500..=0x257f => lines::draw(code, &mut mask),
        0x2580..=0x259f => block(code, &mut mask),
        0x2800..=0x28ff => braille(code - 0x2800, &mut mask),
        0xe0b0..=0xe0b7 | 0xe0b8 | 0xe0ba | 0xe0bc | 0xe0be => separator(code, &mut mask),
        0x1fb00..=0x1fb3b => sextant(code - 0x1fb00, &mut mask),
        _ => return None,
    }
    Some(mask)
}

/// The thickness of a light line.
fn light(mask: &Mask) -> i32 {
    // Even, as cells are, so that lines stand in the middle.
    ((whole(mask.width()) + 8) / 16 * 2).max(1)
}

/// Part `number` of `of` of a length.
fn part(length: usize, number: u32, of: u32) -> i32 {
    (length as f32 * number as f32 / of as f32).round() as i32
}

fn block(code: u32, mask: &mut Mask) {
    let (width, height) = (mask.width(), mask.height());
    let (right, bottom) = (whole(width), whole(height));
    let (x, y, cover) = match code {
        0x2580 => ((0, right), (0, part(height, 1, 2)), 255),
        0x2581..=0x2588 => ((0, right), (part(height, 0x2588 - code, 8), bottom), 255),
        0x2589..=0x258f => ((0, part(width, 0x2590 - code, 8)), (0, bottom), 255),
        0x2590 => ((part(width, 1, 2), right), (0, bottom), 255),
        0x2591 => ((0, right), (0, bottom), 64),
        0x2592 => ((0, right), (0, bottom), 128),
        0x2593 => ((0, right), (0, bottom), 191),
        0x2594 => ((0, right), (0, part(height, 1, 8)), 255),
        0x2595 => ((right - part(width, 1, 8).max(1), right), (0, bottom), 255),
        _ => {
            // Upper left, upper right, lower left, lower right.
            let quarters = match code {
                0x2596 => 0b0100,
                0x2597 => 0b1000,
                0x2598 => 0b0001,
                0x2599 => 0b1101,
                0x259a => 0b1001,
                0x259b => 0b0111,
                0x259c => 0b1011,
                0x259d => 0b0010,
                0x259e => 0b0110,
                _ => 0b1110,
            };
            return mosaic(quarters, 2, mask);
        }
    };
    mask.rectangle(x, y, cover);
}

/// Fields in two columns, one bit each, row by row.
fn mosaic(fields: u32, rows: u32, mask: &mut Mask) {
    for field in (0..2 * rows).filter(|field| fields & (1 << field) != 0) {
        let (column, row) = (field % 2, field / 2);
        let x = (part(mask.width(), column, 2), part(mask.width(), column + 1, 2));
        let y = (part(mask.height(), row, rows), part(mask.height(), row + 1, rows));
        mask.rectangle(x, y, 255);
    }
}

/// Unicode leaves out the three that are blocks already: none, the left half, the right half.
fn sextant(number: u32, mask: &mut Mask) {
    let mut fields = number + 1;
    fields += u32::from(fields >= 0b01_0101);
    fields += u32::from(fields >= 0b10_1010);
    mosaic(fields, 3, mask);
}

fn braille(dots: u32, mask: &mut Mask) {
    const PLACES: [(f32, f32); 8] =
        [(0., 0.), (0., 1.), (0., 2.), (1., 0.), (1., 1.), (1., 2.), (0., 3.), (1., 3.)];
    let (width, height) = (mask.width() as f32, mask.height() as f32);
    let radius = (width / 2.0).min(height / 4.0) * 0.3;
    for (bit, (column, row)) in PLACES.iter().enumerate() {
        if dots & (1 << bit) != 0 {
            let (x, y) = ((column + 0.5) * width / 2.0, (row + 0.5) * height / 4.0);
            mask.shade(|px, py| radius + 0.5 - (px - x).hypot(py - y));
        }
    }
}

/// The parts of prompts and status lines in fonts that are patched for Powerline.
fn separator(code: u32, mask: &mut Mask) {
    let (width, height) = (mask.width() as f32, mask.height() as f32);
    let thick = light(mask) as f32;
    // How far the triangle reaches at a height, and the half circle.
    let reach = |y: f32| width * (1.0 - (2.0 * y / height - 1.0).abs());
    let round = |y: f32| width * (1.0 - (2.0 * y / height - 1.0).powi(2)).max(0.0).sqrt();
    let slope = height / 2.0 / width;
    let near = move |distance: f32| distance.abs() * slope / slope.hypot(1.0) < thick / 2.0;
    match code {
        0xe0b0 => mask.fill(|x, y| x <= reach(y)),
        0xe0b1 => mask.fill(|x, y| near(x - reach(y))),
        0xe0b2 => mask.fill(|x, y| width - x <= reach(y)),
        0xe0b3 => mask.fill(|x, y| near(width - x - reach(y))),
        0xe0b4 => mask.fill(|x, y| x <= round(y)),
        0xe0b5 => mask.fill(|x, y| (x - round(y)).abs() < thick / 2.0),
        0xe0b6 => mask.fill(|x, y| width - x <= round(y)),
        0xe0b7 => mask.fill(|x, y| (width - x - round(y)).abs() < thick / 2.0),
        0xe0b8 => mask.fill(|x, y| x / width <= y / height),
        0xe0ba => mask.fill(|x, y| 1.0 - x / width <= y / height),
        0xe0bc => mask.fill(|x, y| x / width <= 1.0 - y / height),
        _ => mask.fill(|x, y| 1.0 - x / width <= 1.0 - y / height),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(character: char, x: usize, y: usize) -> u8 {
        shape(character, 12, 24).unwrap().samples()[y * 12 + x]
    }

    #[test]
    fn blocks_fill_their_part_of_the_cell_to_its_edges() {
        assert_eq!((covered('▀', 0, 0), covered('▀', 11, 11), covered('▀', 0, 12)), (255, 255, 0));
        assert_eq!((covered('▄', 0, 11), covered('▄', 0, 12), covered('▄', 11, 23)), (0, 255, 255));
        assert_eq!((covered('▌', 5, 0), covered('▌', 6, 0)), (255, 0));
        assert!(shape('█', 12, 24).unwrap().samples().iter().all(|cover| *cover == 255));
        assert_eq!((covered('▚', 0, 0), covered('▚', 11, 0), covered('▚', 11, 23)), (255, 0, 255));
    }

    #[test]
    fn the_first_and_the_last_sextant_are_where_unicode_has_them() {
        assert_eq!((covered('\u{1fb00}', 0, 0), covered('\u{1fb00}', 6, 0)), (255, 0));
        let last = shape('\u{1fb3b}', 12, 24).unwrap();
        assert_eq!((last.samples()[0], last.samples()[11], last.samples()[12 * 23]), (0, 255, 255));
    }

    #[test]
    fn a_letter_is_no_shape() {
        assert_eq!(shape('a', 12, 24), None);
    }

    #[test]
    fn each_shape_draws_something_in_every_size_and_nothing_outside() {
        let all = (0x2500..=0x259f).chain(0x2801..=0x28ff).chain(0xe0b0..=0xe0b8).chain(0x1fb00..=0x1fb3b);
        for character in all.filter_map(char::from_u32) {
            for (width, height) in [(4, 8), (12, 24), (40, 80)] {
                let mask = shape(character, width, height).unwrap();
                assert!(mask.samples().iter().any(|cover| *cover > 0), "{character:?} at {width}x{height}");
            }
        }
    }
}
