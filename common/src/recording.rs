//! A recording's file format: what a session showed, readable by stock tools
//! (`zstd -dc FILE | asciinema play -`), with a chain and a signature that show
//! whether it is whole, cut off or altered. Encoder and decoder are pure.
//!
//! # Layers
//! 1. **Lines** of asciicast v3 (<https://docs.asciinema.org/manual/asciicast/v3/>; [`Cast`]
//!    writes them, [`Script`] reads them): a header, then
//!    `[seconds since the line before, "code", "data"]`. Players of that version
//!    (asciinema 3 and later; tried with 3.2.0) skip codes and header keys that they don't
//!    know. Older ones, as in Debian 12, read what [`line_v2`] makes of it.
//! 2. **Frames**: whole lines, compressed with Zstandard, at most [`FULL_FRAME`] bytes of
//!    them and what one last event adds. Each frame can be read alone.
//! 3. **Links**: after each frame stands a skippable frame, which stock zstd skips, with
//!    BLAKE3(previous link, frame). A file is good up to the last link that holds.
//! 4. **End**: a skippable frame with the last link, the totals and an Ed25519 signature.
//!
//! # Codes
//! Stock: `o` (shown), `i` (typed, only where it is asked for), `r`, `m`, `x`. Our own:
//!
//! | code | data | meaning |
//! | --- | --- | --- |
//! | `s` | `2 output`, `-` | whose the following lines are: channel and stream, or the recorder's own |
//! | `c` | [`Control`] as JSON | a channel opened, closed, was resized; a limit was reached; the end |
//! | `t` | text | kept, but not shown, because another channel has the screen |
//! | `b` | base64 | the exact bytes of the next `o`, which shows what is no UTF-8 as U+FFFD |
//! | `k` | base64 | kept, and never shown: not text |
//!
//! # Channels
//! A session has one screen and maybe many channels (RFC 4254). The first open terminal
//! has the screen; while none is open, the first open command has it. Output of the one
//! that has it is `o`; a line feed of a command that no terminal turned into carriage
//! return and line feed is written as both, and read back as one. Every byte that is
//! kept can be had back exactly. A channel that is opened again while it is open goes on as
//! another kind: a transfer that could not be followed, as the command that it is. A character cut in two by packets is kept back (three
//! bytes at most) until it is whole or its channel closes.
//!
//! # Verdicts
//! *Whole*: every link holds and the signature is the key's. *Incomplete*: every link holds
//! as far as the file goes, but there is no end. *Altered*: anything else. Whoever can
//! write the file can cut it off, and gets *incomplete*; nobody without the key gets *whole*.
//! Whoever knows more than the file holds says more ([`Alteration::Cut`] and those after it).

mod cast;
mod escape;
mod frames;
mod model;
mod open;
mod reader;
mod script;
#[cfg(test)]
mod tests;
mod v2;
mod zstd_frame;

pub use cast::{Cast, MAX_PIECE};
pub use frames::{Chain, END, END_LENGTH, FULL_FRAME, MAX_TEXT, Packer, Signature};
pub use model::{Control, FORMAT, Header, Kind, Size, Stream, Total};
pub use open::{
    Check, Event, Head, MAX_HEAD, MAX_LINE, MAX_RECORDING, MAX_TIME, OpenError, Position, Recording,
    Standing, Theme, What,
};
pub use reader::{Alteration, Part, Reader, Verdict, verify};
pub use script::{Script, ScriptError, ScriptLine};
pub use v2::line_v2;
