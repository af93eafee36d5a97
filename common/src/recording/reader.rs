//! A recording's bytes to its lines, and to the verdict on them, without I/O and in
//! bounded memory. Lines are handed out only after their frame's link was checked.

use zstd::bulk::Decompressor;
use zstd::zstd_safe;

use super::frames::{Chain, END, END_LENGTH, LINK, LINK_LENGTH, MAX_TEXT, Signature};
use super::zstd_frame::{self, Scan};

/// The most bytes that a frame may take on disk.
const MAX_FRAME: usize = MAX_TEXT + MAX_TEXT / 128 + 1024;

/// How a recording differs from what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Alteration {
    /// Neither a frame nor a link nor an end stands where one must.
    #[error("there is no frame of a recording at byte {0}")]
    Structure(u64),
    /// The link does not follow from the frame and those before it.
    #[error("the frame at byte {0} was changed, moved, or one before it is missing")]
    Link(u64),
    /// The end's totals are not those of the frames.
    #[error("the end tells of other frames than there are: some are missing")]
    Totals,
    /// The signature is not this key's over this end.
    #[error("the signature at the end is not one of the given key")]
    Signature,
    /// It is another session's recording than its name says.
    #[error("it is the recording of another session")]
    Session,
    /// It goes less far than it did.
    #[error("its end was cut off, or it is an older copy: more of it is known to have been written")]
    Cut,
    /// It is not the one that was sealed or written.
    #[error("another recording of the session is known to have been written")]
    OtherEnd,
    /// There is no file.
    #[error("its file is gone")]
    Missing,
    /// Something stands after the end.
    #[error("something was appended after the end, at byte {0}")]
    Appended(u64),
}

/// What is found of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// All that was written, signed.
    Whole(Chain),
    /// Good as far as it goes: it was cut off after `good` bytes. Frames that someone
    /// took off its end would not show.
    Incomplete {
        /// The chain up to there.
        chain: Chain,
        /// Bytes of whole frames.
        good: u64,
    },
    /// Not what was written; good up to there.
    Altered {
        /// What is wrong.
        what: Alteration,
        /// The chain up to there.
        chain: Chain,
    },
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Whole lines of asciicast.
    Lines(Vec<u8>),
    /// The end, with its signature still to be checked against [`Reader::signed`].
    End(Signature),
}

/// Takes bytes as they come and gives parts. Holds at most what it was fed and one frame.
pub struct Reader {
    buffer: Vec<u8>,
    /// Bytes taken off the buffer's front so far.
    offset: u64,
    chain: Chain,
    ended: bool,
    decompressor: Option<Decompressor<'static>>,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// Before the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self { buffer: Vec::new(), offset: 0, chain: Chain::default(), ended: false, decompressor: None }
    }

    /// Takes bytes of the file. Ask for parts before feeding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The chain so far.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// What an end's signature must cover.
    #[must_use]
    pub fn signed(&self) -> Vec<u8> {
        self.chain.signed()
    }

    /// The next part; `None` when more bytes are needed.
    ///
    /// # Errors
    /// Says how the recording was altered. Nothing more comes then.
    pub fn next_part(&mut self) -> Result<Option<Part>, Alteration> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        if self.ended {
            return Err(Alteration::Appended(self.offset));
        }
        if starts_alike(&self.buffer, &END) {
            return self.end();
        }
        let structure = Alteration::Structure(self.offset);
        let length = match zstd_frame::scan(&self.buffer) {
            Scan::Frame(length) if length <= MAX_FRAME => length,
            Scan::More if self.buffer.len() <= MAX_FRAME => return Ok(None),
            Scan::Frame(_) | Scan::More | Scan::None => return Err(structure),
        };
        let Some((frame, rest)) = self.buffer.split_at_checked(length) else {
            return Ok(None);
        };
        if !starts_alike(rest, &LINK) {
            return Err(Alteration::Structure(self.offset.saturating_add(as_u64(length))));
        }
        let Some(link) = rest.get(LINK.len()..LINK_LENGTH) else {
            return Ok(None);
        };
        let text_length = content_size(frame).ok_or(structure)?;
        let mut next = self.chain;
        next.follow(frame, text_length);
        if next.link.0 != link {
            return Err(Alteration::Link(self.offset));
        }
        let decompressor = match &mut self.decompressor {
            Some(ready) => ready,
            none => none.insert(Decompressor::new().map_err(|_| structure)?),
        };
        let lines = decompressor.decompress(frame, text_length).map_err(|_| structure)?;
        self.chain = next;
        self.advance(length + LINK_LENGTH);
        Ok(Some(Part::Lines(lines)))
    }

    /// No more bytes come and no end was found: the recording was cut off here,
    /// unless what is left shows that it was not.
    pub fn cut(&self) -> Verdict {
        let tail = self.buffer.len().checked_sub(END_LENGTH).and_then(|from| self.buffer.get(from..));
        if tail.is_some_and(|tail| tail.starts_with(&END)) {
            // It has its end, so that nothing was cut off: a frame claims to be longer than it is.
            return Verdict::Altered { what: Alteration::Structure(self.offset), chain: self.chain };
        }
        Verdict::Incomplete { chain: self.chain, good: self.offset }
    }

    fn end(&mut self) -> Result<Option<Part>, Alteration> {
        let Some(end) = self.buffer.get(END.len()..END_LENGTH) else {
            return Ok(None);
        };
        let Some((totals, signature)) = end.split_last_chunk::<64>() else {
            return Ok(None);
        };
        if totals != self.chain.totals() {
            return Err(Alteration::Totals);
        }
        let signature = *signature;
        self.ended = true;
        self.advance(END_LENGTH);
        Ok(Some(Part::End(signature)))
    }

    fn advance(&mut self, length: usize) {
        self.buffer.drain(..length.min(self.buffer.len()));
        self.offset = self.offset.saturating_add(as_u64(length));
    }
}

/// Walks a whole recording. `check` says whether a signature over a text is the key's.
pub fn verify(recording: &[u8], check: impl Fn(&[u8], &Signature) -> bool) -> Verdict {
    let mut reader = Reader::new();
    let mut verdict = None;
    for piece in recording.chunks(64 * 1024) {
        reader.feed(piece);
        loop {
            match reader.next_part() {
                Ok(Some(Part::Lines(_))) => {}
                Ok(Some(Part::End(signature))) if check(&reader.signed(), &signature) => {
                    verdict = Some(Verdict::Whole(reader.chain()));
                }
                Ok(Some(Part::End(_))) => {
                    return Verdict::Altered { what: Alteration::Signature, chain: reader.chain() };
                }
                Ok(None) => break,
                Err(what) => return Verdict::Altered { what, chain: reader.chain() },
            }
        }
    }
    verdict.unwrap_or_else(|| reader.cut())
}

/// Whether `bytes` begin with `magic`, or with as much of it as they have.
fn starts_alike(bytes: &[u8], magic: &[u8]) -> bool {
    bytes.iter().zip(magic).all(|(byte, expected)| byte == expected)
}

fn content_size(frame: &[u8]) -> Option<usize> {
    let size = zstd_safe::get_frame_content_size(frame).ok().flatten()?;
    usize::try_from(size).ok().filter(|size| *size <= MAX_TEXT)
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
