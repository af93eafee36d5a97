//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// The quality that keeps small text sharp.
const USUAL_QUALITY: u8 = 34;

/// Makes a video of a recording: of Tidegate, or any asciicast.
#[derive(Debug, Parser)]
#[command(name = "tidegate-video", version)]
pub struct Cli {
    /// The recording; `-` reads it from standard input
    pub recording: PathBuf,
    /// The video, or with --frame or --gif the picture; `-` writes it to standard output
    pub output: PathBuf,
    /// Make one picture (PNG) of what stood there at a time, as in 90, 1:30 or 0:01:30.5
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with_all = ["gif", "codec", "quality"])]
    pub frame: Option<u64>,
    /// Make a picture that moves (GIF), for a page
    #[arg(long, conflicts_with_all = ["codec", "quality"])]
    pub gif: bool,
    /// How to compress: H.264 makes an MP4, the others a WebM
    #[arg(long, value_enum, default_value_t = Codec::H264)]
    pub codec: Codec,
    /// Constant quality of the encoder, from 0, the best, to 63, the smallest
    #[arg(long, value_name = "NUMBER", default_value_t = USUAL_QUALITY, value_parser = clap::value_parser!(u8).range(..=63))]
    pub quality: u8,
    /// Size of the text in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 17, value_parser = clap::value_parser!(u16).range(6..=72))]
    pub text_size: u16,
    /// Font of the text, a monospaced one [default: DejaVu Sans Mono]
    #[arg(long, value_name = "FAMILY")]
    pub font: Option<String>,
    /// Colours [default: the recording's own where it has some, else dark]
    #[arg(long, value_enum)]
    pub theme: Option<Theme>,
    /// How the cursor is shown
    #[arg(long, value_enum, default_value_t = Cursor::Program)]
    pub cursor: Cursor,
    /// Leave out the bar with user, credential, device, session and time
    #[arg(long)]
    pub no_title: bool,
    /// Time zone of the bar's clock, as in Europe/Berlin [default: this machine's]
    #[arg(long, value_name = "NAME")]
    pub time_zone: Option<String>,
    /// How many times faster
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Cut each pause to this time [default: what the recording's header asks for, if it does]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub idle_limit: Option<u64>,
    /// Begin at this time of the recording
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<u64>,
    /// End at this time of the recording
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<u64>,
    /// The public key that signs recordings, as /var/lib/tidegate/recording_key.pub; without it a
    /// recording's signature is not checked, and the video says so
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// How to show on standard error how far it is
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
    /// The part that reads, draws and encodes, confined: standard input is the recording, standard
    /// output the file, standard error takes messages
    #[arg(long, hide = true)]
    pub confined: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    /// Plays everywhere
    H264,
    /// Smaller and slower
    Vp9,
    /// The smallest and the slowest
    Av1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Theme {
    /// Light on dark
    Dark,
    /// Dark on light
    Light,
    /// The colours of xterm, on black
    Xterm,
    /// Solarized, dark
    Solarized,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cursor {
    /// As the program on the screen asks for it
    Program,
    /// A block
    Block,
    /// A line below the text
    Underline,
    /// A line before the text
    Bar,
    /// Not at all
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A bar, if that is a terminal
    Auto,
    /// A JSON object a line, for a program
    Json,
    /// Not at all
    None,
}

/// Seconds, minutes and seconds, or hours, minutes and seconds; in microseconds.
fn time(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no time; write seconds, as in 90 or 1.5, or 1:30, or 0:01:30");
    let mut seconds = 0.0;
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return Err(wrong());
    }
    for (place, part) in parts.iter().enumerate() {
        let plain = part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number: f64 = part.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
        if place > 0 && number >= 60.0 {
            return Err(wrong());
        }
        seconds = seconds * 60.0 + number;
    }
    if seconds > 400.0 * 24.0 * 3600.0 {
        return Err(format!("`{text}` is more than a year; no recording is that long"));
    }
    Ok((seconds * 1e6).round() as u64)
}

fn speed(text: &str) -> Result<f64, String> {
    let known = text.parse().ok().filter(|speed| (0.05..=1000.0).contains(speed));
    known.ok_or_else(|| format!("`{text}` is no factor from 0.05 to 1000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(time("90"), Ok(90_000_000));
        assert_eq!(time("1.5"), Ok(1_500_000));
        assert_eq!(time("1:30"), Ok(90_000_000));
        assert_eq!(time("1:02:03.25"), Ok(3_723_250_000));
        for wrong in ["", "-1", "1:60", "1:2:3:4", "x", "1e9", "inf", "nan", "1:"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert!(time("99999999999").unwrap_err().contains("more than a year"));
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
