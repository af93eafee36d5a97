//! Who may do what: [`decide()`] is a function of a snapshot and facts, and the only
//! place where a [`Permit`] is made. Nothing here reads a clock.
//!
//! Several groups: only groups that list the user, match the credential, allow the
//! action and are inside their limitation count; of those the most demanding
//! governs, and of equally demanding ones the oldest. Exceptional access that counts governs before
//! all of them.

mod approvals;
mod at_once;
mod criteria;
mod decide;
mod explain;
mod given;
mod login;
mod matrix;
mod notify;
mod outside;
mod permit;
mod recheck;
mod review;
mod simulate;
mod stopped;
mod verdict;
mod walk;

pub use approvals::{Approves, Ballot, NoVote, Tally, approvers, approves, approves_for, ballot, tally};
pub use at_once::{Full, LiveSession};
pub use criteria::Field;
pub use decide::{
    ApprovalNeed, ChangeNeed, Decision, Facts, Held, Miss, Needs, Reached, Refusal, Why, decide, reachable,
};
pub use explain::{Explanation, explain};
pub use given::Gives;
pub use login::{Login, LoginGone, Proved};
pub use matrix::{MatrixFilter, MatrixRow, matrix};
pub use notify::{
    ExceptionalAccessStep, Notification, Recipient, RequestStep, channels, notify, notify_of_event,
    notify_of_exceptional_access, notify_of_request,
};
pub use outside::{Coming, Entry, Located, NoEntry, Outside, Side, enter, stands};
pub use permit::Permit;
pub use recheck::{EndReason, proves, recheck, still_in};
pub use review::{
    Confirmation, NoConfirmation, ReviewTimes, confirm, confirms_for, digest_of_users, reviewers,
    reviews_to_tell,
};
pub use simulate::{Access, Accesses, Effect, simulate};
pub use verdict::GroupVerdict;
pub use walk::Step;

#[cfg(test)]
mod tests;
