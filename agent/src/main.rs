//! tidegate-agent: the only program of Tidegate that changes a host.
//!
//! It dials out to the proxy, is told what to grant to which account for which
//! session, writes down how to take it back before it changes anything, and takes
//! it back when the session ends, the proxy falls silent, or it is itself stopped.

// A closed pipe must not end what runs.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod account_files;
mod app;
mod cli;
mod clock;
mod config;
mod core;
mod digest;
mod doctor;
mod elevate;
mod files;
mod identity;
mod link;
mod logins;
mod marker;
mod paths;
mod process;
mod program;
mod report;
mod residue;
mod say;
mod setup;
mod shell;
mod sshd;
mod sys;
#[cfg(test)]
mod test;
mod text;
mod witness;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let code = match cli::Cli::try_parse() {
        Ok(cli) => app::run(cli).unwrap_or_else(|error| {
            say::error(format_args!("tidegate-agent: {error}"));
            ExitCode::FAILURE
        }),
        Err(told) => say::usage(&told),
    };
    match say::unwritten() {
        Some(error) => {
            say::error(format_args!("tidegate-agent: standard output cannot be written: {error}"));
            if code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code }
        }
        None => code,
    }
}
