//! `panic …`

use clap::{Args, Subcommand};
use tidegate_common::model::{PanicScope, Text};
use tidegate_common::name::{AccessGroupName, DeviceName, UserName};

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Panic {
    #[command(flatten)]
    Begin(Begin),
    /// Let what was stopped begin again (administrators)
    #[command(subcommand)]
    Lift(Lift),
    /// What is stopped (auditors and administrators)
    #[command(after_help = "Example:\n  panic list")]
    List,
}

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Begin {
    /// End a user's sessions and connections at once, and keep them out (administrators)
    #[command(
        after_help = "Example:\n  panic user operator --justification 'the laptop was stolen'\n\nWho stops their own user is asked on a terminal, and says --yes elsewhere."
    )]
    User {
        /// Who
        name: UserName,
        #[command(flatten)]
        why: Why,
        /// Stop also your own user, who cannot lift it, without being asked
        #[arg(short, long)]
        yes: bool,
    },
    /// End all sessions on a device at once, and let none begin (administrators)
    #[command(after_help = "Example:\n  panic device db01 --justification 'it behaves strangely'")]
    Device {
        /// Which
        name: DeviceName,
        #[command(flatten)]
        why: Why,
    },
    /// End all sessions that an access group governs at once, and let none begin (administrators)
    #[command(after_help = "Example:\n  panic access-group dba --justification 'ticket 4711'")]
    AccessGroup {
        /// Which
        name: AccessGroupName,
        #[command(flatten)]
        why: Why,
    },
    /// End every session at once, and let none begin (administrators)
    #[command(
        after_help = "Example:\n  panic all --justification 'we are under attack'\n\nAdministrators log in all the same, to lift it."
    )]
    All {
        #[command(flatten)]
        why: Why,
    },
}

#[derive(Debug, Args)]
pub(in crate::console) struct Why {
    /// Why, for the audit log and whoever lists it
    #[arg(short, long, value_name = "TEXT")]
    justification: Text,
}

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Lift {
    /// A user
    #[command(after_help = "Example:\n  panic lift user operator")]
    User {
        /// Who
        name: UserName,
    },
    /// A device
    #[command(after_help = "Example:\n  panic lift device db01")]
    Device {
        /// Which
        name: DeviceName,
    },
    /// An access group
    #[command(after_help = "Example:\n  panic lift access-group dba")]
    AccessGroup {
        /// Which
        name: AccessGroupName,
    },
    /// Everything; what is stopped by its own name stays so
    #[command(after_help = "Example:\n  panic lift all")]
    All,
}

impl Begin {
    /// Whether one's own user is meant.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::User { yes: true, .. })
    }

    /// What is to be stopped, and why.
    pub fn scope(self) -> (PanicScope, Text) {
        let (scope, why) = match self {
            Self::User { name, why, .. } => (PanicScope::User(name), why),
            Self::Device { name, why } => (PanicScope::Device(name), why),
            Self::AccessGroup { name, why } => (PanicScope::AccessGroup(name), why),
            Self::All { why } => (PanicScope::All, why),
        };
        (scope, why.justification)
    }
}

impl Lift {
    /// What is to begin again.
    pub fn scope(self) -> PanicScope {
        match self {
            Self::User { name } => PanicScope::User(name),
            Self::Device { name } => PanicScope::Device(name),
            Self::AccessGroup { name } => PanicScope::AccessGroup(name),
            Self::All => PanicScope::All,
        }
    }
}
