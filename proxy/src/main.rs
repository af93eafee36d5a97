//! tidegate-proxy: the gate. `serve` runs it, `admin` speaks to the one that runs,
//! `check-config` reads its settings.

mod access;
mod agents;
mod app;
mod audit_log;
mod config;
mod console;
mod files;
mod lanes;
mod limits;
mod memory;
mod record;
mod requests;
mod session;
mod ssh;
mod store;
mod transfers;
mod typed;
mod witness;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use config::Config;

/// Just-in-time privileged access over plain ssh.
#[derive(Parser)]
#[command(name = "tidegate-proxy", version, about, long_about = None)]
struct Cli {
    /// The settings.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/tidegate/proxy.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the gate until it is told to stop.
    Serve,
    /// Reads the settings and reports every mistake.
    CheckConfig,
    /// Runs a command of the console on the gate that runs here.
    #[command(disable_help_flag = true)]
    Admin {
        /// The command; `admin help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match Config::load(&cli.config) {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match cli.command {
        Command::CheckConfig => {
            println!("{}: no mistakes", cli.config.display());
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
    eprintln!("tidegate-proxy: {why}");
    ExitCode::FAILURE
}
