//! The command line of the program itself; what follows `admin` is the console's.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Just-in-time privileged access over plain ssh.
#[derive(Parser)]
#[command(name = "tidegate-proxy", version)]
pub(crate) struct Cli {
    /// The settings.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/tidegate/proxy.toml")]
    pub config: PathBuf,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs the gate until it is told to stop.
    Serve,
    /// Reads the settings, looks at the files that they name and reports every mistake.
    CheckConfig,
    /// Moves the store.
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Runs a command of the console on the gate that runs here.
    #[command(disable_help_flag = true)]
    Admin {
        /// The command; `admin help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// Copies the whole store into an empty one and verifies the copy's audit log; no gate may run
    /// on either. Then change `store.url`.
    Copy {
        /// sqlite:PATH or postgres://…
        #[arg(value_name = "FROM")]
        from: String,
        /// sqlite:PATH of a file that is not there, or postgres://… of an empty database.
        #[arg(value_name = "TO")]
        to: String,
    },
}
