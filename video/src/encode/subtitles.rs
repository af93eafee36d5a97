//! Commands as a subtitle track: `mov_text` in an MP4 (3GPP TS 26.245), WebVTT in a WebM.

#![allow(unsafe_code, reason = "FFmpeg has no call that says what a track without an encoder holds")]

use ffmpeg_next as ffmpeg;

use ffmpeg::codec::packet::Packet;
use ffmpeg::codec::{Id, Parameters};
use ffmpeg::format::context::Output;
use ffmpeg::{Rational, ffi, media};

use super::{Codec, EncodeError, Mark, Settings, TIME_BASE, failed};

/// How long a command is shown, where no other follows, in milliseconds.
const SHOWN: u64 = 5_000;

/// How text is to be shown (`tx3g`, 5.16 of the standard): at the bottom, white, sans serif.
const SAMPLE_ENTRY: [u8; 47] = *b"\
    \0\0\0\0\x01\xff\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\x01\0\x12\xff\xff\xff\xff\
    \0\0\0\x11ftab\0\x01\0\x01\x04Sans";

/// The track, and what is to be written of it.
pub struct Track {
    stream: usize,
    codec: Codec,
    /// Texts with their start and their length, the next one last.
    texts: Vec<(i64, i64, String)>,
}

impl Track {
    /// Adds a track to a file, if there is anything to show.
    pub fn add(output: &mut Output, settings: &Settings) -> Result<Self, EncodeError> {
        let mut track = Self { stream: 0, codec: settings.codec, texts: texts(settings) };
        if track.texts.is_empty() {
            return Ok(track);
        }
        let mut stream = output.add_stream(Id::None).map_err(failed("add the subtitles"))?;
        stream.set_time_base(TIME_BASE);
        stream.set_parameters(parameters(settings.codec)?);
        track.stream = stream.index();
        Ok(track)
    }

    /// Writes all that begins before a time.
    pub fn write_until(&mut self, until: i64, output: &mut Output) -> Result<(), EncodeError> {
        while let Some((at, length, text)) = self.texts.pop_if(|(at, _, _)| *at <= until) {
            let mut packet = Packet::copy(&content(self.codec, &text));
            packet.set_stream(self.stream);
            packet.set_pts(Some(at));
            packet.set_dts(Some(at));
            packet.set_duration(length);
            let time_base = output.stream(self.stream).map_or(Rational(1, 1000), |stream| stream.time_base());
            packet.rescale_ts(TIME_BASE, time_base);
            packet.write(output).map_err(failed("write a subtitle"))?;
        }
        Ok(())
    }
}

fn texts(settings: &Settings) -> Vec<(i64, i64, String)> {
    let time = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    let ends = settings.marks.iter().skip(1).map(|mark| mark.at).chain([settings.length]);
    let mut texts: Vec<_> = settings
        .marks
        .iter()
        .zip(ends)
        .map(|(Mark { at, label }, end)| (*at, end.saturating_sub(*at).min(SHOWN), label))
        .filter(|(_, length, label)| *length > 0 && !label.is_empty())
        .map(|(at, length, label)| (time(at), time(length), label.clone()))
        .collect();
    texts.reverse();
    texts
}

fn content(codec: Codec, text: &str) -> Vec<u8> {
    match codec {
        Codec::H264 => {
            let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
            let kept = text.as_bytes().get(..usize::from(length)).unwrap_or_default();
            [&length.to_be_bytes(), kept].concat()
        }
        Codec::Vp9 | Codec::Av1 => text.as_bytes().to_vec(),
    }
}

fn parameters(codec: Codec) -> Result<Parameters, EncodeError> {
    let mut parameters = Parameters::new();
    parameters.set_medium(media::Type::Subtitle);
    parameters.set_id(if codec == Codec::H264 { Id::MOV_TEXT } else { Id::WEBVTT });
    if codec != Codec::H264 {
        return Ok(parameters);
    }
    let padding = usize::try_from(ffi::AV_INPUT_BUFFER_PADDING_SIZE).unwrap_or(64);
    // SAFETY: the memory is FFmpeg's own, zeroed, and longer by what FFmpeg reads beyond the
    // end; the parameters own it from here on and free it with `av_free`.
    unsafe {
        let memory = ffi::av_mallocz(SAMPLE_ENTRY.len() + padding).cast::<u8>();
        if memory.is_null() {
            return Err(failed("add the subtitles")(ffmpeg::Error::Other { errno: ffi::ENOMEM }));
        }
        std::ptr::copy_nonoverlapping(SAMPLE_ENTRY.as_ptr(), memory, SAMPLE_ENTRY.len());
        let raw = parameters.as_mut_ptr();
        (*raw).extradata = memory;
        (*raw).extradata_size = i32::try_from(SAMPLE_ENTRY.len()).unwrap_or(0);
    }
    Ok(parameters)
}
