//! `request …`

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use tidegate_common::id::RequestId;
use tidegate_common::model::{StateWord, Text, urgent};
use tidegate_common::name::{ChangeId, CredentialName, ReasonName, UserName};
use tidegate_common::time::{Length, Slot, Weekday, Zone};

use super::moment::{Since, Start, since};

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Request {
    /// Ask for access ahead; ssh asks by itself when a session needs it
    #[command(
        after_help = "Examples:\n  request create ops@db01 ops@db02 --justification 'ticket 4711' --reason maintenance --duration 2h\n  request create ops@db01 --justification 'night job' --duration 1month --days mon,tue --times 22:00-24:00 --sessions 8\n  ssh -t operator@gate request create\n  ssh operator@gate request create -f - < request.toml\n  request create ops@db01 --justification 'patch day' --start 2026-12-24T18:00Z --duration 4h\n  request create ops@db01 --justification 'ticket 4712' --emergency 'the shop is down'"
    )]
    Create(Create),
    /// Your requests and those you approve
    #[command(
        after_help = "Examples:\n  request list --pending\n  request list --state rejected --user operator --since 7d\n  request list --to-approve\n  request list --mine --credential ops@db01 -o csv"
    )]
    List(RequestList),
    /// One request, its votes and its sessions
    #[command(after_help = "Example:\n  request show 12")]
    Show {
        /// Its number
        id: RequestId,
    },
    /// Approve requests; may shorten or move what was asked for
    #[command(
        after_help = "Examples:\n  request approve 12 --comment 'go ahead'\n  request approve 12 --duration 30m\n  request approve 12 --only ops@db01"
    )]
    Approve {
        /// Their numbers
        #[arg(required = true)]
        ids: Vec<RequestId>,
        /// A remark
        #[arg(short = 'm', long)]
        comment: Option<Text>,
        /// Opens then: 2026-12-24T18:00Z, or +2h from now
        #[arg(long, alias = "from")]
        start: Option<Start>,
        /// Opens for so long: 90m, 2h, 1 month
        #[arg(long)]
        duration: Option<Length>,
        /// Opens only this of its credentials; what is not named is left out
        #[arg(long, value_name = "CREDENTIAL")]
        only: Vec<CredentialName>,
    },
    /// Ask for more time for your own request, before it ends; its sessions go on
    #[command(
        after_help = "Example:\n  request extend 12 2h --justification 'the copy takes longer'\n\nIt is approved as the first was. The new end holds for what is open as well."
    )]
    Extend(Extend),
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
    /// Say that you have looked at an emergency that nobody approved
    #[command(
        after_help = "Examples:\n  request list --to-review\n  request review 12 --comment 'agreed, the disk was full'\n\nAn approver of its access group does that, once its sessions are over; what is left of its time is over then, too."
    )]
    Review {
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

/// What a text says instead.
const OPTIONS: [&str; 13] = [
    "credentials",
    "justification",
    "reason",
    "change",
    "governance",
    "start",
    "duration",
    "days",
    "times",
    "zone",
    "sessions",
    "emergency",
    "view_password",
];

#[derive(Debug, Clone, Default, Args)]
pub(in crate::console) struct Create {
    /// To what, written account@device; what one access group governs becomes one request. Without
    /// any, a terminal asks for all of it, step by step
    pub credentials: Vec<CredentialName>,
    /// All of it as a TOML text: - for standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = OPTIONS)]
    pub file: Option<String>,
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
    #[arg(long, alias = "from")]
    pub start: Option<Start>,
    /// For how long: 90m, 2h, 1 month
    #[arg(short, long)]
    pub duration: Option<Length>,
    /// On these days only: mon,tue,wed,thu,fri,sat,sun
    #[arg(long, value_delimiter = ',', value_name = "DAY")]
    pub days: Vec<Weekday>,
    /// At these times only, in steps of 15 minutes: 08:00-12:00,13:00-17:45
    #[arg(long, value_delimiter = ',', value_name = "FROM-UNTIL")]
    pub times: Vec<Slot>,
    /// The zone of days and times, as Europe/Berlin; the access group's unless it is said
    #[arg(long)]
    pub zone: Option<Zone>,
    /// For so many sessions only
    #[arg(long, value_name = "NUMBER")]
    pub sessions: Option<u32>,
    /// Claim an emergency, and say why: access at once, where and as long as the group allows it
    #[arg(long, value_name = "WHY", value_parser = urgent)]
    pub emergency: Option<Text>,
    /// Ask to view the password instead of a session
    #[arg(long)]
    pub view_password: bool,
}

#[derive(Debug, Args)]
pub(in crate::console) struct Extend {
    /// Its number
    pub id: RequestId,
    /// How much more: 90m, 2h, 1 month
    #[arg(required = true, num_args = 1..=4, value_name = "DURATION")]
    pub duration: Vec<String>,
    /// Why
    #[arg(short, long)]
    pub justification: Text,
    /// A registered reason; the first one's unless it is said
    #[arg(short, long)]
    pub reason: Option<ReasonName>,
    /// The governance code; the first one's unless it is said
    #[arg(short, long)]
    pub governance: Option<Text>,
}

#[derive(Debug, Args)]
pub(in crate::console) struct RequestList {
    /// Only those that wait
    #[arg(long, conflicts_with = "state")]
    pub pending: bool,
    /// Only those in this state
    #[arg(long, value_parser = states())]
    pub state: Option<StateWord>,
    /// Only emergencies that nobody has reviewed yet
    #[arg(long)]
    pub to_review: bool,
    /// Only your own
    #[arg(long, conflicts_with = "to_approve")]
    pub mine: bool,
    /// Only those that wait for your vote now
    #[arg(long)]
    pub to_approve: bool,
    /// Only of this user
    #[arg(long)]
    pub user: Option<UserName>,
    /// Only for this credential
    #[arg(long, alias = "target")]
    pub credential: Option<CredentialName>,
    /// Only those made since: 2026-12-24T18:00Z, or 7d ago
    #[arg(long, alias = "from", value_parser = since)]
    pub since: Option<Since>,
    /// Only those made before: 2026-12-24T18:00Z, or 7d ago
    #[arg(long, alias = "to", value_parser = since)]
    pub before: Option<Since>,
    /// At most so many, the newest; 1000 is the most
    #[arg(short = 'n', long, default_value_t = 100)]
    pub limit: u64,
}

fn states() -> impl clap::builder::TypedValueParser<Value = StateWord> {
    PossibleValuesParser::new(StateWord::ALL.map(StateWord::word)).try_map(|text| text.parse::<StateWord>())
}
