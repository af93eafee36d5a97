//! A picture in memory, red, green and blue.

use super::color::Rgb;
use super::{Surface, Tile};

/// Pixels row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

impl Picture {
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![Rgb::hex(0); width * height] }
    }

    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    #[must_use]
    pub fn pixels(&self) -> &[Rgb] {
        &self.pixels
    }

    /// Red, green and blue of each pixel.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.pixels.iter().flat_map(|pixel| [pixel.red, pixel.green, pixel.blue]).collect()
    }
}

impl Surface for Picture {
    fn put(&mut self, x: usize, y: usize, tile: &Tile) {
        copy(&mut self.pixels, self.width, (x, y), tile.pixels(), tile.width());
    }

    fn fill(&mut self, (x, y): (usize, usize), (width, height): (usize, usize), color: Rgb) {
        for row in self.pixels.chunks_mut(self.width.max(1)).skip(y).take(height) {
            row.iter_mut().skip(x).take(width).for_each(|pixel| *pixel = color);
        }
    }
}

/// Copies rows of `width` to a place in a plane whose rows are `stride` long; what is outside
/// is cut off.
pub fn copy<T: Copy>(plane: &mut [T], stride: usize, (x, y): (usize, usize), from: &[T], width: usize) {
    let visible = width.min(stride.saturating_sub(x));
    if visible == 0 {
        return;
    }
    for (row, line) in from.chunks_exact(width).enumerate() {
        let start = (y + row) * stride + x;
        if let (Some(to), Some(line)) = (plane.get_mut(start..start + visible), line.get(..visible)) {
            to.copy_from_slice(line);
        }
    }
}
