//! `change …`

use clap::{Args, Subcommand};
use tidegate_common::change::{ChangeStateWord, CommandPattern};
use tidegate_common::model::Text;
use tidegate_common::name::{AccessGroupName, ChangeId, DeviceName, UserName};

use super::moment::Start;

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Change {
    /// Plan a change: step by step on a terminal, from a TOML text, or field by field
    #[command(
        after_help = "Examples:\n  ssh -t operator@gate change create\n  ssh operator@gate change create -f - < change.toml\n  change create CHG-2041 --title 'Restart the database' --due +2h --group dba --device db01 --expect 'systemctl restart postgresql' --expect 'df *' --responsible olga\n\nSomebody else approves it."
    )]
    Create(Box<CreateChange>),
    /// Changes that concern you
    #[command(after_help = "Examples:\n  change list --state waiting-approval\n  change list -o json")]
    List {
        /// In this state only
        #[arg(long)]
        state: Option<ChangeStateWord>,
        /// Under this access group only
        #[arg(long)]
        group: Option<AccessGroupName>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// One change with all that it expects
    #[command(after_help = "Example:\n  change show CHG-2041")]
    Show {
        /// Its id
        id: ChangeId,
    },
    /// Approve changes that somebody else planned
    #[command(after_help = "Example:\n  change approve CHG-2041 --comment 'go ahead'")]
    Approve(Ids),
    /// Reject changes that somebody else planned
    #[command(after_help = "Example:\n  change reject CHG-2041 --comment 'after the freeze'")]
    Reject(Ids),
    /// Take changes back; sessions under them end
    #[command(after_help = "Example:\n  change cancel CHG-2041")]
    Cancel(Ids),
    /// Close changes as executed, or partially where something that had to run did not
    #[command(after_help = "Example:\n  change close CHG-2041 --comment 'done'\n\nSessions under them end.")]
    Close(Ids),
    /// What ran and was not expected, what had to run and did not, and the score
    #[command(after_help = "Examples:\n  change report CHG-2041\n  change report CHG-2041 -o json")]
    Report {
        /// Its id
        id: ChangeId,
    },
}

#[derive(Debug, Args)]
pub(in crate::console) struct Ids {
    /// Their ids
    #[arg(required = true)]
    pub ids: Vec<ChangeId>,
    /// A remark
    #[arg(short = 'm', long)]
    pub comment: Option<Text>,
}

#[derive(Debug, Clone, Default, Args)]
pub(in crate::console) struct CreateChange {
    /// Its id, as your organisation writes it; without one, a terminal asks for all of it, step by step
    #[arg(conflicts_with = "file", requires_all = ["title", "due", "group", "device", "responsible"])]
    pub id: Option<ChangeId>,
    /// The change as TOML: - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// What the text is called where it is wrong, when it comes by standard input
    #[arg(long, hide = true, value_name = "NAME")]
    pub called: Option<String>,
    /// In a few words
    #[arg(short, long)]
    pub title: Option<Text>,
    /// In more
    #[arg(long)]
    pub description: Option<Text>,
    /// From when: 2026-12-24T18:00Z, or +2h from now; now unless said otherwise
    #[arg(long, alias = "from")]
    pub start: Option<Start>,
    /// Until when: 2026-12-24T22:00Z, or +4h from now
    #[arg(long, alias = "until")]
    pub due: Option<Start>,
    /// Under which access group
    #[arg(short, long)]
    pub group: Option<AccessGroupName>,
    /// On which device; several times for several
    #[arg(short, long)]
    pub device: Vec<DeviceName>,
    /// What has to run: a line, or a pattern with *; several times for several
    #[arg(short, long, value_name = "COMMAND")]
    pub expect: Vec<CommandPattern>,
    /// What may run; several times for several
    #[arg(long, value_name = "COMMAND")]
    pub allow: Vec<CommandPattern>,
    /// In this order
    #[arg(long)]
    pub ordered: bool,
    /// Who is told of what is not expected; several times for several
    #[arg(short, long, value_name = "USER")]
    pub responsible: Vec<UserName>,
    /// End a session in which something runs that is not expected
    #[arg(long)]
    pub interrupt: bool,
}
