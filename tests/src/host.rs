//! A host that sessions reach: a throwaway device, or the machine itself.

use std::path::PathBuf;

use anyhow::Result;

use crate::run::{Done, Run};

/// What the harness does on a host.
pub trait Host {
    /// A command there, as root, with an environment of its own.
    fn command(&self, args: &[&str]) -> Result<Run>;

    /// A file there, as this machine reaches it.
    fn path(&self, path: &str) -> PathBuf;

    /// Runs a command there, as root.
    fn run(&self, args: &[&str]) -> Result<Done> {
        self.command(args)?.run()
    }

    /// Runs a command there, as root; it must succeed.
    fn ok(&self, args: &[&str]) -> Result<Done> {
        self.command(args)?.ok()
    }

    /// Runs a command there as the account, outside any session.
    fn run_as(&self, account: &str, args: &[&str]) -> Result<Done> {
        self.run(&[&["runuser", "-u", account, "--"], args].concat())
    }
}

/// The environment of commands on a host.
pub const ENVIRONMENT: [&str; 6] = [
    "env",
    "-i",
    "HOME=/root",
    "LANG=C.UTF-8",
    "TERM=dumb",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
];
