//! `remote-access …`

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{AllowedCredential, RemoteAccessWord, Text};
use tidegate_common::name::{DeviceName, ReasonName, UserGroupName, UserName};
use tidegate_common::notice::Channel;
use tidegate_common::time::{Length, Slot, Weekday, Zone};

use super::moment::{Since, Start, since};

#[derive(Debug, Subcommand)]
pub(in crate::console) enum RemoteAccess {
    /// Let one user of a user group in from outside (administrators)
    #[command(
        after_help = "Examples:\n  remote-access request field-engineers olga --justification 'on site until May' --duration '1 month'\n  remote-access request field-engineers olga --justification 'ticket 4711' --credential ops@db01:login --weekday mon --times business --sessions 3 --duration 7d\n\nWithout --device and --credential the access is full: all that the user's access groups allow. With them it is limited to what is named; access groups still have to allow it."
    )]
    Request {
        /// The user group
        group: UserGroupName,
        /// Which of its users
        user: UserName,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Let all users of a user group in from outside (administrators)
    #[command(
        after_help = "Example:\n  remote-access batch field-engineers --justification 'migration weekend' --reason maintenance --start 2026-12-24T18:00Z --duration 2d\n  remote-access list --batch 12"
    )]
    Batch {
        /// The user group
        group: UserGroupName,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Your remote accesses; all of them for administrators, auditors and approvers
    #[command(
        after_help = "Examples:\n  remote-access list --state active --group field-engineers\n  remote-access list --batch 12 -o json"
    )]
    List(RemoteAccessList),
    /// One remote access with all that is known of it
    #[command(after_help = "Example:\n  remote-access show 12")]
    Show {
        /// Its number
        id: RemoteAccessId,
    },
    /// Approve remote accesses (those whom the settings name)
    #[command(
        after_help = "Examples:\n  remote-access approve 12 13 --comment 'go ahead'\n  remote-access approve --batch 12"
    )]
    Approve(Decide),
    /// Reject remote accesses (those whom the settings name)
    #[command(after_help = "Example:\n  remote-access reject 12 --comment 'not before May'")]
    Reject(Decide),
    /// Cancel remote accesses, also in use: their sessions end (administrators; everybody their own)
    #[command(after_help = "Example:\n  remote-access cancel 12 --comment 'the work is done'")]
    Cancel(Decide),
    /// Send its user a code with which they enter once and may enrol a key (administrators)
    #[command(
        after_help = "Examples:\n  remote-access forward 12\n  remote-access forward 12 --by sms --yes\n\nThe code answers the prompt of `ssh USER@GATE` from outside. Another one can be sent; the earlier one is good no more."
    )]
    Forward {
        /// Its number
        id: RemoteAccessId,
        /// By mail or sms
        #[arg(long, default_value = "mail", value_parser = PossibleValuesParser::new(["mail", "sms"]).try_map(|text| text.parse::<Channel>()))]
        by: Channel,
        /// Do not ask for a confirmation on a terminal
        #[arg(short, long)]
        yes: bool,
    },
    /// Take back the code that was sent (administrators)
    #[command(after_help = "Example:\n  remote-access revoke-code 12")]
    RevokeCode {
        /// Its number
        id: RemoteAccessId,
    },
    /// Have a key log you in for as long as the remote access lasts that you entered by with a code
    #[command(after_help = "Example:\n  ssh operator@gate remote-access enrol - < ~/.ssh/id_ed25519.pub")]
    Enrol {
        /// The line of a .pub file, or - for standard input
        key: String,
    },
}

/// What is decided on, and why.
#[derive(Debug, Args)]
pub(in crate::console) struct Decide {
    /// Their numbers
    #[arg(required_unless_present = "batch", conflicts_with = "batch")]
    pub ids: Vec<RemoteAccessId>,
    /// All of this batch that are open to it: the number of its first
    #[arg(long)]
    pub batch: Option<RemoteAccessId>,
    /// A remark
    #[arg(short = 'm', long)]
    pub comment: Option<Text>,
}

/// What is requested.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("limited").multiple(true)))]
pub(in crate::console) struct Wanted {
    /// Why
    #[arg(short, long)]
    pub justification: Option<Text>,
    /// A registered reason
    #[arg(short, long)]
    pub reason: Option<ReasonName>,
    /// The governance code
    #[arg(short, long)]
    pub governance: Option<Text>,
    /// From when: 2026-12-24T18:00Z, or +2h from now; at once if left out
    #[arg(long, alias = "from")]
    pub start: Option<Start>,
    /// For how long: 90m, 2h, 3d, 1 month
    #[arg(short, long)]
    pub duration: Length,
    /// Limited: log in to every credential on this device; can be given several times
    #[arg(long = "device", value_name = "DEVICE", group = "limited")]
    pub devices: Vec<DeviceName>,
    /// Limited: this credential, as ACCOUNT@DEVICE[:login,view-password]; can be given several times
    #[arg(long = "credential", value_name = "CREDENTIAL", group = "limited")]
    pub credentials: Vec<AllowedCredential>,
    /// Limited: on these days only; can be given several times
    #[arg(long = "weekday", value_name = "DAY", requires = "limited")]
    pub weekdays: Vec<Weekday>,
    /// Limited: at these times only: 08:00-17:45 in steps of 15 minutes, or all-day, business (08:00-18:00), morning,
    /// afternoon, evening, night
    #[arg(long, requires = "limited")]
    pub times: Vec<Times>,
    /// Limited: the time zone of days and times
    #[arg(long, requires = "limited")]
    pub zone: Option<Zone>,
    /// Limited: so many sessions; any number if left out
    #[arg(long, requires = "limited", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub sessions: Option<u32>,
    /// Do not ask for a confirmation on a terminal
    #[arg(short, long)]
    pub yes: bool,
}

/// Times of the day, by their name or as they are.
#[derive(Debug, Clone, Copy)]
pub(in crate::console) struct Times(pub Slot);

impl std::str::FromStr for Times {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let times = match text {
            "all-day" => "00:00-24:00",
            "business" => "08:00-18:00",
            "morning" => "06:00-12:00",
            "afternoon" => "12:00-18:00",
            "evening" => "18:00-24:00",
            "night" => "00:00-06:00",
            custom => custom,
        };
        times.parse().map(Self).map_err(|error| {
            format!("{error}, or as all-day, business, morning, afternoon, evening or night")
        })
    }
}

#[derive(Debug, Args)]
pub(in crate::console) struct RemoteAccessList {
    /// Only those in this state
    #[arg(long, value_parser = states())]
    pub state: Option<RemoteAccessWord>,
    /// Only of this user
    #[arg(long)]
    pub user: Option<UserName>,
    /// Only of this user group
    #[arg(long)]
    pub group: Option<UserGroupName>,
    /// Only of this batch: the number of its first
    #[arg(long)]
    pub batch: Option<RemoteAccessId>,
    /// Only those requested since: 2026-12-24T18:00Z, or 7d ago
    #[arg(long, value_parser = since)]
    pub since: Option<Since>,
    /// At most so many, the newest; 10000 is the most
    #[arg(short = 'n', long, default_value_t = 1000)]
    pub limit: u64,
}

fn states() -> impl clap::builder::TypedValueParser<Value = RemoteAccessWord> {
    PossibleValuesParser::new(RemoteAccessWord::ALL.map(RemoteAccessWord::word))
        .try_map(|text| text.parse::<RemoteAccessWord>())
}
