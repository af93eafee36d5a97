//! What stands in a line only where there is something to say.

use std::fmt;

use crate::audit::Notes;

/// ` (label: value)`, or nothing.
pub(super) struct Aside<'a, T>(pub(super) &'a str, pub(super) &'a Option<T>);

impl<T: fmt::Display> fmt::Display for Aside<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(value) => write!(f, ", {}: {value}", self.0),
            None => Ok(()),
        }
    }
}

/// The same for a list.
pub(super) struct Also<'a>(pub(super) &'a str, pub(super) &'a Notes);

impl fmt::Display for Also<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1.is_empty() { Ok(()) } else { write!(f, ", {}: {}", self.0, self.1) }
    }
}
