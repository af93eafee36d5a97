//! `notify …`

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use tidegate_common::id::NotificationId;
use tidegate_common::name::UserName;
use tidegate_common::notice::{Channel, NoticeKind};

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Notify {
    /// What you were told and are to be told; everybody's for auditors and administrators
    #[command(
        after_help = "Examples:\n  notify list --state failed\n  notify list --user operator --kind approval-asked\n  notify list -o json"
    )]
    List(NotifyList),
    /// Try one that failed for another day (administrators)
    #[command(after_help = "Example:\n  notify retry 12")]
    Retry {
        /// Its number
        id: NotificationId,
    },
    /// Send a user a test (administrators)
    #[command(after_help = "Examples:\n  notify test operator\n  notify test operator --channel sms")]
    Test {
        /// To whom
        user: UserName,
        /// By this channel, and not by those that they chose
        #[arg(long, value_parser = channels())]
        channel: Option<Channel>,
    },
    /// By which channels you are told of what; also others for auditors and administrators
    #[command(after_help = "Examples:\n  notify channels\n  notify channels operator -o json")]
    Channels {
        /// Of this user
        user: Option<UserName>,
    },
    /// Choose by which channels you are told of one kind of notice
    #[command(
        after_help = "Examples:\n  notify choose approval-asked mail sms\n  notify choose decision-copied none\n  notify choose approval-asked usual\n\nUsual is mail, where you have an address. An administrator who applies your user anew replaces what you chose."
    )]
    Choose {
        /// Which kind
        #[arg(value_parser = kinds())]
        kind: NoticeKind,
        /// mail, sms, webhook; none at all, or the usual one
        #[arg(required = true, value_parser = PossibleValuesParser::new(CHOICES))]
        channels: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(in crate::console) struct NotifyList {
    /// Only those in this state; dropped: what it would have told of was over
    #[arg(long, value_parser = PossibleValuesParser::new(STATES))]
    pub state: Option<String>,
    /// Only for this user
    #[arg(long)]
    pub user: Option<UserName>,
    /// Only of this kind
    #[arg(long, value_parser = kinds())]
    pub kind: Option<NoticeKind>,
    /// At most so many, the newest; 1000 is the most
    #[arg(short = 'n', long, default_value_t = 100)]
    pub limit: u64,
}

/// Not at all.
pub(in crate::console) const NONE: &str = "none";
/// As if nothing were chosen.
pub(in crate::console) const USUAL: &str = "usual";

const CHOICES: [&str; 5] = ["mail", "sms", "webhook", NONE, USUAL];

const STATES: [&str; 4] = ["waiting", "sent", "failed", "dropped"];

fn kinds() -> impl clap::builder::TypedValueParser<Value = NoticeKind> {
    PossibleValuesParser::new(NoticeKind::ALL.map(NoticeKind::word))
        .try_map(|text| text.parse::<NoticeKind>())
}

fn channels() -> impl clap::builder::TypedValueParser<Value = Channel> {
    PossibleValuesParser::new(Channel::ALL.map(Channel::word)).try_map(|text| text.parse::<Channel>())
}
