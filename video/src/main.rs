//! tidegate-video: a recording becomes a video.

#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

use std::process::ExitCode;

use clap::Parser as _;
use tidegate_video::cli::{Cli, Progress};
use tidegate_video::message::Message;
use tidegate_video::{app, say};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match app::run(&cli) {
        Ok(code) => code,
        Err(error) if cli.progress == Progress::Json => {
            say::message(&Message::Failed { text: say::sentence(&error) });
            ExitCode::FAILURE
        }
        Err(error) => {
            say::error(format_args!("tidegate-video: {}", say::sentence(&error)));
            ExitCode::FAILURE
        }
    }
}
