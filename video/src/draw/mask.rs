//! How much of each pixel of a cell is covered.

use super::plane::Plane;

/// Coverage, 0 to 255.
pub type Mask = Plane<u8>;

impl Plane<u8> {
    /// Nothing is covered.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self::of(width, height, 0)
    }

    /// Covers a pixel, where it is not covered more already. Outside nothing happens.
    pub fn add(&mut self, x: i32, y: i32, cover: u8) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if let Some(pixel) = self.at(x, y) {
            *pixel = (*pixel).max(cover);
        }
    }

    /// Covers whole pixels: `x` and `y` from the first of a pair up to the second.
    pub fn rectangle(&mut self, x: (i32, i32), y: (i32, i32), cover: u8) {
        for row in y.0..y.1 {
            for column in x.0..x.1 {
                self.add(column, row, cover);
            }
        }
    }

    /// Covers each pixel by what `cover` says of its middle, from 0.0 to 1.0.
    pub fn shade(&mut self, cover: impl Fn(f32, f32) -> f32) {
        for row in 0..whole(self.height()) {
            for column in 0..whole(self.width()) {
                let part = cover(column as f32 + 0.5, row as f32 + 0.5).clamp(0.0, 1.0);
                self.add(column, row, (part * 255.0).round() as u8);
            }
        }
    }

    /// Covers each pixel by the share of 16 places in it that are `inside`.
    pub fn fill(&mut self, inside: impl Fn(f32, f32) -> bool) {
        const STEPS: [f32; 4] = [-0.375, -0.125, 0.125, 0.375];
        self.shade(|x, y| {
            let hits = STEPS.iter().flat_map(|dy| STEPS.iter().map(move |dx| (dx, dy)));
            hits.filter(|(dx, dy)| inside(x + **dx, y + **dy)).count() as f32 / 16.0
        });
    }
}

/// A length in pixels as a coordinate.
#[must_use]
pub fn whole(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
