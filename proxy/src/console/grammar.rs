//! The grammar. The manual pages are made from it too (tests/src/bin/pages), so its parts
//! say where they are.

#[path = "grammar/changes.rs"]
mod changes;
#[path = "grammar/fleet.rs"]
mod fleet;
#[path = "grammar/group_reviews.rs"]
mod group_reviews;
#[path = "grammar/moment.rs"]
mod moment;
#[path = "grammar/notify.rs"]
mod notify;
#[path = "grammar/panics.rs"]
mod panics;
#[path = "grammar/remote_accesses.rs"]
mod remote_accesses;
#[path = "grammar/requests.rs"]
mod requests;
#[path = "grammar/secrets.rs"]
mod secrets;
#[path = "grammar/sessions.rs"]
mod sessions;

pub(super) use changes::{Change, CreateChange, Ids};
pub(super) use fleet::{Agent, Grant, GrantList};
pub(super) use group_reviews::GroupReview;
pub(super) use moment::{Since, Start};
pub(super) use notify::{NONE, Notify, NotifyList, USUAL};
pub(super) use panics::Panic;
pub(super) use remote_accesses::{Decide, RemoteAccess, RemoteAccessList, Wanted};
pub(super) use requests::{Create, Extend, Request, RequestList};
pub(super) use secrets::{Credential, Secret, ShowPassword, Vault};
pub(super) use sessions::{Session, SessionList};

use std::ffi::OsStr;
use std::net::IpAddr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tidegate_common::model::Kind;
use tidegate_common::name::{AccessGroupName, CredentialName, DeviceName, UserName};

/// The gate's command line.
#[derive(Debug, Parser)]
#[command(name = "tidegate", no_binary_name = true, disable_version_flag = true, max_term_width = 120)]
#[command(about = "Who may reach what, and what they did", after_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How answers are written: for people, as JSON for machines, or lists as CSV for spreadsheets
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

const EXAMPLES: &str = "\
Examples, over ssh and the same after `tidegate-proxy admin`:
  ssh operator@gate access list
  ssh operator@gate request create ops@db01 --justification 'ticket 4711' --duration 2h
  ssh approver@gate request approve 12 --comment 'go ahead'
  ssh admin@gate apply -f - < resources.toml
  ssh auditor@gate session list -o json

Exit status: 0 done, 1 refused or failed, 2 not understood.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create or change resources from a TOML text, all or nothing
    #[command(
        after_help = "Examples:\n  ssh admin@gate apply -f - < resources.toml\n  tidegate-proxy admin apply -f resources.toml --dry-run\n\nA text with a mistake changes nothing; every mistake is told with line and column.\nA text that says of which revision it is, as `get` and `export` write it (# revision 42), changes nothing\nwhere what it writes was changed since; who changed it and when is told."
    )]
    Apply(Apply),
    /// Show resources
    #[command(after_help = "Examples:\n  get users\n  get access-group dba\n  get devices -o json")]
    Get(Get),
    /// Delete resources
    #[command(after_help = "Example:\n  delete credential ops@db01\n\nLive sessions that rest on it end.")]
    Delete(Delete),
    /// Print all resources as a TOML text that `apply` takes
    #[command(after_help = "Example:\n  ssh admin@gate export > resources.toml")]
    Export,
    /// What you may reach, and why somebody may or may not
    #[command(subcommand)]
    Access(Access),
    /// Confirm who is in the access groups that you own
    #[command(subcommand)]
    GroupReview(GroupReview),
    /// Ask for access, approve it, take it back
    #[command(subcommand)]
    Request(Request),
    /// Planned changes: what shall run, and what came of it
    #[command(subcommand)]
    Change(Change),
    /// Let users of user groups in from outside
    #[command(subcommand)]
    RemoteAccess(RemoteAccess),
    /// Sessions and their recordings
    #[command(subcommand)]
    Session(Session),
    /// Agents on devices
    #[command(subcommand)]
    Agent(Agent),
    /// Privileges that are on devices now
    #[command(subcommand)]
    Grant(Grant),
    /// What people are told, by mail, SMS and webhook
    #[command(subcommand)]
    Notify(Notify),
    /// Passwords and private keys of credentials
    #[command(subcommand)]
    Credential(Credential),
    /// The vault's master key
    #[command(subcommand)]
    Vault(Vault),
    /// Stop a user, a device, an access group or everything at once, until it is lifted
    #[command(subcommand)]
    Panic(Panic),
    /// The audit log
    #[command(subcommand)]
    Audit(Audit),
}

impl Command {
    /// Whether it goes on until somebody ends it.
    pub fn streams(&self) -> bool {
        matches!(
            self,
            Self::Session(Session::Play { .. } | Session::Export { .. } | Session::Watch { .. })
                | Self::Audit(Audit::Tail { follow: true, .. })
        )
    }

    /// Whether it takes keys as they are typed.
    pub fn takes_keys(&self) -> bool {
        matches!(
            self,
            Self::Session(Session::Watch { .. })
                | Self::Credential(Credential::Secret(Secret::Set { .. }) | Credential::ShowPassword(_))
        )
    }

    /// Whether it takes what is sent to it where no terminal types it.
    pub fn takes_input(&self) -> bool {
        matches!(self, Self::Credential(Credential::Secret(Secret::Set { .. })))
    }
}

#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The text: a file where you are, or - for standard input (over ssh only -)
    #[arg(short, long, value_name = "FILE")]
    pub file: String,
    /// What the text is called where it is wrong, when it comes by standard input
    #[arg(long, hide = true, value_name = "NAME")]
    pub called: Option<String>,
    /// Only tell what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Also write over what was changed since the text was exported
    #[arg(long)]
    pub force: bool,
}

/// Reads kinds by their own words, and tells shells which there are.
#[derive(Debug, Clone, Copy)]
struct Kinds;

impl TypedValueParser for Kinds {
    type Value = Kind;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Kind, clap::Error> {
        StringValueParser::new().try_map(|text| text.parse::<Kind>()).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Kind::ALL.into_iter().map(|kind| PossibleValue::new(kind.argument()))))
    }
}

#[derive(Debug, Args)]
pub(super) struct Get {
    /// The kind; its plural will do as well
    #[arg(value_parser = Kinds)]
    pub kind: Kind,
    /// One of them
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The kind; its plural will do as well
    #[arg(value_parser = Kinds)]
    pub kind: Kind,
    /// Which
    #[arg(required = true)]
    pub names: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Access {
    /// What you may reach now, and what it asks for
    #[command(after_help = "Example:\n  ssh operator@gate access list")]
    List {
        /// What somebody else may reach (auditors and administrators)
        #[arg(long)]
        user: Option<UserName>,
    },
    /// Which access group decides, and why the others do not (auditors and administrators)
    #[command(
        after_help = "Examples:\n  access explain operator ops@db01\n  access explain operator ops@db01 --from 203.0.113.9\n  access explain operator ops@db01 --at 2026-12-24T18:00Z"
    )]
    Explain {
        /// Who
        user: UserName,
        /// To what, written account@device
        credential: CredentialName,
        /// Viewing the password instead of a session
        #[arg(long)]
        view_password: bool,
        /// As if they came from this address; tells which place it is taken for
        #[arg(long, value_name = "ADDRESS")]
        from: Option<IpAddr>,
        /// At another moment than now: 2026-12-24T18:00Z, or +2h for in two hours
        #[arg(long, value_name = "TIME")]
        at: Option<moment::Start>,
    },
    /// Who may reach what, and what it asks for, whenever it is open (auditors and administrators)
    #[command(
        after_help = "Examples:\n  access matrix --user operator\n  access matrix --device db01 -o json\n  access matrix -o csv > matrix.csv\n\nWhat may be forwarded and what is granted, -o csv and -o json tell as well."
    )]
    Matrix(AccessMatrix),
}

#[derive(Debug, Args)]
pub(super) struct AccessMatrix {
    /// Only what this user reaches
    #[arg(long)]
    pub user: Option<UserName>,
    /// Only what is on this device
    #[arg(long)]
    pub device: Option<DeviceName>,
    /// Only what this access group governs
    #[arg(long, value_name = "ACCESS_GROUP")]
    pub group: Option<AccessGroupName>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// The last records
    #[command(
        after_help = "Examples:\n  audit tail -n 100\n  audit tail -f\n\nWith -o json an array; with -f one object a line, until Ctrl-C."
    )]
    Tail {
        /// How many
        #[arg(short = 'n', long, default_value_t = 50)]
        count: u64,
        /// Go on with those that come
        #[arg(short, long)]
        follow: bool,
    },
    /// Walk the chain and tell whether anything was altered
    #[command(after_help = "Example:\n  audit verify\n\nA log that does not hold exits with 1.")]
    Verify,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_grammar_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples_in_its_help() {
        fn check(command: &clap::Command) {
            let subs: Vec<_> = command.get_subcommands().filter(|sub| sub.get_name() != "help").collect();
            let example = command.get_after_help().is_some_and(|text| text.to_string().contains("Example"));
            assert!(example || !subs.is_empty(), "{}", command.get_name());
            subs.into_iter().for_each(check);
        }
        check(&Cli::command());
    }
}
