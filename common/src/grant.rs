//! Privileges that a session is given on a host for as long as it lives.
//!
//! A privilege is typed and reversible: the wire carries names and enumerated
//! choices, never a command, a template or a path to write to.

mod account;
mod custom;
mod privilege;
mod receipt;

pub use account::{AccountCreate, AccountEnable, Shell, ShellError, login_account};
pub use custom::{Custom, MOST_VALUES, Value, ValueError, ValueName};
pub use privilege::{Groups, Privilege, PrivilegeError, PrivilegeKind, SudoCommand, SudoRule, SudoTag};
pub use receipt::{Drift, Ended, Failure, Leftover, MOST_LEFTOVERS, MOST_UNSEEN, Receipt, Standing};
