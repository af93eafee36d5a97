//! tidegate-proxy: the gate. `serve` runs it, `admin` speaks to the one that runs,
//! `check-config` reads its settings and looks at the files that they name.

// A closed pipe must not end what runs.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod access;
mod admission;
mod agents;
mod algorithms;
mod allowance;
mod app;
mod audit_log;
mod changes;
mod cli;
mod config;
mod console;
mod elsewhere;
mod files;
mod follow;
mod geo;
mod governance;
mod http;
mod inbox;
mod keys;
mod limits;
mod log;
mod login;
mod memory;
mod notify;
mod origin;
mod outside;
mod recordings;
mod refusals;
mod relay;
mod requests;
mod service;
mod session;
mod ssh;
mod ssh_name;
mod store;
#[cfg(test)]
mod testing;
mod threads;
mod turn;
mod upstream;
mod vault;
mod witness;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command, StoreCommand};
use config::{Config, ConfigError};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return usage(&told),
    };
    let config = match Config::load(&cli.config) {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime =
        match runtime.enable_all().thread_keep_alive(threads::IDLE).thread_stack_size(threads::STACK).build()
        {
            Ok(runtime) => runtime,
            Err(error) => return failed(&error),
        };
    match cli.command {
        Command::CheckConfig => {
            let named = runtime.block_on(config.look_at_files());
            if !named.wrong.is_empty() {
                return failed(&ConfigError::Named { path: cli.config, wrong: named.wrong });
            }
            let mut lines = vec![format!("{}: no mistakes", cli.config.display())];
            lines.extend(config.hints());
            lines.extend(named.notes);
            let told = lines.iter().try_for_each(|line| writeln!(std::io::stdout(), "{line}"));
            shown(told, ExitCode::SUCCESS)
        }
        Command::Store { command: StoreCommand::Copy { from, to } } => {
            match runtime.block_on(app::copy_store(&config.socket(), &from, &to)) {
                Ok(told) => shown(writeln!(std::io::stdout(), "{told}"), ExitCode::SUCCESS),
                Err(error) => failed(&format!("{error:#}")),
            }
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

/// Help on standard output, a mistake on standard error.
fn usage(told: &clap::Error) -> ExitCode {
    let printed = told.print().and_then(|()| std::io::stdout().flush());
    let status = ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(2));
    if told.use_stderr() { status } else { shown(printed, status) }
}

/// The status of what was said; whoever went away reads no answer.
fn shown(said: std::io::Result<()>, status: ExitCode) -> ExitCode {
    match said {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            failed(&format!("standard output cannot be written: {error}"))
        }
        _ => status,
    }
}

fn failed(why: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "tidegate-proxy: {why}");
    ExitCode::FAILURE
}
