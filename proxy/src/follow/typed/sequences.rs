//! Bytes to letters, control codes and sequences, however they are cut into packets.

use tidegate_screen::Unfinished;
use vte::{Params, Parser, Perform};

/// A parser of one direction. Strings in sequences (titles and the like) are read over, not
/// kept.
#[derive(Default)]
pub struct Sequences {
    unfinished: Unfinished,
    parser: Parser<16>,
}

impl Sequences {
    /// Reads bytes; the start of a letter waits for its end.
    pub fn read(&mut self, performer: &mut impl Perform, bytes: &[u8]) {
        let Self { unfinished, parser } = self;
        unfinished.join(bytes, |whole| parser.advance(performer, whole));
    }
}

/// The first parameter of a sequence; 0 where there is none.
pub fn first(params: &Params) -> u16 {
    params.iter().next().and_then(|param| param.first().copied()).unwrap_or(0)
}
