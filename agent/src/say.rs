//! What a command says to whoever runs it. A reader that went away is no reason to stop
//! half way: what could not be written is not written, and the exit status tells the rest.

use std::fmt::Arguments;
use std::io::{self, Write, stderr, stdout};

/// A line on standard output.
pub fn line(text: Arguments<'_>) {
    let _ = writeln!(stdout(), "{text}");
}

/// Text on standard output that ends its own lines.
pub fn text(text: Arguments<'_>) {
    let _ = write!(stdout(), "{text}");
}

/// A line on standard error.
pub fn error(text: Arguments<'_>) {
    let _ = writeln!(stderr(), "{text}");
}

/// Where the log goes: standard error, which takes everything. (The log's own library would
/// print what went wrong with its writer, to the same closed pipe, and panic.)
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
