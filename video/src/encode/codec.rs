//! Encoders and how they are set: for screens, which are flat, sharp and mostly still.

use ffmpeg_next as ffmpeg;

use ffmpeg::codec::{Context, Flags, encoder};
use ffmpeg::{Dictionary, Rational, color, format};

use super::{EncodeError, Settings, TIME_BASE, failed};

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

    /// The quality that keeps small text sharp.
    #[must_use]
    pub fn usual_quality(self) -> u8 {
        match self {
            Self::H264 => 32,
            Self::Vp9 | Self::Av1 => 34,
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

/// An encoder that is ready for frames.
pub fn open(settings: &Settings) -> Result<encoder::Video, EncodeError> {
    let names = settings.codec.encoders().iter();
    let found = names.filter_map(|name| encoder::find_by_name(name)).next();
    let codec = found.ok_or(EncodeError::NoEncoder(settings.codec))?;
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
    video.open_with(options(&name, settings.quality)).map_err(failed("open the encoder"))
}

fn options(encoder: &str, quality: u8) -> Dictionary<'static> {
    let quality = quality.to_string();
    // The number of threads is part of what decides the bytes.
    let set: &[(&str, &str)] = match encoder {
        "libx264" => &[
            ("threads", "2"),
            ("thread_type", "slice"),
            ("preset", "ultrafast"),
            ("crf", &quality),
            // Each frame is as good as the next, however long it stands.
            ("qcomp", "1.0"),
            ("forced-idr", "1"),
            // Text scrolls by many pixels at once: what moved is looked for far away.
            (
                "x264-params",
                "me=umh:merange=128:partitions=p8x8+i4x4:cabac=1:deadzone-inter=32:deadzone-intra=20",
            ),
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
