//! The grammar.

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use tidegate_common::id::RequestId;
use tidegate_common::model::{Kind, Text};
use tidegate_common::name::{ChangeId, CredentialName, DeviceName, ReasonName, UserName};
use tidegate_common::time::Length;

/// The gate's command line.
#[derive(Debug, Parser)]
#[command(name = "tidegate", no_binary_name = true, disable_version_flag = true, max_term_width = 120)]
#[command(about = "Who may reach what, and what they did", after_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How answers are written: for people, or as JSON for machines
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
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create or change resources from a TOML text, all or nothing
    #[command(
        after_help = "Examples:\n  ssh admin@gate apply -f - < resources.toml\n  tidegate-proxy admin apply -f resources.toml --dry-run\n\nA text with a mistake changes nothing; every mistake is told with line and column."
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
    /// Ask for access, approve it, take it back
    #[command(subcommand)]
    Request(Request),
    /// Sessions and their recordings
    #[command(subcommand)]
    Session(Session),
    /// Agents on devices
    #[command(subcommand)]
    Agent(Agent),
    /// The audit log
    #[command(subcommand)]
    Audit(Audit),
}

impl Command {
    /// Whether it changes something or hands out evidence.
    pub fn is_notable(&self) -> bool {
        match self {
            Self::Get(_) | Self::Access(_) => false,
            Self::Apply(_) | Self::Delete(_) | Self::Export => true,
            Self::Request(request) => !matches!(request, Request::List(_) | Request::Show { .. }),
            Self::Session(session) => !matches!(session, Session::List(_) | Session::Show { .. }),
            Self::Agent(agent) => !matches!(agent, Agent::List),
            Self::Audit(audit) => !matches!(audit, Audit::Tail { .. }),
        }
    }
}

impl Command {
    /// Whether it goes on until somebody ends it, and shows what is not one's own.
    pub fn streams(&self) -> bool {
        matches!(
            self,
            Self::Session(Session::Play { .. } | Session::Export { .. })
                | Self::Audit(Audit::Tail { follow: true, .. })
        )
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
}

#[derive(Debug, Args)]
pub(super) struct Get {
    /// user, device, credential, access-group or reason
    pub kind: Kind,
    /// One of them
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// user, device, credential, access-group or reason
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
    #[command(after_help = "Example:\n  access explain operator ops@db01")]
    Explain {
        /// Who
        user: UserName,
        /// To what, written account@device
        credential: CredentialName,
        /// Viewing the password instead of a session
        #[arg(long)]
        view_password: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Request {
    /// Ask for access ahead; ssh asks by itself when a session needs it
    #[command(
        after_help = "Examples:\n  request create ops@db01 --justification 'ticket 4711' --reason maintenance --duration 2h\n  request create ops@db01 --justification 'patch day' --start 2026-12-24T18:00Z --duration 4h\n  request create ops@db01 --justification 'ticket 4712' --emergency 'the shop is down'"
    )]
    Create(Create),
    /// Your requests and those you approve
    #[command(
        after_help = "Examples:\n  request list --pending\n  request list --state rejected --user operator --since 7d\n  request list -o json"
    )]
    List(RequestList),
    /// One request with its votes
    #[command(after_help = "Example:\n  request show 12")]
    Show {
        /// Its number
        id: RequestId,
    },
    /// Approve requests; may shorten or move what was asked for
    #[command(
        after_help = "Examples:\n  request approve 12 --comment 'go ahead'\n  request approve 12 --duration 30m"
    )]
    Approve {
        /// Their numbers
        #[arg(required = true)]
        ids: Vec<RequestId>,
        /// A remark
        #[arg(short = 'm', long)]
        comment: Option<Text>,
        /// Opens then: 2026-12-24T18:00Z, or +2h from now
        #[arg(long, value_parser = start)]
        start: Option<Start>,
        /// Opens for so long: 90m, 2h, 1 month
        #[arg(long)]
        duration: Option<Length>,
    },
    /// Reject requests
    #[command(after_help = "Example:\n  request reject 12 --comment 'after the freeze'")]
    Reject {
        /// Their numbers
        #[arg(required = true)]
        ids: Vec<RequestId>,
        /// A remark
        #[arg(short = 'm', long)]
        comment: Option<Text>,
    },
    /// Take your own requests back
    #[command(after_help = "Example:\n  request cancel 12")]
    Cancel {
        /// Their numbers
        #[arg(required = true)]
        ids: Vec<RequestId>,
    },
    /// Take requests back that you approve, also in use: their sessions end
    #[command(after_help = "Example:\n  request revoke 12 --comment 'the work is done'")]
    Revoke {
        /// Their numbers
        #[arg(required = true)]
        ids: Vec<RequestId>,
        /// A remark, shown in the sessions that end
        #[arg(short = 'm', long)]
        comment: Option<Text>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// To what, written account@device; each becomes a request of its own
    #[arg(required = true)]
    pub credentials: Vec<CredentialName>,
    /// Why
    #[arg(short, long)]
    pub justification: Option<Text>,
    /// A registered reason
    #[arg(short, long)]
    pub reason: Option<ReasonName>,
    /// The id of the planned change
    #[arg(short, long)]
    pub change: Option<ChangeId>,
    /// The governance code
    #[arg(short, long)]
    pub governance: Option<Text>,
    /// From when: 2026-12-24T18:00Z, or +2h from now
    #[arg(long, value_parser = start)]
    pub start: Option<Start>,
    /// For how long: 90m, 2h, 1 month
    #[arg(short, long)]
    pub duration: Option<Length>,
    /// Claim an emergency, and say why: access at once, where the group allows it
    #[arg(long, value_name = "WHY")]
    pub emergency: Option<Text>,
    /// Ask to view the password instead of a session
    #[arg(long)]
    pub view_password: bool,
}

#[derive(Debug, Args)]
pub(super) struct RequestList {
    /// Only those that wait
    #[arg(long, conflicts_with = "state")]
    pub pending: bool,
    /// Only those in this state
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Only of this user
    #[arg(long)]
    pub user: Option<UserName>,
    /// Only those made since: 2026-12-24T18:00Z, or 7d ago
    #[arg(long, value_parser = since)]
    pub since: Option<Since>,
    /// At most so many, the newest; 1000 is the most
    #[arg(short = 'n', long, default_value_t = 100)]
    pub limit: u64,
}

/// A request's state, as `request list` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum State {
    Pending,
    Approved,
    Over,
    Rejected,
    Cancelled,
    Revoked,
    Expired,
}

impl State {
    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Over => "over",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// As it may be written down: time alone does not change a row.
    pub fn stored(self) -> &'static [&'static str] {
        match self {
            Self::Pending => &["pending"],
            Self::Approved | Self::Over => &["approved"],
            Self::Rejected => &["rejected"],
            Self::Cancelled => &["cancelled"],
            Self::Revoked => &["revoked"],
            Self::Expired => &["expired", "pending"],
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// Sessions: your own, or all for auditors and administrators
    #[command(after_help = "Examples:\n  session list --live\n  session list --user operator -o json")]
    List(SessionList),
    /// One session
    #[command(after_help = "Example:\n  session show 01kb2")]
    Show {
        /// Its id, or how it starts
        id: String,
    },
    /// Replay a recording (auditors and administrators)
    #[command(
        after_help = "Examples:\n  ssh -t auditor@gate session play 01kb2\n  session play 01kb2 --speed 4 --idle 1s\n\nCtrl-C stops it."
    )]
    Play {
        /// Its id, or how it starts
        id: String,
        /// So many times as fast
        #[arg(long, default_value_t = 1.0)]
        speed: f64,
        /// Pauses take at most so long
        #[arg(long, default_value = "2s")]
        idle: Length,
    },
    /// Write a recording as asciicast, for players elsewhere (auditors and administrators)
    #[command(
        after_help = "Examples:\n  ssh auditor@gate session export 01kb2 | asciinema play -\n  session export 01kb2 --asciicast 2 > old-player.cast"
    )]
    Export {
        /// Its id, or how it starts
        id: String,
        /// The version of asciicast; asciinema before 3 reads only 2
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=3))]
        asciicast: u8,
    },
    /// Tell whether a recording is whole, incomplete or altered (auditors and administrators)
    #[command(
        after_help = "Examples:\n  session verify 01kb2\n  tidegate-proxy admin session verify /mnt/archive/01kb2….cast.zst\n\nOnly a whole recording exits with 0."
    )]
    Verify {
        /// Its id, or how it starts; on the local console also a file
        id: String,
    },
    /// What was asked for, and what the host's kernel saw run (auditors and administrators)
    #[command(after_help = "Examples:\n  session commands 01kb2\n  session commands 01kb2 --all -o json")]
    Commands {
        /// Its id, or how it starts
        id: String,
        /// Also what failed because there was no such file
        #[arg(long)]
        all: bool,
    },
    /// End a live session (auditors and administrators); its user reads by whom
    #[command(after_help = "Example:\n  session kill 01kb2")]
    Kill {
        /// Its id, or how it starts
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct SessionList {
    /// Only live ones
    #[arg(long)]
    pub live: bool,
    /// Only of this user
    #[arg(long)]
    pub user: Option<UserName>,
    /// Only to this credential
    #[arg(long)]
    pub credential: Option<CredentialName>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 100)]
    pub limit: u64,
}

#[derive(Debug, Subcommand)]
pub(super) enum Agent {
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

/// A moment, or so long from now.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    At(Timestamp),
    In(Length),
}

impl Start {
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::In(length) => length.after(now),
        }
    }
}

/// A moment, or so long before now.
#[derive(Debug, Clone, Copy)]
pub(super) enum Since {
    At(Timestamp),
    Ago(Length),
}

impl Since {
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(length) => now.checked_sub(length.approximate()).unwrap_or(Timestamp::MIN),
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    let moment = text.parse().map(Since::At);
    moment.or_else(|_| {
        text.parse()
            .map(Since::Ago)
            .map_err(|_| "write it as 2026-12-24T18:00Z, or 7d for a week ago".to_owned())
    })
}

fn start(text: &str) -> Result<Start, String> {
    match text.strip_prefix('+') {
        Some(length) => length.parse().map(Start::In).map_err(|error| format!("{error}")),
        None => text
            .parse()
            .map(Start::At)
            .map_err(|_| "write it as 2026-12-24T18:00Z, 2026-12-24T18:00+01:00, or +2h".to_owned()),
    }
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
