//! A picture as a video holds it: YUV 4:2:0, BT.709, limited range, in three planes.

use super::color::Rgb;
use super::picture::copy;
use super::{Surface, Tile};

/// Luma for each pixel, chroma for two by two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planes {
    width: usize,
    height: usize,
    luma: Vec<u8>,
    chroma: [Vec<u8>; 2],
}

impl Planes {
    /// Black. Both lengths must be even.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        let quarter = vec![128; width / 2 * (height / 2)];
        Self { width, height, luma: vec![16; width * height], chroma: [quarter.clone(), quarter] }
    }

    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Luma and both chromas, each with the length of its rows.
    #[must_use]
    pub fn planes(&self) -> [(&[u8], usize); 3] {
        let [u, v] = &self.chroma;
        [(&self.luma, self.width), (u, self.width / 2), (v, self.width / 2)]
    }
}

impl Surface for Planes {
    fn put(&mut self, x: usize, y: usize, tile: &Tile) {
        copy(&mut self.luma, self.width, (x, y), tile.luma(), tile.width());
        for (plane, part) in self.chroma.iter_mut().zip(tile.chroma()) {
            copy(plane, self.width / 2, (x / 2, y / 2), part, tile.width() / 2);
        }
    }

    fn fill(&mut self, (x, y): (usize, usize), (width, height): (usize, usize), color: Rgb) {
        let [luma, u, v] = color.yuv();
        let [blue, red] = &mut self.chroma;
        let half = ((x / 2, y / 2), (width / 2, height / 2));
        for (plane, stride, ((x, y), (width, height)), value) in [
            (&mut self.luma, self.width, ((x, y), (width, height)), luma),
            (blue, self.width / 2, half, u),
            (red, self.width / 2, half, v),
        ] {
            for row in plane.chunks_mut(stride.max(1)).skip(y).take(height) {
                row.iter_mut().skip(x).take(width).for_each(|sample| *sample = value);
            }
        }
    }
}
