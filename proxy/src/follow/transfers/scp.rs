//! scp's own protocol, which `scp -O` still speaks: lines that name files, their bytes,
//! and an answer to each. One side is the *source*, the other the *sink*; the far end's
//! `-t` or `-f` says which is which. (There is no standard; this follows OpenSSH's
//! scp.c.)
//!
//! The source waits for an answer after each line and each file. One that does not wait
//! is followed too, as long as nothing is refused.

mod name;
mod source;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use tidegate_common::audit::{CommandText, Note, Outcome, Transfer, Way};

use super::asked::Scp;
use super::digest::{Flow, Window};
use super::{Finding, Lost, Side, aside};
use name::FilePath;
use source::{Source, SourceMessage};

/// The longest answer (scp.c's buffer is 2 KiB).
const ANSWER: usize = 4096;
/// Answers that may be missing at once.
const UNANSWERED: usize = 1024;

/// Follows both directions of a channel.
pub(super) struct Observer {
    place: FilePath,
    way: Way,
    source: Source,
    /// The file that passes.
    file: Option<File>,
    /// What the sink has not answered yet, in order.
    unanswered: VecDeque<Unanswered>,
    answer: Vec<u8>,
    window: Window,
}

struct File {
    path: CommandText,
    aside: Option<Note>,
    size: u64,
    flow: Flow,
    /// What the source said went wrong.
    failed: Option<Note>,
}

enum Unanswered {
    /// The sink speaks first; and each line of times, and each end of a directory.
    Word,
    Directory,
    /// A file is announced.
    File,
    /// A file has passed.
    End(Box<File>),
}

impl Observer {
    pub fn new(asked: Scp) -> Self {
        let (way, source) = match &asked {
            Scp::Upload { .. } => (Way::Upload, "client"),
            Scp::Download { .. } => (Way::Download, "device"),
        };
        Self {
            place: FilePath::new(asked),
            way,
            source: Source::new(source),
            file: None,
            unanswered: VecDeque::from([Unanswered::Word]),
            answer: Vec::new(),
            window: Window::default(),
        }
    }

    /// What a side sent that is not decided yet.
    pub fn held(&self, side: Side) -> &[u8] {
        if side == self.source_side() { self.source.held() } else { &self.answer }
    }

    fn source_side(&self) -> Side {
        match self.way {
            Way::Upload => Side::Client,
            Way::Download => Side::Device,
        }
    }

    /// Takes what a side sent.
    pub fn feed(&mut self, side: Side, bytes: &[u8], found: &mut Vec<Finding>) -> Result<(), Lost> {
        match (side == self.source_side(), side) {
            (true, _) => self.source(bytes, found),
            (false, Side::Client) => self.sink(bytes, "client", found),
            (false, Side::Device) => self.sink(bytes, "device", found),
        }
    }

    /// Says what is known of the files that were passing.
    pub fn leave(mut self, outcome: Outcome, found: &mut Vec<Finding>) {
        let passed = std::mem::take(&mut self.unanswered).into_iter().filter_map(|of| match of {
            Unanswered::End(file) => Some(*file),
            _ => None,
        });
        let files: Vec<_> = passed.chain(self.file.take()).collect();
        for mut file in files {
            let why = file.failed.take();
            self.tell(file, outcome, why, found);
        }
    }

    fn source(&mut self, mut bytes: &[u8], found: &mut Vec<Finding>) -> Result<(), Lost> {
        while let Some(said) = self.source.next(&mut bytes)? {
            let answer = match said {
                SourceMessage::Data(data) => {
                    if let Some(file) = &mut self.file {
                        file.flow.piece(file.flow.bytes, data, &mut self.window);
                    }
                    continue;
                }
                SourceMessage::Trouble(why) => {
                    let told = Note::from_bytes(&why);
                    aside(self.source_side(), why, found);
                    self.refuse(self.place.asked(), told, found);
                    continue;
                }
                SourceMessage::Times => Unanswered::Word,
                SourceMessage::Directory(name) => {
                    aside(self.source_side(), name.clone(), found);
                    self.place.enter(name).ok_or(Lost::TooMuch("directories in one another"))?;
                    Unanswered::Directory
                }
                SourceMessage::DirectoryEnds => {
                    self.place.leave();
                    Unanswered::Word
                }
                SourceMessage::File { size, name } => {
                    let (path, aside) = self.place.file(&name);
                    self.file = Some(File { path, aside, size, flow: Flow::default(), failed: None });
                    Unanswered::File
                }
                SourceMessage::FileEnds { trouble } => {
                    let told = trouble.as_deref().map(Note::from_bytes);
                    aside(self.source_side(), trouble.unwrap_or_default(), found);
                    let Some(mut file) = self.file.take() else { continue };
                    file.failed = told.or(file.failed);
                    Unanswered::End(Box::new(file))
                }
            };
            self.unanswered.push_back(answer);
            if self.unanswered.len() > UNANSWERED {
                return Err(Lost::TooMuch("answers missing at once"));
            }
        }
        Ok(())
    }

    fn sink(&mut self, bytes: &[u8], sender: &'static str, found: &mut Vec<Finding>) -> Result<(), Lost> {
        for byte in bytes {
            match (self.answer.is_empty(), *byte) {
                (true, 0) => self.answered(sender, None, found)?,
                (true, 1 | 2) | (false, 0x20..) => self.answer.push(*byte),
                (false, b'\n') => {
                    let told = std::mem::take(&mut self.answer);
                    aside(self.source_side().other(), told.clone(), found);
                    let told = trouble(told.get(1..).unwrap_or_default());
                    self.answered(sender, Some(Note::from_bytes(&told)), found)?;
                }
                (false, b'\t') => self.answer.push(b' '),
                _ => return Err(Lost::Nonsense(sender, "SCP")),
            }
            if self.answer.len() > ANSWER {
                return Err(Lost::Nonsense(sender, "SCP"));
            }
        }
        Ok(())
    }

    /// The sink has answered: `None` is yes.
    fn answered(
        &mut self,
        sender: &'static str,
        refused: Option<Note>,
        found: &mut Vec<Finding>,
    ) -> Result<(), Lost> {
        let Some(of) = self.unanswered.pop_front() else {
            // The last word of a sink that gives up in the middle of a file.
            let (Some(file), Some(why)) = (&mut self.file, refused) else {
                return Err(Lost::Nonsense(sender, "SCP"));
            };
            file.failed = Some(why);
            return Ok(());
        };
        match (of, refused) {
            (Unanswered::Word, Some(why)) => self.refuse(self.place.asked(), why, found),
            (Unanswered::Directory, Some(why)) => {
                self.refuse(self.place.here(), why, found);
                self.place.leave();
            }
            (Unanswered::File, Some(why)) => {
                // A source that did not wait sends bytes now that the sink reads as lines.
                self.source.refused()?;
                if let Some(file) = self.file.take() {
                    self.tell(file, Outcome::Failed, Some(why), found);
                }
            }
            (Unanswered::End(mut file), refused) => {
                let why = refused.or_else(|| file.failed.take());
                let outcome = if why.is_none() { Outcome::Done } else { Outcome::Failed };
                self.tell(*file, outcome, why, found);
            }
            (_, None) => {}
        }
        Ok(())
    }

    fn refuse(&self, path: CommandText, why: Note, found: &mut Vec<Finding>) {
        let (way, outcome, detail) = (self.way, Outcome::Failed, Some(why));
        found.push(Finding::Transfer(Transfer { way, path, bytes: 0, sha256: None, outcome, detail }));
    }

    fn tell(&mut self, file: File, outcome: Outcome, why: Option<Note>, found: &mut Vec<Finding>) {
        let File { path, aside, size, flow, .. } = file;
        let bytes = flow.bytes;
        let digest = flow.digest(&mut self.window).ok();
        let sha256 = digest.filter(|_| outcome == Outcome::Done && bytes == size);
        let detail = why.or(aside);
        found.push(Finding::Transfer(Transfer { way: self.way, path, bytes, sha256, outcome, detail }));
    }
}

/// What went wrong, without the program's name and the blanks around it.
fn trouble(told: &[u8]) -> Vec<u8> {
    let told = told.trim_ascii();
    told.strip_prefix(b"scp: ").unwrap_or(told).to_owned()
}
