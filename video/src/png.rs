//! One frame as a picture.

use std::io::Write;

use crate::draw::picture::Picture;

/// Writes a picture as PNG.
///
/// # Errors
/// When it could not be written.
pub fn write(picture: &Picture, to: impl Write) -> Result<(), ::png::EncodingError> {
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut encoder = ::png::Encoder::new(to, side(picture.width()), side(picture.height()));
    encoder.set_color(::png::ColorType::Rgb);
    encoder.set_depth(::png::BitDepth::Eight);
    encoder.set_source_srgb(::png::SrgbRenderingIntent::Perceptual);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.bytes())?;
    writer.finish()
}
