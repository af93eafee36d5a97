//! Privileges that a session is given on a host for as long as it lives.
//!
//! A privilege is typed and reversible: the wire carries names and enumerated
//! choices, never a command, a template or a path to write to.

mod privilege;
mod receipt;

pub use privilege::{
    Custom, Groups, Privilege, PrivilegeError, PrivilegeKind, SudoCommand, SudoRule, SudoTag,
};
pub use receipt::{Drift, Ended, Failure, Leftover, Receipt};
