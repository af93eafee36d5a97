//! A picture as a video holds it: YUV 4:2:0, BT.709, limited range, in three planes.

use super::color::Rgb;
use super::plane::Plane;
use super::{Surface, Tile};

/// Luma for each pixel, chroma for two by two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planes {
    luma: Plane<u8>,
    chroma: [Plane<u8>; 2],
}

impl Planes {
    /// Black. Both lengths must be even.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        let quarter = Plane::of(width / 2, height / 2, 128);
        Self { luma: Plane::of(width, height, 16), chroma: [quarter.clone(), quarter] }
    }

    /// Luma and both chromas.
    #[must_use]
    pub fn planes(&self) -> [&Plane<u8>; 3] {
        let [u, v] = &self.chroma;
        [&self.luma, u, v]
    }
}

impl Surface for Planes {
    fn put(&mut self, x: usize, y: usize, tile: &Tile) {
        self.luma.copy((x, y), tile.luma(), tile.width());
        for (plane, part) in self.chroma.iter_mut().zip(tile.chroma()) {
            plane.copy((x / 2, y / 2), part, tile.width() / 2);
        }
    }

    fn fill(&mut self, (x, y): (usize, usize), (width, height): (usize, usize), color: Rgb) {
        let [luma, u, v] = color.yuv();
        self.luma.paint((x, y), (width, height), luma);
        for (plane, sample) in self.chroma.iter_mut().zip([u, v]) {
            plane.paint((x / 2, y / 2), (width / 2, height / 2), sample);
        }
    }
}
