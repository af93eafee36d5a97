//! `request …`

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use tidegate_common::id::RequestId;
use tidegate_common::model::{StateWord, Text};
use tidegate_common::name::{ChangeId, CredentialName, ReasonName, UserName};
use tidegate_common::time::Length;

use super::moment::{Since, Start, since, start};

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Request {
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
        #[arg(long, alias = "from", value_parser = start)]
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

#[derive(Debug, Args)]
pub(in crate::console) struct Create {
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
    #[arg(long, alias = "from", value_parser = start)]
    pub start: Option<Start>,
    /// For how long: 90m, 2h, 1 month
    #[arg(short, long)]
    pub duration: Option<Length>,
    /// Claim an emergency, and say why: access at once, where and as long as the group allows it
    #[arg(long, value_name = "WHY")]
    pub emergency: Option<Text>,
    /// Ask to view the password instead of a session
    #[arg(long)]
    pub view_password: bool,
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

fn states() -> impl clap::builder::TypedValueParser<Value = StateWord> {
    PossibleValuesParser::new(StateWord::ALL.map(StateWord::word)).try_map(|text| text.parse::<StateWord>())
}
