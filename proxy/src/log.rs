//! The log: to standard error, and whoever stopped reading it stops nothing. (The
//! subscriber itself would print what went wrong with its writer, to the same closed pipe,
//! and panic.)

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

/// `TIDEGATE_LOG` filters it. It never holds session bytes.
pub fn start(filter: &str) {
    // russh logs what peers send, in their words and as often as they like.
    let quiet = format!("{filter},russh=off,sqlx=warn,sea_orm_migration=warn");
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(quiet));
    // Colours are for who looks on; journalctl(1) would show their control sequences.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Log)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// Standard error, which takes everything.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
