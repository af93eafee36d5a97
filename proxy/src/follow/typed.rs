//! What a person typed at a prompt, line by line. It is a heuristic.
//!
//! A line is what the *screen* shows of it when its Enter is answered by the end of a
//! row, so what is not echoed (passwords) is never in it. What was typed is held
//! until then to tell the person's line from the prompt before it and from output that
//! came meanwhile; it goes when its row ends.
//!
//! Where it fails: a program that draws its line anywhere but on the row of the cursor
//! (fish's and zsh's hints stay out only of lines without editing keys; multiplexers and
//! everything on the alternate screen are left out); wide letters in a line that was
//! edited; lines that were typed ahead *and* edited, but for those that the cursor stands
//! on when Enter is typed; rows of more than [`row::MOST`] letters. What a program echoes by
//! itself is in it, secrets included: it is on the screen, and so in the recording, as well.
//!
//! [`Lines`] decides, without I/O. [`Typed`] is the part with a task; the relay's bytes
//! cost it a search for the last line feed while nobody types.

mod follower;
mod keys;
mod row;
mod sequences;
#[cfg(test)]
mod tests;

use keys::Keys;
use row::Row;

pub use follower::Typed;

/// How much may be shown after the last key before what was typed is given up, in bytes.
const PATIENCE: usize = 64 * 1024;

/// Follows one terminal.
struct Lines {
    keys: Keys,
    row: Row,
    /// How much more may be shown before what was typed is given up.
    patience: usize,
}

impl Lines {
    /// A terminal of this many columns; 0 where nobody says.
    fn new(columns: u32) -> Self {
        Self { keys: Keys::default(), row: Row::new(columns), patience: PATIENCE }
    }

    fn resize(&mut self, columns: u32) {
        self.row.resize(columns);
    }

    /// What the person sends, before the device has it.
    fn typed(&mut self, bytes: &[u8]) {
        self.patience = PATIENCE;
        self.keys.read(bytes, self.row.cells());
    }

    /// What the screen is sent, and whether a program has the alternate one; returns the
    /// lines that are complete now.
    fn shown(&mut self, bytes: &[u8], alternate: bool) -> Vec<String> {
        let Self { keys, row, patience } = self;
        let mut lines = Vec::new();
        if alternate || *patience < bytes.len() {
            keys.forget();
        }
        *patience = patience.saturating_sub(bytes.len());
        if alternate {
            row.leave();
        } else if keys.is_idle() {
            row.pass(bytes);
        } else {
            row.write(bytes, |cells| lines.extend(keys.row_ended(cells)));
        }
        lines
    }
}
