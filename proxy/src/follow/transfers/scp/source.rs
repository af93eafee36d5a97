//! What the source of scp's protocol says: lines, and files behind some of them.

use super::super::Lost;
use super::trouble;

/// The longest line (scp.c's buffer is 2 KiB).
const LINE: usize = 4096;

/// One thing that the source said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SourceMessage<'a> {
    /// `T`: times of what comes next.
    Times,
    /// `D`
    Directory(Vec<u8>),
    /// `E`
    DirectoryEnds,
    /// `C`
    File { size: u64, name: Vec<u8> },
    /// Some of the file's bytes.
    Data(&'a [u8]),
    /// The file is over, as it should or with a complaint.
    FileEnds { trouble: Option<Vec<u8>> },
    /// A complaint outside a file.
    Trouble(Vec<u8>),
}

/// Reads what the source says.
pub(super) struct Source {
    /// Which side it is.
    sender: &'static str,
    state: State,
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Line,
    /// A file was announced, and none of it came yet.
    Announced(u64),
    Data(u64),
    /// All bytes have come, and how it went comes next.
    End,
}

impl Source {
    pub fn new(sender: &'static str) -> Self {
        Self { sender, state: State::Line, line: Vec::new() }
    }

    /// The start of a line whose end has not come.
    pub fn held(&self) -> &[u8] {
        &self.line
    }

    fn nonsense(&self) -> Lost {
        Lost::Nonsense(self.sender, "SCP")
    }

    /// The next thing in `bytes`; `None` when there is no more of it there.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<SourceMessage<'a>>, Lost> {
        loop {
            if bytes.is_empty() {
                return Ok(None);
            }
            match self.state {
                State::Announced(0) | State::Data(0) => self.state = State::End,
                State::Announced(left) | State::Data(left) => {
                    let all: &'a [u8] = bytes;
                    let most = usize::try_from(left).unwrap_or(usize::MAX);
                    let (data, rest) = all.split_at_checked(most).unwrap_or((all, &[]));
                    *bytes = rest;
                    self.state = State::Data(left - u64::try_from(data.len()).unwrap_or(left));
                    return Ok(Some(SourceMessage::Data(data)));
                }
                State::End => {
                    if let (true, Some((0, rest))) = (self.line.is_empty(), bytes.split_first()) {
                        *bytes = rest;
                        self.state = State::Line;
                        return Ok(Some(SourceMessage::FileEnds { trouble: None }));
                    }
                    let Some(line) = self.line(bytes)? else {
                        return Ok(None);
                    };
                    self.state = State::Line;
                    let told = complaint(&line).ok_or(self.nonsense())?;
                    return Ok(Some(SourceMessage::FileEnds { trouble: Some(told) }));
                }
                State::Line => {
                    let Some(line) = self.line(bytes)? else {
                        return Ok(None);
                    };
                    return self.said(&line).map(Some).ok_or(self.nonsense());
                }
            }
        }
    }

    /// The sink does not take the file that was announced.
    pub fn refused(&mut self) -> Result<(), Lost> {
        if !matches!(self.state, State::Announced(_)) {
            return Err(Lost::SentOn);
        }
        self.state = State::Line;
        Ok(())
    }

    /// A line without its end, when it is whole.
    fn line(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, Lost> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |end| end + 1);
        let (taken, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        *bytes = rest;
        self.line.extend_from_slice(taken.get(..=LINE).unwrap_or(taken));
        if self.line.len() > LINE {
            return Err(self.nonsense());
        }
        if end.is_none() {
            return Ok(None);
        }
        self.line.pop();
        Ok(Some(std::mem::take(&mut self.line)))
    }

    fn said(&mut self, line: &[u8]) -> Option<SourceMessage<'static>> {
        let (first, rest) = line.split_first()?;
        match first {
            1 | 2 => complaint(line).map(SourceMessage::Trouble),
            b'T' => times(rest).then_some(SourceMessage::Times),
            b'E' if rest.is_empty() => Some(SourceMessage::DirectoryEnds),
            b'D' => named(rest).map(|(_, name)| SourceMessage::Directory(name)),
            b'C' => {
                let (size, name) = named(rest)?;
                self.state = State::Announced(size);
                Some(SourceMessage::File { size, name })
            }
            _ => None,
        }
    }
}

/// `0644 12 name`
fn named(line: &[u8]) -> Option<(u64, Vec<u8>)> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (mode, size, name) = (words.next()?, words.next()?, words.next()?);
    let octal = mode.len() == 4 && mode.iter().all(|byte| matches!(byte, b'0'..=b'7'));
    let digits = size.iter().all(u8::is_ascii_digit);
    let size = std::str::from_utf8(size).ok()?.parse().ok().filter(|_| digits)?;
    (octal && !name.is_empty()).then(|| (size, name.to_owned()))
}

/// `1700000000 0 1700000000 0`, and nothing that could say more.
fn times(line: &[u8]) -> bool {
    let number = |word: &[u8]| (1..=20).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    let words: Vec<&[u8]> = line.splitn(5, |byte| *byte == b' ').collect();
    words.len() == 4 && words.into_iter().all(number)
}

fn complaint(line: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = line.split_first()?;
    matches!(first, 1 | 2).then(|| trouble(rest))
}
