//! Box drawing, U+2500 to U+257F: lines from the middle of a cell to its edges.

use super::super::mask::{Mask, whole};
use super::light;

/// How strong the lines to the left, up, right and down are: `1` light, `2` heavy, `3` double,
/// `0` none. `----` are drawn otherwise: dashes, arcs, diagonals.
const LINES: &str = "\
    1010 2020 0101 0202 ---- ---- ---- ---- ---- ---- ---- ---- 0011 0021 0012 0022 \
    1001 2001 1002 2002 0110 0120 0210 0220 1100 2100 1200 2200 0111 0121 0211 0112 \
    0212 0221 0122 0222 1101 2101 1201 1102 1202 2201 2102 2202 1011 2011 1021 2021 \
    1012 2012 1022 2022 1110 2110 1120 2120 1210 2210 1220 2220 1111 2111 1121 2121 \
    1211 1112 1212 2211 1221 2112 1122 2221 2122 2212 1222 2222 ---- ---- ---- ---- \
    3030 0303 0031 0013 0033 3001 1003 3003 0130 0310 0330 3100 1300 3300 0131 0313 \
    0333 3101 1303 3303 3031 1013 3033 3130 1310 3330 3131 1313 3333 ---- ---- ---- \
    ---- ---- ---- ---- 1000 0100 0010 0001 2000 0200 0020 0002 1020 0102 2010 0201 ";

const DOUBLE: u8 = 3;

/// Draws the character with that code.
pub fn draw(code: u32, mask: &mut Mask) {
    match code {
        0x2504..=0x250b | 0x254c..=0x254f => dashes(code, mask),
        0x256d..=0x2570 => arc(code, mask),
        0x2571..=0x2573 => diagonals(code, mask),
        _ => {
            let place = usize::try_from(code - 0x2500).unwrap_or(0) * 5;
            let weights = LINES.as_bytes().get(place..).and_then(|rest| rest.first_chunk::<4>());
            if let Some(weights) = weights {
                cross(weights.map(|digit| digit.saturating_sub(b'0')), mask);
            }
        }
    }
}

/// One axis of a cell: how long it is, and how thick a light line is.
#[derive(Clone, Copy)]
struct Axis {
    length: i32,
    light: i32,
}

impl Axis {
    /// From where to where a single line across this axis reaches.
    fn single(self, weight: u8) -> (i32, i32) {
        let thick = self.light * i32::from(weight);
        let from = (self.length - thick) / 2;
        (from, from + thick)
    }

    /// The two lines of a double one.
    fn double(self) -> [(i32, i32); 2] {
        let from = (self.length - 3 * self.light) / 2;
        [(from, from + self.light), (from + 2 * self.light, from + 3 * self.light)]
    }

    /// The same as seen from its other end.
    fn mirrored(self, at: i32, high: bool) -> i32 {
        if high { self.length - at } else { at }
    }
}

fn cross([left, up, right, down]: [u8; 4], mask: &mut Mask) {
    let light = light(mask);
    let across = Axis { length: whole(mask.width()), light };
    let along = Axis { length: whole(mask.height()), light };
    let mut horizontal = |from: (i32, i32), cross: (i32, i32)| mask.rectangle(from, cross, 255);
    arm(left, right, (up, down), false, across, along, &mut horizontal);
    arm(right, left, (up, down), true, across, along, &mut horizontal);
    let mut vertical = |from: (i32, i32), cross: (i32, i32)| mask.rectangle(cross, from, 255);
    arm(up, down, (left, right), false, along, across, &mut vertical);
    arm(down, up, (left, right), true, along, across, &mut vertical);
}

/// One line from an edge (the `high` one of its axis, or the low one) to where it meets the
/// others: `opposite` goes on in its direction, `sides` go off at its low and its high side.
fn arm(
    weight: u8,
    opposite: u8,
    sides: (u8, u8),
    high: bool,
    axis: Axis,
    cross: Axis,
    paint: &mut dyn FnMut((i32, i32), (i32, i32)),
) {
    let mut to = |end: i32, place: (i32, i32)| {
        let end = axis.mirrored(end, high);
        paint(if high { (end, axis.length) } else { (0, end) }, place);
    };
    let [near, far] = axis.double();
    // Seen from this edge, whichever it is.
    let middle = axis.mirrored(axis.length / 2, high);
    match weight {
        0 => {}
        DOUBLE => {
            for (rail, own, other) in [(0, sides.0, sides.1), (1, sides.1, sides.0)] {
                let end = if own == DOUBLE {
                    near.1
                } else if opposite > 0 {
                    middle
                } else if other == DOUBLE {
                    far.1
                } else {
                    middle.max(axis.single(own.max(other)).1)
                };
                to(end, cross.double().get(rail).copied().unwrap_or_default());
            }
        }
        _ => {
            let end = match (opposite, sides) {
                (0, (DOUBLE, DOUBLE)) => near.1,
                (0, (DOUBLE, _) | (_, DOUBLE)) => far.1,
                (_, (one, two)) => middle.max(axis.single(one.max(two).min(2)).1),
            };
            to(end, cross.single(weight));
        }
    }
}

fn dashes(code: u32, mask: &mut Mask) {
    let count = match code {
        0x2504..=0x2507 => 3,
        0x2508..=0x250b => 4,
        _ => 2,
    };
    let (heavy, vertical) = (code & 1 == 1, code & 2 == 2);
    let light = light(mask);
    let (length, cross) =
        if vertical { (mask.height(), mask.width()) } else { (mask.width(), mask.height()) };
    let cross = Axis { length: whole(cross), light }.single(if heavy { 2 } else { 1 });
    for dash in 0..count {
        let from = super::part(length, dash, count);
        let until = super::part(length, dash + 1, count);
        // Where there is no room for a gap it is a line.
        let gap = if until - from > 1 { ((until - from) / 3).max(1) } else { 0 };
        let place = (from + gap / 2, until - (gap - gap / 2));
        let (x, y) = if vertical { (cross, place) } else { (place, cross) };
        mask.rectangle(x, y, 255);
    }
}

/// A quarter of a circle, with straight ends where the cell is longer than it is wide.
fn arc(code: u32, mask: &mut Mask) {
    let light = light(mask);
    let middle = |length: usize| {
        let (from, until) = Axis { length: whole(length), light }.single(1);
        (from + until) as f32 / 2.0
    };
    let (x, y) = (middle(mask.width()), middle(mask.height()));
    let radius = x.min(y);
    // Towards where it opens.
    let (right, down) = (matches!(code, 0x256d | 0x2570), matches!(code, 0x256d | 0x256e));
    let (sx, sy) = (if right { 1.0 } else { -1.0 }, if down { 1.0 } else { -1.0 });
    mask.shade(|px, py| {
        let (dx, dy) = ((px - x) * sx, (py - y) * sy);
        let distance = if dx > radius && dy < radius {
            dy.abs()
        } else if dy > radius && dx < radius {
            dx.abs()
        } else if dx <= radius && dy <= radius {
            ((dx - radius).hypot(dy - radius) - radius).abs()
        } else {
            return 0.0;
        };
        light as f32 / 2.0 + 0.5 - distance
    });
}

fn diagonals(code: u32, mask: &mut Mask) {
    let (width, height) = (mask.width() as f32, mask.height() as f32);
    let half = light(mask) as f32 / 2.0 + 0.5;
    let length = width.hypot(height);
    let rising = move |x: f32, y: f32| half - (x * height + y * width - width * height).abs() / length;
    let falling = move |x: f32, y: f32| half - (x * height - y * width).abs() / length;
    if code != 0x2572 {
        mask.shade(rising);
    }
    if code != 0x2571 {
        mask.shade(falling);
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape;

    fn row(character: char, y: usize) -> String {
        let mask = shape(character, 12, 24).unwrap();
        let row = &mask.samples()[y * 12..(y + 1) * 12];
        row.iter().map(|cover| if *cover == 255 { '#' } else { '.' }).collect()
    }

    #[test]
    fn lines_reach_the_edges_and_meet_in_the_middle() {
        assert_eq!(row('─', 11), "############");
        assert_eq!(row('│', 0), ".....##.....");
        assert_eq!(row('┌', 11), ".....#######");
        assert_eq!(row('┌', 0), "............");
        assert_eq!(row('┘', 11), "#######.....");
        assert_eq!(row('┃', 3), "....####....");
        assert_eq!(row('┏', 11), "....########");
    }

    #[test]
    fn double_lines_turn_as_two_lines_each() {
        // Two pixels, two between, two pixels.
        assert_eq!(row('║', 5), "...##..##...");
        assert_eq!(row('╔', 9), "...#########");
        assert_eq!(row('╔', 13), "...##..#####");
        assert_eq!(row('╣', 9), "#####..##...");
        assert_eq!(row('╝', 9), "#####..##...");
        assert_eq!(row('╝', 13), "#########...");
        assert_eq!(row('╬', 9), "#####..#####");
        assert_eq!(row('╟', 11), "...##..#####");
        assert_eq!(row('╓', 11), "...#########");
    }

    #[test]
    fn each_character_has_its_entry_in_the_table() {
        assert_eq!(super::LINES.len(), 128 * 5);
    }
}
