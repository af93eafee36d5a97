//! What a command says to whoever runs it. A reader that went away is no reason to stop
//! half way: what could not be written is not written, and the exit status tells the rest. Of
//! a full disk in its place the command tells when it is done.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::OnceLock;

/// Why something could not be written to standard output, the first time.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// A line on standard output.
pub fn line(text: Arguments<'_>) {
    note(writeln!(stdout(), "{text}"));
}

/// Text on standard output that ends its own lines.
pub fn text(text: Arguments<'_>) {
    note(write!(stdout(), "{text}"));
}

/// What clap says: help on standard output, a mistake on standard error. Gives its status.
pub fn usage(told: &clap::Error) -> ExitCode {
    let printed = told.print();
    if !told.use_stderr() {
        note(printed);
    }
    ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(2))
}

/// Why not all could be written, unless its reader went away.
pub fn unwritten() -> Option<&'static io::Error> {
    note(stdout().flush());
    UNWRITTEN.get()
}

fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = UNWRITTEN.set(error);
    }
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
