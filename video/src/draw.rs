//! Drawing: what stands in a cell becomes a tile of pixels, made once and copied from then on.

pub mod color;
mod glyphs;
mod mask;
pub mod picture;
mod plane;
pub mod planes;
mod shapes;
pub mod stage;
pub mod theme;
mod tile;

pub use glyphs::Glyphs;
pub use plane::Plane;
pub use tile::{Cursor, Look, MARKS, Tile, Tiles};

/// A cell in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// Even.
    pub width: usize,
    /// Even.
    pub height: usize,
    /// Of the font, so that a letter is as wide as a cell.
    pub size: f32,
    /// Where letters stand, from the top.
    pub baseline: i32,
    /// Of lines under and through text.
    pub thickness: i32,
}

/// Where tiles are put.
pub trait Surface {
    /// Copies a tile to where its upper left pixel is; what is outside is cut off. Both
    /// numbers are even.
    fn put(&mut self, x: usize, y: usize, tile: &Tile);

    /// Fills a rectangle whose numbers are even.
    fn fill(&mut self, place: (usize, usize), size: (usize, usize), color: color::Rgb);
}
