//! Packets out of a stream: length, type, body (draft-ietf-secsh-filexfer-02, section 3).
//!
//! Of a packet the head is gathered, as much as its kind needs; file data behind it is
//! handed on as it comes, so that a packet never has to fit into memory.

use super::super::Lost;

/// The longest packet. OpenSSH's own bound is 256 KiB.
const LONGEST: usize = 1024 * 1024;
/// The longest packet that is gathered whole.
const GATHERED: usize = 64 * 1024;

/// What is still to come of a packet whose first bytes are known.
pub(super) enum Plan {
    /// Its head has so many bytes, type included.
    Head(usize),
    /// All of it is its head.
    Whole,
}

/// What becomes of the bytes behind the head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// They are file data.
    Data,
    /// No finding tells of them.
    Aside,
    /// They do not matter.
    Skip,
}

/// A piece of a packet.
pub(super) enum Part<'a> {
    /// Its head, and how many bytes follow. Answers what they are.
    Head(&'a [u8], usize),
    /// Some of the data behind it.
    Data(&'a [u8]),
    /// Some of what is behind it and not told of.
    Aside(&'a [u8]),
}

/// One direction's packets.
#[derive(Debug, Default)]
pub(super) struct Frames {
    state: State,
    gathered: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// In the four bytes of the length.
    #[default]
    Length,
    /// In the head of a packet of this length.
    Head(usize),
    /// So many bytes of data are to come.
    Data(usize),
    /// So many bytes are to be kept aside.
    Aside(usize),
    /// So many bytes are to be passed over.
    Skip(usize),
}

impl Frames {
    /// The start of a packet whose head is not whole.
    pub fn held(&self) -> Vec<u8> {
        let length = match self.state {
            State::Head(length) => u32::try_from(length).unwrap_or_default().to_be_bytes().to_vec(),
            _ => Vec::new(),
        };
        [length, self.gathered.clone()].concat()
    }

    /// Takes bytes as they come. `plan` says of the head so far how much of it there is.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        sender: &'static str,
        plan: impl Fn(&[u8]) -> Result<Plan, Lost>,
        mut part: impl FnMut(Part<'_>) -> Result<Rest, Lost>,
    ) -> Result<(), Lost> {
        let nonsense = Lost::Nonsense(sender, "SFTP");
        loop {
            match self.state {
                State::Length => {
                    if !self.gather(&mut bytes, 4) {
                        return Ok(());
                    }
                    let length = self.gathered.first_chunk().map(|length| u32::from_be_bytes(*length));
                    let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
                    self.gathered.clear();
                    if !(1..=LONGEST).contains(&length) {
                        return Err(nonsense);
                    }
                    self.state = State::Head(length);
                }
                State::Head(length) => {
                    if !self.gather(&mut bytes, 1) {
                        return Ok(());
                    }
                    let head = match plan(&self.gathered)? {
                        Plan::Head(head) => head,
                        Plan::Whole => length,
                    };
                    if head > length || head > GATHERED {
                        return Err(nonsense);
                    }
                    let before = self.gathered.len();
                    if !self.gather(&mut bytes, head) {
                        return Ok(());
                    }
                    if self.gathered.len() > before {
                        // What came may tell that there is more of it.
                        continue;
                    }
                    let rest = length - head;
                    let what = part(Part::Head(&self.gathered, rest))?;
                    self.gathered.clear();
                    self.gathered.shrink_to(1024);
                    self.state = match what {
                        _ if rest == 0 => State::Length,
                        Rest::Data => State::Data(rest),
                        Rest::Aside => State::Aside(rest),
                        Rest::Skip => State::Skip(rest),
                    };
                }
                State::Data(rest) | State::Aside(rest) | State::Skip(rest) => {
                    let (taken, left) = bytes.split_at_checked(rest).unwrap_or((bytes, &[]));
                    if taken.is_empty() {
                        return Ok(());
                    }
                    let next: fn(usize) -> State = match self.state {
                        State::Data(_) => {
                            part(Part::Data(taken))?;
                            State::Data
                        }
                        State::Aside(_) => {
                            part(Part::Aside(taken))?;
                            State::Aside
                        }
                        _ => State::Skip,
                    };
                    bytes = left;
                    self.state = match rest - taken.len() {
                        0 => State::Length,
                        rest => next(rest),
                    };
                }
            }
        }
    }

    /// Gathers up to `most` bytes; says whether they are there.
    fn gather(&mut self, bytes: &mut &[u8], most: usize) -> bool {
        let missing = most.saturating_sub(self.gathered.len());
        let (taken, left) = bytes.split_at_checked(missing).unwrap_or((*bytes, &[]));
        self.gathered.extend_from_slice(taken);
        *bytes = left;
        self.gathered.len() >= most
    }
}
