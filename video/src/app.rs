//! Wiring: files on this side, what reads and draws on the other.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::signal::{SigSet, Signal};

use crate::cli::{Cli, Progress};
use crate::message::Message;
use crate::output::{self, Output};
use crate::{say, worker};

/// The longest line that the other side may say.
const LINE: u64 = 64 * 1024;

/// Carries out what was asked for.
///
/// # Errors
/// A sentence.
pub fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    if cli.confined {
        if let Err(error) = worker::run(cli) {
            say::message(&Message::Failed { text: say::sentence(&error) });
            return Ok(ExitCode::FAILURE);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let stops = stops()?;
    let input = output::input(&cli.recording)?;
    let output = Output::begin(&cli.output, &input)?;
    match convert(cli, &input, &output, stops) {
        Ok(()) => {
            output.finish()?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            output.discard();
            Err(error)
        }
    }
}

/// The signals that end the program, kept back for whoever waits for them.
fn stops() -> anyhow::Result<SigSet> {
    let mut stops = SigSet::empty();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|signal| stops.add(signal));
    stops.thread_block().context("signals cannot be kept back")?;
    Ok(stops)
}

fn convert(cli: &Cli, input: &std::fs::File, output: &Output, stops: SigSet) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("the program's own file is not to be found")?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg("--confined")
        .stdin(input.try_clone()?)
        .stdout(output.file().try_clone()?)
        .stderr(Stdio::piped())
        .spawn()
        .context("the part that reads recordings could not be started")?;
    let beside = output.beside().map(std::path::Path::to_owned);
    // Whatever this program waits for, a signal removes what is not whole. The other side dies with it.
    std::thread::spawn(move || {
        let signal = stops.wait();
        if let Some(beside) = beside {
            let _ = std::fs::remove_file(beside);
        }
        let number = signal.map_or(1, |signal| signal as i32);
        std::process::exit(128 + number);
    });
    let outcome = listen(cli, &mut child);
    let status = child.wait().context("the part that reads recordings is gone")?;
    match outcome {
        Some(Message::Done { .. }) if status.success() => Ok(()),
        Some(Message::Failed { text }) => Err(anyhow::anyhow!(text)),
        _ => Err(anyhow::anyhow!(
            "the part that reads recordings ended before its time ({status}); it may have met a bound of \
             memory or time"
        )),
    }
}

/// Passes messages on; gives the last one that counts.
fn listen(cli: &Cli, child: &mut Child) -> Option<Message> {
    let mut lines = BufReader::new(child.stderr.take()?);
    let bar = (cli.progress == Progress::Auto).then(bar);
    let mut outcome = None;
    loop {
        let mut line = Vec::new();
        match (&mut lines).take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        // What a library says is for nobody.
        let Ok(message) = serde_json::from_slice::<Message>(&line) else { continue };
        // A failure is told once, by whoever ends the program.
        if cli.progress == Progress::Json && !matches!(message, Message::Failed { .. }) {
            say::message(&message);
        }
        match &message {
            Message::Progress { part, left, .. } => {
                if let Some(bar) = &bar {
                    bar.set_position((part * 1000.0) as u64);
                    bar.set_message(left.map_or_else(String::new, |left| format!("{left:.0} s left")));
                }
            }
            Message::Note { text } => match &bar {
                Some(bar) => bar.suspend(|| say::error(format_args!("tidegate-video: {text}"))),
                None if cli.progress == Progress::None => say::error(format_args!("tidegate-video: {text}")),
                None => {}
            },
            Message::Failed { .. } | Message::Done { .. } => outcome = Some(message),
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    outcome
}

/// On a terminal; elsewhere it shows nothing.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(1000);
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} % {msg}");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
