//! A rectangle of samples: of a picture's pixels, of a mask's cover, of one part of a video's frame.

/// Samples row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane<T> {
    width: usize,
    height: usize,
    samples: Vec<T>,
}

impl<T: Copy> Plane<T> {
    /// All alike.
    #[must_use]
    pub fn of(width: usize, height: usize, sample: T) -> Self {
        Self { width, height, samples: vec![sample; width.saturating_mul(height)] }
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
    pub fn samples(&self) -> &[T] {
        &self.samples
    }

    /// The sample at a place, where it is inside.
    pub(super) fn at(&mut self, x: usize, y: usize) -> Option<&mut T> {
        if x < self.width { self.samples.get_mut(y * self.width + x) } else { None }
    }

    /// Copies rows of `width` to a place; what is outside is cut off.
    pub(super) fn copy(&mut self, (x, y): (usize, usize), from: &[T], width: usize) {
        let visible = width.min(self.width.saturating_sub(x));
        if visible == 0 {
            return;
        }
        for (row, line) in from.chunks_exact(width).enumerate() {
            let start = (y + row) * self.width + x;
            if let (Some(to), Some(line)) =
                (self.samples.get_mut(start..start + visible), line.get(..visible))
            {
                to.copy_from_slice(line);
            }
        }
    }

    /// Gives a rectangle one sample.
    pub(super) fn paint(&mut self, (x, y): (usize, usize), (width, height): (usize, usize), sample: T) {
        for row in self.samples.chunks_mut(self.width.max(1)).skip(y).take(height) {
            row.iter_mut().skip(x).take(width).for_each(|old| *old = sample);
        }
    }
}
