//! `group-review …`

use clap::Subcommand;
use tidegate_common::name::AccessGroupName;

#[derive(Debug, Subcommand)]
pub(in crate::console) enum GroupReview {
    /// What is to be confirmed, and until when: of groups that you own or stand in for the owner of, or all (auditors)
    #[command(after_help = "Examples:\n  group-review list\n  group-review list --due")]
    List {
        /// Only what is due, or has lapsed
        #[arg(long)]
        due: bool,
    },
    /// Who is in a group that you own
    #[command(after_help = "Example:\n  group-review show dba")]
    Show {
        /// Which
        group: AccessGroupName,
    },
    /// Confirm that who is in a group that you own shall be in it
    #[command(
        after_help = "Example:\n  group-review confirm dba\n\nOn a terminal its users are shown first. Who is to leave it is taken out by an administrator. Who stands in for an owner who is away confirms in their place."
    )]
    Confirm {
        /// Which
        group: AccessGroupName,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}
