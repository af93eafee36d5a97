//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tidegate_common::name::AccountName;

/// Grants privileges on this host for a session and takes them away.
#[derive(Debug, Parser)]
#[command(name = "tidegate-agent", version, propagate_version = true)]
pub struct Cli {
    /// The configuration [default: /etc/tidegate/agent.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent; systemd does this
    Run,
    /// Let the program now installed take the place of the agent that runs; grants go on
    Reload,
    /// Whether this program could take over from one that leaves this format
    #[command(hide = true)]
    CheckHandover {
        #[arg(long)]
        format: u32,
    },
    /// Exchange a one-time token for this host's certificate
    Enrol(Enrol),
    /// Take away everything the journal holds; does nothing while an agent runs well
    Sweep,
    /// Check the configuration
    CheckConfig,
    /// Look whether this host is as the agent needs it, and say how to mend it: status 0
    /// when all is well, 1 with a warning, 2 when something is wrong
    Doctor(Doctor),
    /// List who has which privilege on this host all the time
    Report(Shown),
    /// Set this host up: sshd, sudo, the services; a second time changes nothing
    Install(Install),
    /// Take every grant away, then all that `install` made; the Debian package does this when it is removed
    Uninstall(Uninstall),
}

#[derive(Debug, clap::Args)]
pub struct Shown {
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Debug, clap::Args)]
pub struct Doctor {
    #[command(flatten)]
    pub shown: Shown,
    /// Look as well whether sshd would let this account in when the proxy logs in to it
    #[arg(long, value_name = "NAME")]
    pub account: Option<AccountName>,
    /// Where the proxy's connections come from [default: the proxy's address]
    #[arg(long, value_name = "ADDRESS", requires = "account")]
    pub from: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, clap::Args)]
pub struct Enrol {
    /// Where the proxy listens for agents [default: from the configuration]
    #[arg(long, value_name = "HOST:PORT")]
    pub proxy: Option<String>,
    /// The token that `agent token` of the proxy's console printed; `-` reads it from standard input
    #[arg(long)]
    pub token: String,
}

#[derive(Debug, clap::Args)]
pub struct Install {
    /// Where the proxy listens for agents [default: from the configuration]
    #[arg(long, value_name = "HOST:PORT")]
    pub proxy: Option<String>,
    /// The token that `agent token` of the proxy's console printed, or `-` for standard input; not
    /// needed when enrolled
    #[arg(long)]
    pub token: Option<String>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub struct Uninstall {
    /// Keep the configuration and what this host is enrolled with, for an `install` without a token
    #[arg(long)]
    pub keep: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}
