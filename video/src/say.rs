//! What a command says to whoever runs it. A reader that went away is no reason to stop.

use std::fmt::Arguments;
use std::io::{Write as _, stderr};

/// A line on standard error.
pub fn error(text: Arguments<'_>) {
    let _ = writeln!(stderr(), "{text}");
}

/// A message on standard error.
pub fn message(message: &crate::message::Message) {
    let _ = stderr().write_all(message.line().as_bytes());
}
