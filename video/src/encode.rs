//! Frames to a video file, by FFmpeg.

mod codec;
mod index;
mod pool;
mod subtitles;

use std::fs::File;

use ffmpeg_next as ffmpeg;

use ffmpeg::codec::packet::Packet;
use ffmpeg::format::context::{Output, StreamIo};
use ffmpeg::{Dictionary, Rational, format, frame, picture};

pub use codec::Codec;
pub use pool::{Encoding, start};

/// Milliseconds: no two screens that can be told apart are closer.
const TIME_BASE: (i32, i32) = (1, 1000);

/// What a file holds beside its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub codec: Codec,
    /// In pixels; even.
    pub width: usize,
    /// In pixels; even.
    pub height: usize,
    /// The encoder's constant quality: less is better.
    pub quality: u8,
    /// Names and values that players and ffprobe show.
    pub metadata: Vec<(String, String)>,
    /// What can be jumped to, and what is shown as a subtitle, in the order of their times.
    pub marks: Vec<Mark>,
    /// The video's length as far as it is known.
    pub length: u64,
}

/// A command or another place in a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// In milliseconds of the video.
    pub at: u64,
    pub label: String,
}

/// A video could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The library lacks what is asked for.
    #[error("this FFmpeg has no encoder for {0}; Debian's libavcodec59 has")]
    NoEncoder(Codec),
    /// The library refused.
    #[error("FFmpeg could not {what}: {source}")]
    Library { what: &'static str, source: ffmpeg::Error },
    /// The disk is full, or the file cannot be written.
    #[error("the video could not be written: {0}")]
    Write(std::io::Error),
    /// The thread that encodes is gone.
    #[error("encoding ended before its time")]
    Gone,
}

/// Once, before anything is encoded: the library itself says nothing.
pub fn prepare() {
    ffmpeg::util::log::set_level(ffmpeg::util::log::Level::Quiet);
}

/// Says what the library was asked to do.
fn failed(what: &'static str) -> impl Fn(ffmpeg::Error) -> EncodeError {
    move |source| match source {
        ffmpeg::Error::Other { errno } if errno > 0 => {
            EncodeError::Write(std::io::Error::from_raw_os_error(errno))
        }
        source => EncodeError::Library { what, source },
    }
}

/// Writes a video.
pub struct Writer {
    /// Where `output` writes to.
    file: File,
    output: Output,
    encoder: ffmpeg::encoder::Video,
    time_base: Rational,
    subtitles: subtitles::Track,
    /// The last packet: how long its frame stands is known when the next one comes.
    held: Option<Packet>,
}

impl Writer {
    /// Begins a file; `file` is empty.
    ///
    /// # Errors
    /// When the library cannot, or the disk is full.
    pub fn open(file: File, settings: &Settings) -> Result<Self, EncodeError> {
        let container = settings.codec.container();
        let stream = file.try_clone().map_err(EncodeError::Write)?;
        let stream = StreamIo::from_write_seek(stream).map_err(failed("open the file"))?;
        let mut output =
            format::output_to_stream(stream, None, Some(container)).map_err(failed("open the file"))?;
        let encoder = codec::open(settings)?;
        output.add_stream_with(&encoder).map_err(failed("add the pictures"))?.set_time_base(TIME_BASE);
        let subtitles = subtitles::Track::add(&mut output, settings)?;
        chapters(&mut output, settings)?;
        let mut metadata = Dictionary::new();
        settings.metadata.iter().for_each(|(name, value)| metadata.set(name, value));
        output.set_metadata(metadata);
        let mut options = Dictionary::new();
        // The same recording makes the same file.
        options.set("fflags", "+bitexact");
        if container == "mp4" {
            options.set("movflags", "+use_metadata_tags");
        }
        output.write_header_with(options).map_err(failed("begin the file"))?;
        let time_base = output.stream(0).map_or(Rational(1, 1000), |stream| stream.time_base());
        Ok(Self { file, output, encoder, time_base, subtitles, held: None })
    }

    /// Adds a frame that stands from `at` on; `key` says that one can jump to it.
    ///
    /// # Errors
    /// When it could not be encoded or written.
    pub fn frame(&mut self, at: u64, key: bool, frame: &mut frame::Video) -> Result<(), EncodeError> {
        frame.set_pts(Some(i64::try_from(at).unwrap_or(i64::MAX)));
        frame.set_kind(if key { picture::Type::I } else { picture::Type::None });
        self.encoder.send_frame(frame).map_err(failed("encode a frame"))?;
        self.drain()
    }

    /// Ends the file; the video is `length` milliseconds long.
    ///
    /// # Errors
    /// When it could not be encoded or written.
    pub fn finish(mut self, length: u64) -> Result<(), EncodeError> {
        self.encoder.send_eof().map_err(failed("encode the last frame"))?;
        self.drain()?;
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        if let Some(last) = self.held.take() {
            self.write(last, length)?;
        }
        self.subtitles.write_until(i64::MAX, &mut self.output)?;
        self.output.write_trailer().map_err(failed("end the file"))?;
        // What is still kept back is written.
        drop(self.output);
        index::to_front(&self.file).map_err(EncodeError::Write)
    }

    fn drain(&mut self) -> Result<(), EncodeError> {
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {
                    let next = packet.pts().unwrap_or(0);
                    if let Some(last) = self.held.replace(packet) {
                        self.write(last, next)?;
                    }
                }
                Err(ffmpeg::Error::Other { errno }) if errno == ffmpeg::error::EAGAIN => return Ok(()),
                Err(ffmpeg::Error::Eof) => return Ok(()),
                Err(error) => return Err(failed("encode a frame")(error)),
            }
        }
    }

    /// Writes a packet whose frame stands until then.
    fn write(&mut self, mut packet: Packet, until: i64) -> Result<(), EncodeError> {
        let at = packet.pts().unwrap_or(0);
        self.subtitles.write_until(at, &mut self.output)?;
        packet.set_stream(0);
        packet.set_duration(until.saturating_sub(at).max(1));
        packet.rescale_ts(TIME_BASE, self.time_base);
        packet.write(&mut self.output).map_err(failed("write a frame"))?;
        Ok(())
    }
}

/// One after the other from the start on: an MP4 has no time without a chapter.
fn chapters(output: &mut Output, settings: &Settings) -> Result<(), EncodeError> {
    let time = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    let Some(first) = settings.marks.first() else { return Ok(()) };
    let before = (first.at > 0).then_some((0, "(start)"));
    let marks = settings.marks.iter().map(|mark| (mark.at, mark.label.as_str()));
    let starts: Vec<(u64, &str)> = before.into_iter().chain(marks).collect();
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([settings.length]);
    for (id, ((start, label), end)) in (0..).zip(starts.iter().zip(ends)) {
        let (start, end) = (time(*start), time(end.max(*start)));
        output.add_chapter(id, TIME_BASE, start, end, label).map_err(failed("add a chapter"))?;
    }
    Ok(())
}
