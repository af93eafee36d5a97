//! A file's bytes to its text: as they are, decompressed, or taken from a chain of frames
//! that holds.

use std::io::{self, Read};

use zstd::stream::raw::{DParameter, Decoder, Operation as _};

use super::super::frames::{LINK_LENGTH, MAX_TEXT};
use super::super::{Part, Reader, Signature, Verdict};
use super::{Check, OpenError, Standing};

const PIECE: usize = 64 * 1024;
/// Enough of a file to see whether it begins with a frame and a link.
const ENOUGH: usize = MAX_TEXT + MAX_TEXT / 64 + LINK_LENGTH + 1024;
/// How far back a compressed stream may refer, as a power of two: what `zstd` up to -19 makes.
const WINDOW: u32 = 24;
/// How a frame of Zstandard begins (RFC 8878, 3.1.1), and a skippable one (3.1.2).
const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

pub struct Source<R> {
    input: R,
    /// What was read and is not used yet, from `used` on.
    buffer: Vec<u8>,
    used: usize,
    read: u64,
    kind: Kind,
}

enum Kind {
    Plain,
    Compressed { decoder: Decoder<'static>, within: bool },
    Chained(Box<Chained>),
}

struct Chained {
    reader: Reader,
    check: Option<Check>,
    /// The first lines, which were read to see what it is.
    first: Option<Vec<u8>>,
    standing: Option<Standing>,
}

impl<R: Read> Source<R> {
    pub fn open(input: R, check: Option<Check>) -> Result<Self, OpenError> {
        let mut source = Self { input, buffer: Vec::new(), used: 0, read: 0, kind: Kind::Plain };
        while source.buffer.len() < FRAME.len() && source.more()? {}
        let frame = source.buffer.starts_with(&FRAME);
        if source.buffer.is_empty() {
            return Err(OpenError::Empty);
        }
        if !frame && source.buffer.get(1..4) != Some(&SKIPPABLE) {
            return Ok(source);
        }
        if frame {
            let mut reader = Reader::new();
            let mut fed = 0;
            loop {
                reader.feed(source.buffer.get(fed..).unwrap_or_default());
                fed = source.buffer.len();
                match reader.next_part() {
                    Ok(Some(Part::Lines(lines))) => {
                        (source.buffer, source.used) = (Vec::new(), 0);
                        let (first, standing) = (Some(lines), None);
                        source.kind = Kind::Chained(Box::new(Chained { reader, check, first, standing }));
                        return Ok(source);
                    }
                    Err(what @ super::Alteration::Link(_)) => return Err(OpenError::Altered(what)),
                    Ok(None) if fed < ENOUGH && source.more()? => {}
                    Ok(_) | Err(_) => break,
                }
            }
        }
        let mut decoder = Decoder::new().map_err(OpenError::Read)?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW)).map_err(OpenError::Read)?;
        source.kind = Kind::Compressed { decoder, within: false };
        Ok(source)
    }

    /// Reads some more of the file; false at its end.
    fn more(&mut self) -> Result<bool, OpenError> {
        let start = self.buffer.len();
        self.buffer.resize(start + PIECE, 0);
        let read = loop {
            match self.input.read(self.buffer.get_mut(start..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let length = read.as_ref().map_or(0, |read| (*read).min(PIECE));
        self.buffer.truncate(start + length);
        read.map_err(OpenError::Read)?;
        self.read = self.read.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        Ok(length > 0)
    }

    /// Lets the buffer hold something that is not used; false at the end of the file.
    fn refill(&mut self) -> Result<bool, OpenError> {
        if self.used < self.buffer.len() {
            return Ok(true);
        }
        (self.used, _) = (0, self.buffer.clear());
        self.more()
    }

    /// Appends some text; false when there is no more.
    pub fn text(&mut self, out: &mut Vec<u8>) -> Result<bool, OpenError> {
        loop {
            if let Kind::Chained(chained) = &mut self.kind {
                if let Some(first) = chained.first.take() {
                    out.extend_from_slice(&first);
                    return Ok(true);
                }
                let before = out.len();
                if chained.step(out) {
                    return Ok(out.len() > before);
                }
            }
            let some = self.refill()?;
            let (start, buffer) = (out.len(), self.buffer.get(self.used..).unwrap_or_default());
            match &mut self.kind {
                Kind::Plain => {
                    out.extend_from_slice(buffer);
                    self.used = self.buffer.len();
                    return Ok(some);
                }
                Kind::Chained(chained) => {
                    if some {
                        chained.reader.feed(buffer);
                        self.used = self.buffer.len();
                    } else {
                        let cut = chained.reader.cut();
                        chained.standing.get_or_insert(Standing::Judged(cut));
                        return Ok(false);
                    }
                }
                Kind::Compressed { decoder, within } => {
                    // Bytes that the decoder holds back come without input, too.
                    if !some && !*within {
                        return Ok(false);
                    }
                    out.resize(start + PIECE, 0);
                    let room = out.get_mut(start..).unwrap_or_default();
                    let after = self.read;
                    let status = decoder.run_on_buffers(buffer, room);
                    let written = status.as_ref().map_or(0, |status| status.bytes_written);
                    out.truncate(start + written);
                    let status = status.map_err(|source| OpenError::Compression { after, source })?;
                    self.used += status.bytes_read;
                    *within = status.remaining > 0;
                    if written > 0 {
                        return Ok(true);
                    }
                    if !some {
                        return Ok(false);
                    }
                }
            }
        }
    }

    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// `cut` says whether the text ends in the middle.
    pub fn standing(&self, cut: bool) -> Standing {
        match &self.kind {
            Kind::Plain => Standing::Foreign { cut },
            Kind::Compressed { within, .. } => Standing::Foreign { cut: cut || *within },
            Kind::Chained(chained) => {
                chained.standing.unwrap_or_else(|| Standing::Judged(chained.reader.cut()))
            }
        }
    }
}

impl Chained {
    /// Appends the next frame's lines. False when more of the file is needed.
    fn step(&mut self, out: &mut Vec<u8>) -> bool {
        if matches!(self.standing, Some(Standing::Judged(Verdict::Altered { .. }))) {
            return true;
        }
        loop {
            let chain = self.reader.chain();
            let altered = |what| Some(Standing::Judged(Verdict::Altered { what, chain }));
            match self.reader.next_part() {
                Ok(Some(Part::Lines(lines))) => out.extend_from_slice(&lines),
                // The file must end here: what follows is looked at as well.
                Ok(Some(Part::End(signature))) => match self.judge(&signature) {
                    Some(standing) => {
                        self.standing = Some(standing);
                        continue;
                    }
                    None => self.standing = altered(super::Alteration::Signature),
                },
                Ok(None) => return false,
                Err(what) => self.standing = altered(what),
            }
            return true;
        }
    }

    fn judge(&self, signature: &Signature) -> Option<Standing> {
        let chain = self.reader.chain();
        match &self.check {
            None => Some(Standing::Unchecked(chain)),
            Some(check) => {
                check(&self.reader.signed(), signature).then_some(Standing::Judged(Verdict::Whole(chain)))
            }
        }
    }
}
