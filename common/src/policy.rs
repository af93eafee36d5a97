//! Who may do what: [`decide()`] is a function of a snapshot and facts, and the only
//! place where a [`Permit`] is made. Nothing here reads a clock.
//!
//! Several groups: only groups that list the user, match the credential, allow the
//! action and are inside their limitation count; of those the most demanding
//! governs, and of equally demanding ones the oldest.

mod approvals;
mod criteria;
mod decide;
mod explain;
mod login;
mod notify;
mod outside;
mod permit;
mod stopped;

pub use approvals::{NoVote, Tally, ballot, tally};
pub use criteria::Field;
pub use decide::{ApprovalNeed, Decision, Facts, Held, Miss, Needs, Refusal, Why, decide, reachable};
pub use explain::{Explanation, GroupVerdict, explain};
pub use login::{Login, LoginGone, Proved, proves, still_in};
pub use notify::{Notification, Recipient, channels, notify, notify_administrators};
pub use outside::{Coming, Entry, Located, NoEntry, Outside, Side, enter};
pub use permit::{EndReason, Permit, recheck};

#[cfg(test)]
mod tests;
