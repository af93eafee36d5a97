//! A picture that moves, for pages that take no video.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;

use gif::{DisposalMethod, Encoder, EncodingError, Frame, Repeat};

use crate::draw::color::Rgb;
use crate::draw::picture::Picture;
use crate::render::Sink;

/// The most colours of a frame.
const COLORS: usize = 256;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum GifError {
    #[error("a GIF is at most 65,535 pixels wide and high")]
    Large,
    #[error("the GIF could not be written: {0}")]
    Write(#[from] EncodingError),
}

/// Writes one. Each frame holds the rectangle that changed, with its own colours.
pub struct Gif {
    encoder: Encoder<BufWriter<File>>,
    /// What the frames so far show.
    shown: Option<Picture>,
    /// The last frame, and since when it stands: how long is known when the next one comes.
    held: Option<(Frame<'static>, u64)>,
    frames: u64,
}

impl Gif {
    /// Begins a file, which plays again and again.
    ///
    /// # Errors
    /// When it cannot be written, or is too large.
    pub fn begin(file: File, width: usize, height: usize) -> Result<Self, GifError> {
        let side = |length: usize| u16::try_from(length).map_err(|_| GifError::Large);
        let mut encoder = Encoder::new(BufWriter::new(file), side(width)?, side(height)?, &[])?;
        encoder.set_repeat(Repeat::Infinite)?;
        Ok(Self { encoder, shown: None, held: None, frames: 0 })
    }

    /// Ends it after so many milliseconds; gives the number of frames.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, length: u64) -> Result<u64, GifError> {
        self.write(length)?;
        Ok(self.frames)
    }

    /// Writes the frame that stood until then.
    fn write(&mut self, until: u64) -> Result<(), GifError> {
        let Some((mut frame, at)) = self.held.take() else { return Ok(()) };
        let hundredths = |at: u64| (at + 5) / 10;
        let delay = hundredths(until).saturating_sub(hundredths(at));
        frame.delay = u16::try_from(delay).unwrap_or(u16::MAX).max(2);
        self.frames += 1;
        Ok(self.encoder.write_frame(&frame)?)
    }
}

impl Sink<Picture> for Gif {
    type Error = GifError;

    fn frame(&mut self, at: u64, picture: &Picture) -> Result<(), GifError> {
        self.write(at)?;
        let area = match &self.shown {
            Some(shown) => changed(shown, picture),
            None => ((0, 0), (picture.width(), picture.height())),
        };
        self.held = Some((frame(picture, area), at));
        self.shown = Some(picture.clone());
        Ok(())
    }
}

type Area = ((usize, usize), (usize, usize));

/// Corner and size of all that looks otherwise.
fn changed(before: &Picture, now: &Picture) -> Area {
    let width = now.width().max(1);
    let rows = || now.samples().chunks(width).zip(before.samples().chunks(width));
    let (mut left, mut right, mut top, mut bottom) = (width, 0, usize::MAX, 0);
    for (y, (new, old)) in rows().enumerate().filter(|(_, (new, old))| new != old) {
        let differs = |(new, old): (&Rgb, &Rgb)| new != old;
        left = left.min(new.iter().zip(old).position(differs).unwrap_or(width));
        right = right.max(new.iter().zip(old).rposition(differs).map_or(0, |x| x + 1));
        (top, bottom) = (top.min(y), y + 1);
    }
    if top == usize::MAX { ((0, 0), (1, 1)) } else { ((left, top), (right - left, bottom - top)) }
}

fn frame(picture: &Picture, ((x, y), (width, height)): Area) -> Frame<'static> {
    let pixels: Vec<Rgb> = picture
        .samples()
        .chunks(picture.width().max(1))
        .skip(y)
        .take(height)
        .flat_map(|row| row.iter().skip(x).take(width).copied())
        .collect();
    // As exact as 256 colours allow.
    let (palette, buffer) = (0..8).find_map(|bits| indexed(&pixels, bits)).unwrap_or_default();
    let side = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    Frame {
        left: side(x),
        top: side(y),
        width: side(width),
        height: side(height),
        dispose: DisposalMethod::Keep,
        palette: Some(palette),
        buffer: buffer.into(),
        ..Frame::default()
    }
}

/// Colours and what each pixel has of them, when so many low bits are left out; nothing when
/// there are too many colours still.
fn indexed(pixels: &[Rgb], bits: u32) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut numbers: HashMap<[u8; 3], u8> = HashMap::new();
    let mut palette = Vec::new();
    let mut buffer = Vec::with_capacity(pixels.len());
    // The middle of what falls together.
    let middle = (1_u8 << bits) >> 1;
    let coarse = |value: u8| (value >> bits << bits) | middle;
    for pixel in pixels {
        let color = [pixel.red, pixel.green, pixel.blue].map(coarse);
        let next = numbers.len();
        if next >= COLORS && !numbers.contains_key(&color) {
            return None;
        }
        let number = *numbers.entry(color).or_insert_with(|| {
            palette.extend_from_slice(&color);
            u8::try_from(next).unwrap_or(u8::MAX)
        });
        buffer.push(number);
    }
    Some((palette, buffer))
}
