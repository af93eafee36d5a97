//! The confined part: a recording on standard input, a file on standard output, messages on
//! standard error.

use std::fs::File;
use std::io::{self, Seek as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use tidegate_common::recording::{Head, Recording, What};
use tidegate_screen::Size;

use crate::cli::{self, Cli};
use crate::draw::picture::Picture;
use crate::draw::planes::Planes;
use crate::draw::stage::{CursorStyle, Stage};
use crate::draw::theme::{self, Theme};
use crate::draw::{Glyphs, Surface, Tiles};
use crate::encode::{self, Codec, Settings};
use crate::fonts::{self, Fonts};
use crate::message::Message;
use crate::proof::{self, Mark, Words};
use crate::render::{Change, Renderer, Sink};
use crate::survey::{self, Survey, micros};
use crate::timeline::{LONGEST, Pace, Timeline};
use crate::title::{Facts, Title};
use crate::{confine, gif, metadata, png, say};

/// The widest and highest video: what decoders for H.264 level 5.1 take.
const WIDEST: usize = 4096;
const HIGHEST: usize = 2304;
/// Text is made smaller for a large screen, but not smaller than this.
const SMALLEST: u16 = 6;

/// All that is needed to draw.
struct Job<'a> {
    cli: &'a Cli,
    input: File,
    survey: Survey,
    pace: Pace,
    stage: Stage,
    title: Option<Title>,
    words: Words,
}

/// Makes the video, and says so.
///
/// # Errors
/// A sentence for whoever asked for the video.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    // It must not go on alone.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    let own = |fd: io::Result<std::os::fd::OwnedFd>| fd.map(File::from);
    let input = own(io::stdin().as_fd().try_clone_to_owned()).context("no recording was handed over")?;
    let output = own(io::stdout().as_fd().try_clone_to_owned()).context("no file was handed over")?;
    let fonts = Fonts::find(Path::new(fonts::DIRECTORY), cli.font.as_deref())?;
    let check = cli.key.as_deref().map(proof::check).transpose()?;
    let zone = match &cli.time_zone {
        Some(name) => TimeZone::get(name).with_context(|| format!("there is no time zone {name}"))?,
        None => TimeZone::system(),
    };
    encode::prepare();
    confine::confine()?;

    let mut pace = Pace {
        idle_limit: cli.idle_limit,
        speed: cli.speed,
        // One frame is a video of no length.
        from: cli.frame.or(cli.from).unwrap_or(0),
        to: cli.frame.or(cli.to),
    };
    let survey = survey::survey(survey::open(&input, check)?, &pace)?;
    pace.idle_limit = pace.idle_limit.or(survey.head.idle_limit.map(micros));
    anyhow::ensure!(
        survey.length <= LONGEST,
        "the video would be more than seven days long; --idle-limit cuts its pauses, --from and --to a part of it"
    );
    anyhow::ensure!(
        cli.frame.is_some() || survey.end >= pace.from,
        "the recording ends after {} seconds, before the time that --from asks for",
        survey.end / 1_000_000
    );
    // Far more than any takes: what goes on beyond does not end.
    confine::bound_time(600 + survey.shown / 20_000 + survey.bytes / 20_000 + survey.length / 5_000_000)?;
    let words = proof::words(&survey.standing, survey.head.tidegate.is_some());
    let (stage, canvas) = stage(cli, fonts, &survey);
    let title = (!cli.no_title).then(|| Title::new(facts(&survey.head, &words), zone));
    notes(&survey, &words, canvas, cli);
    Job { cli, input, survey, pace, stage, title, words }.make(output)
}

impl Job<'_> {
    fn make(self, output: File) -> anyhow::Result<()> {
        let (width, height) = self.stage.pixels();
        let standing = self.words.sentence.clone();
        let cli = self.cli;
        let (frames, milliseconds) = if cli.frame.is_some() {
            let (_, _, picture) = self.draw(Picture::new(width, height), Nowhere)?;
            png::write(&picture, output).context("the picture could not be written")?;
            (1, 0)
        } else if cli.gif {
            let sink = gif::Gif::begin(output, width, height)?;
            let (length, sink, _) = self.draw(Picture::new(width, height), sink)?;
            (sink.finish(length)?, length)
        } else {
            let codec = match cli.codec {
                cli::Codec::H264 => Codec::H264,
                cli::Codec::Vp9 => Codec::Vp9,
                cli::Codec::Av1 => Codec::Av1,
            };
            let settings = Settings {
                codec,
                width,
                height,
                quality: cli.quality,
                metadata: metadata::of(&self.survey.head, &self.words),
                marks: self.survey.marks.clone(),
                length: self.survey.length / 1000,
            };
            let sink = encode::start(output, &settings)?;
            let (length, sink, _) = self.draw(Planes::new(width, height), sink)?;
            (sink.finish(length)?, length)
        };
        say::message(&Message::Done { frames, milliseconds, width, height, standing });
        Ok(())
    }

    /// Draws all of it; gives its length in milliseconds.
    fn draw<S: Surface, K: Sink<S>>(self, surface: S, sink: K) -> anyhow::Result<(u64, K, S)>
    where
        K::Error: Into<anyhow::Error>,
    {
        let Self { survey, pace, stage, title, mut input, .. } = self;
        input.rewind()?;
        let mut recording: Recording<File> = survey::open(&input, None)?;
        let timeline = Timeline::new(pace);
        let mut renderer = Renderer::new(stage, title, survey.first, timeline, surface, sink);
        let (mut progress, mut shown) = (Progress::new(survey.shown), 0u64);
        while let Some(event) = recording.next_event()? {
            let at = micros(event.at);
            if pace.to.is_some_and(|to| at > to) {
                break;
            }
            match event.what {
                What::Output(text) => {
                    // As the survey counts them.
                    if at >= pace.from {
                        shown += u64::try_from(text.len()).unwrap_or(0);
                    }
                    renderer.change(at, &Change::Output(text.as_bytes()))
                }
                What::Resize(size) => {
                    renderer.change(at, &Change::Resize(Size::bounded(size.cols, size.rows)))
                }
                What::Input(_) | What::Marker(_) | What::Exit(_) => continue,
            }
            .map_err(Into::into)?;
            progress.tell(shown, renderer.frames());
        }
        renderer.end(survey.end).map_err(Into::into)
    }
}

fn stage(cli: &Cli, fonts: Fonts, survey: &Survey) -> (Stage, Size) {
    let glyphs = Glyphs::new(fonts);
    let largest = survey.largest;
    let fits = |size: u16| {
        let metrics = glyphs.metrics(size);
        let width = usize::from(largest.columns) * metrics.width + 16;
        let height = (usize::from(largest.rows) + 2) * metrics.height + 24;
        width <= WIDEST && height <= HIGHEST
    };
    let text_size = (SMALLEST..=cli.text_size).rev().find(|size| fits(*size)).unwrap_or(SMALLEST);
    let metrics = glyphs.metrics(text_size);
    let most = |length: usize, room: usize| u16::try_from(room / length).unwrap_or(u16::MAX);
    let canvas = Size {
        columns: largest.columns.min(most(metrics.width, WIDEST - 16)),
        rows: largest.rows.min(most(metrics.height, HIGHEST - 24) - 2),
    };
    let theme = match cli.theme {
        Some(cli::Theme::Dark) => theme::DARK,
        Some(cli::Theme::Light) => theme::LIGHT,
        Some(cli::Theme::Xterm) => theme::XTERM,
        Some(cli::Theme::Solarized) => theme::SOLARIZED,
        None => own(&survey.head).unwrap_or(theme::DARK),
    };
    let cursor = match cli.cursor {
        cli::Cursor::Program => CursorStyle::Program,
        cli::Cursor::Block => CursorStyle::Block,
        cli::Cursor::Underline => CursorStyle::Underline,
        cli::Cursor::Bar => CursorStyle::Bar,
        cli::Cursor::None => CursorStyle::Hidden,
    };
    let tiles = Tiles::new(glyphs, text_size);
    (Stage::new(tiles, theme, cursor, canvas, !cli.no_title), canvas)
}

/// The colours of the terminal that the recording was made on.
fn own(head: &Head) -> Option<Theme> {
    let own = head.theme.as_ref()?;
    Some(Theme::of_terminal(own.foreground, own.background, &own.palette))
}

fn facts(head: &Head, words: &Words) -> Facts {
    let (alarm, remark) = match words.mark {
        Some(Mark::Alarm(mark)) => (Some(mark.to_owned()), None),
        Some(Mark::Fact(mark)) => (None, Some(mark.to_owned())),
        None => (None, None),
    };
    let own = head.tidegate.as_ref();
    Facts {
        alarm,
        user: own.map(|own| own.user.to_string()),
        place: own.map(|own| own.target.to_string()).or_else(|| head.title.clone().or(head.command.clone())),
        session: own.map(|own| own.session.to_string()),
        remark,
        started: own.map(|own| own.started).or(head.started).map(|started| started.as_microsecond()),
    }
}

/// What whoever gets the video should know.
fn notes(survey: &Survey, words: &Words, canvas: Size, cli: &Cli) {
    let note = |text: String| say::message(&Message::Note { text });
    if matches!(words.mark, Some(Mark::Alarm(_))) {
        note(words.sentence.clone());
    }
    if survey.backwards > 0 {
        note(format!(
            "{} events are earlier than the one before them; they are shown at once",
            survey.backwards
        ));
    }
    if survey.leap {
        note("a pause of more than a day is shown as a day".to_owned());
    }
    if survey.more_marks {
        note(format!("only the first {} commands are chapters", survey.marks.len()));
    }
    let Size { columns, rows } = survey.largest;
    if (columns, rows) != (canvas.columns, canvas.rows) {
        note(format!(
            "the screen of {columns}x{rows} characters is larger than a video can be; {}x{} of them are shown",
            canvas.columns, canvas.rows
        ));
    }
    if survey.shown == 0 && cli.frame.is_none() {
        note("nothing was shown in the time that was asked for; the video shows an empty screen".to_owned());
    }
}

/// Takes no frames.
struct Nowhere;

impl Sink<Picture> for Nowhere {
    type Error = std::convert::Infallible;

    fn frame(&mut self, _: u64, _: &Picture) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Tells how far it is, ten times a second: what was shown so far of what will be.
struct Progress {
    began: Instant,
    told: Instant,
    all: u64,
}

impl Progress {
    fn new(all: u64) -> Self {
        let now = Instant::now();
        Self { began: now, told: now, all: all.max(1) }
    }

    fn tell(&mut self, shown: u64, frames: u64) {
        let now = Instant::now();
        if now.duration_since(self.told).as_millis() < 100 {
            return;
        }
        self.told = now;
        let part = (shown as f64 / self.all as f64).clamp(0.0, 1.0);
        let passed = now.duration_since(self.began).as_secs_f64();
        let left = (part > 0.02).then(|| passed * (1.0 - part) / part);
        say::message(&Message::Progress { part, left, frames });
    }
}
