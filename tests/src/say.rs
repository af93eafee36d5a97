//! What a program of the harness says. A reader that went away does not stop it: what it
//! made is taken back all the same.

use std::fmt::Arguments;
use std::io::{Write as _, stderr, stdout};

/// A line on standard output.
pub fn line(text: Arguments<'_>) {
    let _ = writeln!(stdout(), "{text}");
}

/// A line on standard error.
pub fn error(text: Arguments<'_>) {
    let _ = writeln!(stderr(), "{text}");
}
