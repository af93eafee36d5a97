//! Encoders and how they are set: for screens, which are flat, sharp and mostly still.

use ffmpeg_next as ffmpeg;

use ffmpeg::codec::{Context, Flags, encoder};
use ffmpeg::{Dictionary, Rational, color, format};

use super::{EncodeError, Settings, TIME_BASE, failed};

/// From so many pixels on, moved text is not looked for far away: what a change of the whole
/// picture costs grows with it, and nobody reads text that small.
const HUGE: usize = 3_000_000;

/// How pictures are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// MP4; plays everywhere.
    H264,
    /// WebM.
    Vp9,
    /// WebM; the smallest, and slow.
    Av1,
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::H264 => "H.264",
            Self::Vp9 => "VP9",
            Self::Av1 => "AV1",
        })
    }
}

impl Codec {
    /// FFmpeg's name of the file format.
    #[must_use]
    pub fn container(self) -> &'static str {
        match self {
            Self::H264 => "mp4",
            Self::Vp9 | Self::Av1 => "webm",
        }
    }

    /// FFmpeg's encoders, best first.
    fn encoders(self) -> &'static [&'static str] {
        match self {
            Self::H264 => &["libx264", "libopenh264"],
            Self::Vp9 => &["libvpx-vp9"],
            Self::Av1 => &["libsvtav1", "libaom-av1"],
        }
    }
}

/// The best encoder that is there.
fn best<T>(codec: Codec, find: impl Fn(&str) -> Option<T>) -> Result<T, EncodeError> {
    let found = codec.encoders().iter().find_map(|name| find(name));
    found.ok_or(EncodeError::NoEncoder(codec))
}

/// An encoder that is ready for frames.
pub fn open(settings: &Settings) -> Result<encoder::Video, EncodeError> {
    let codec = best(settings.codec, encoder::find_by_name)?;
    let name = codec.name().to_owned();
    let mut context = Context::new_with_codec(codec);
    context.set_flags(Flags::GLOBAL_HEADER | Flags::BITEXACT);
    let mut video = context.encoder().video().map_err(failed("set the encoder up"))?;
    video.set_width(u32::try_from(settings.width).unwrap_or(u32::MAX));
    video.set_height(u32::try_from(settings.height).unwrap_or(u32::MAX));
    video.set_format(format::Pixel::YUV420P);
    video.set_time_base(TIME_BASE);
    // Only what levels are reckoned with: frames come when they come.
    video.set_frame_rate(Some(Rational(30, 1)));
    video.set_gop(600);
    video.set_max_b_frames(0);
    video.set_colorspace(color::Space::BT709);
    video.set_color_range(color::Range::MPEG);
    video.set_color_primaries(color::Primaries::BT709);
    video.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
    let options = options(&name, settings.quality, settings.width * settings.height);
    video.open_with(options).map_err(failed("open the encoder"))
}

fn options(encoder: &str, quality: u8, pixels: usize) -> Dictionary<'static> {
    // 0 would be without loss, which few players can show.
    let quality = if encoder == "libx264" { quality.max(1) } else { quality }.to_string();
    let x264 = x264(pixels);
    // The number of threads is part of what decides the bytes.
    let set: &[(&str, &str)] = match encoder {
        "libx264" => &[
            ("threads", "2"),
            ("thread_type", "frame"),
            ("preset", "ultrafast"),
            // Each frame is as good as the next, however long it stands: no rate is reckoned with.
            ("qp", &quality),
            ("forced-idr", "1"),
            ("x264-params", &x264),
        ],
        "libvpx-vp9" => &[
            ("threads", "1"),
            ("crf", &quality),
            ("b", "0"),
            ("deadline", "realtime"),
            ("cpu-used", "7"),
            ("lag-in-frames", "0"),
            ("tune-content", "screen"),
        ],
        "libsvtav1" => &[
            ("threads", "1"),
            ("preset", "10"),
            ("crf", &quality),
            ("svtav1-params", "scm=1:lp=1:pred-struct=1"),
        ],
        "libaom-av1" => {
            &[("threads", "1"), ("cpu-used", "8"), ("usage", "realtime"), ("crf", &quality), ("b", "0")]
        }
        _ => &[("threads", "1"), ("global_quality", &quality)],
    };
    let mut options = Dictionary::new();
    set.iter().for_each(|(name, value)| options.set(name, value));
    options
}

/// What x264 is told of screens, beyond its fastest preset.
fn x264(pixels: usize) -> String {
    // Text scrolls by many pixels at once, and what comes stood there a frame ago or looks like
    // what did: it is looked for far away, in parts of blocks, and in two frames.
    let motion = if pixels < HUGE {
        "me=umh:merange=64:ref=2:partitions=p8x8+i4x4"
    } else {
        "me=dia:ref=2:partitions=none"
    };
    // Key frames are rare, and what rests keeps their quality: the title bar does. Where less
    // than the usual is rounded away, flat areas and grey text show no blocks; and thin text
    // in colours lives of chroma.
    format!("{motion}:cabac=1:ipratio=4:deadzone-inter=21:deadzone-intra=11:chroma-qp-offset=-2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_encoder_is_taken_where_the_best_is_missing_and_without_one_the_sentence_says_where_it_is() {
        let among =
            |codec: Codec, there: &[&str]| best(codec, |name| there.contains(&name).then(|| name.to_owned()));
        assert_eq!(among(Codec::H264, &["libopenh264", "libx264"]).unwrap(), "libx264");
        assert_eq!(among(Codec::H264, &["libopenh264", "libvpx-vp9"]).unwrap(), "libopenh264");
        assert_eq!(among(Codec::Av1, &["libaom-av1"]).unwrap(), "libaom-av1");
        let none = among(Codec::Vp9, &["libx264"]).unwrap_err().to_string();
        assert_eq!(none, "this FFmpeg has no encoder for VP9; Debian's libavcodec59 has");
    }
}
