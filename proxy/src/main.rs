//! tidegate-proxy: the gate. `serve` runs it, `admin` speaks to the one that runs,
//! `check-config` reads its settings.

// A closed pipe must not end what runs.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod access;
mod agents;
mod app;
mod audit_log;
mod cli;
mod config;
mod console;
mod files;
mod lanes;
mod limits;
mod log;
mod memory;
mod origin;
mod record;
mod refusals;
mod requests;
mod session;
mod ssh;
mod store;
mod transfers;
mod typed;
mod witness;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};
use config::Config;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match Config::load(&cli.config) {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().thread_keep_alive(lanes::IDLE).build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match cli.command {
        Command::CheckConfig => {
            // Whoever went away reads no answer.
            let mut out = std::io::stdout();
            let _ = writeln!(out, "{}: no mistakes", cli.config.display());
            for hint in config.hints() {
                let _ = writeln!(out, "{hint}");
            }
            ExitCode::SUCCESS
        }
        Command::Admin { command } => {
            ExitCode::from(runtime.block_on(console::admin(&config.socket(), command)))
        }
        Command::Serve => match runtime.block_on(app::serve(config)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&format!("{error:#}")),
        },
    }
}

fn failed(why: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "tidegate-proxy: {why}");
    ExitCode::FAILURE
}
