//! `agent …` and `grant …`

use clap::{Args, Subcommand};
use tidegate_common::name::{DeviceName, UserName};
use tidegate_common::time::Length;

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Agent {
    /// Make a one-time token that enrols a device's agent (administrators)
    #[command(
        after_help = "Example:\n  agent token db01\n\nIt replaces an earlier token of the device that nobody used."
    )]
    Token {
        /// The device
        device: DeviceName,
        /// How long it can be used
        #[arg(long, default_value = "1h")]
        valid: Length,
    },
    /// Agents and their links
    #[command(after_help = "Example:\n  agent list -o json")]
    List,
    /// Take a device's agent out; it needs a new token to come back (administrators)
    #[command(after_help = "Example:\n  agent revoke db01")]
    Revoke {
        /// The device
        device: DeviceName,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Grant {
    /// Every grant that lives, and what outlived its session: your own, or all for auditors and
    /// administrators
    #[command(
        after_help = "Examples:\n  grant list\n  grant list --device db01\n  grant list --user operator -o json"
    )]
    List(GrantList),
}

#[derive(Debug, Args)]
pub(in crate::console) struct GrantList {
    /// Only on this device
    #[arg(long)]
    pub device: Option<DeviceName>,
    /// Only of this user
    #[arg(long)]
    pub user: Option<UserName>,
}
