//! A picture in memory, red, green and blue.

use super::color::Rgb;
use super::plane::Plane;
use super::{Surface, Tile};

/// Pixels.
pub type Picture = Plane<Rgb>;

impl Plane<Rgb> {
    /// Black.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self::of(width, height, Rgb::hex(0))
    }

    /// Red, green and blue of each pixel.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.samples().iter().flat_map(|pixel| [pixel.red, pixel.green, pixel.blue]).collect()
    }
}

impl Surface for Picture {
    fn put(&mut self, x: usize, y: usize, tile: &Tile) {
        self.copy((x, y), tile.pixels(), tile.width());
    }

    fn fill(&mut self, place: (usize, usize), size: (usize, usize), color: Rgb) {
        self.paint(place, size, color);
    }
}
