//! SFTP as OpenSSH speaks it: version 3 (draft-ietf-secsh-filexfer-02) with the
//! extensions of OpenSSH's PROTOCOL, section 4.
//!
//! A file is listed when it is closed, a change when it is answered. Requests may
//! overlap and be answered in any order. Listing directories, reading attributes and
//! the like are no transfers, and are passed over.

mod file;
mod frame;
mod packet;
mod pending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};

use tidegate_common::audit::{CommandText, FileChange, Note, Outcome};

use super::digest::Window;
use super::{Finding, Lost, Side, aside};
use file::{Carry, File};
use frame::{Frames, Part, Rest};
use packet::{Attributes, Reply, Request};
use pending::{Changing, Opening, Pending, Streaming};

/// Requests without an answer. Some clients ask for all of a large file at once.
const PENDING: usize = 65_536;
/// Bytes of paths in requests without an answer.
const PATHS: usize = 4 * 1024 * 1024;
/// Files open at once.
const FILES: usize = 1024;
/// Paths whose length is remembered for an open to come.
const SIZES: usize = 16;

/// Follows both directions of a channel.
#[derive(Default)]
pub(super) struct Observer {
    client: Frames,
    device: Frames,
    state: State,
}

impl Observer {
    /// What a side sent that is not decided yet.
    pub fn held(&self, side: Side) -> Vec<u8> {
        match side {
            Side::Client => self.client.held(),
            Side::Device => self.device.held(),
        }
    }

    /// Takes what a side sent. Packets of which the list does not tell are kept aside.
    pub fn feed(&mut self, side: Side, bytes: &[u8], found: &mut Vec<Finding>) -> Result<(), Lost> {
        let Self { client, device, state } = self;
        let kept = |rest| if rest == Rest::Skip { Rest::Aside } else { rest };
        match side {
            Side::Client => client.feed(bytes, "client", packet::request_plan, |part| match part {
                Part::Head(head, rest) => {
                    let (what, listed) = state.request(head, rest)?;
                    if !listed {
                        aside(side, head.to_vec(), found);
                    }
                    Ok(if listed { what } else { kept(what) })
                }
                Part::Data(data) => Ok(state.written(data)),
                Part::Aside(data) => {
                    aside(side, data.to_vec(), found);
                    Ok(Rest::Aside)
                }
            }),
            Side::Device => device.feed(bytes, "device", packet::reply_plan, |part| match part {
                Part::Head(head, rest) => {
                    let what = state.reply(head, rest, found)?;
                    if packet::is_plain(head) {
                        return Ok(what);
                    }
                    aside(side, head.to_vec(), found);
                    Ok(kept(what))
                }
                Part::Data(data) => Ok(state.was_read(data, found)),
                Part::Aside(data) => {
                    aside(side, data.to_vec(), found);
                    Ok(Rest::Aside)
                }
            }),
        }
    }

    /// Says what is known of all that is still open.
    pub fn leave(self, outcome: Outcome, found: &mut Vec<Finding>) {
        let State { files, pending, mut window, .. } = self.state;
        files.into_values().for_each(|file| file.finish(Some(outcome), &mut window, found));
        let mut pending: Vec<_> = pending.into_iter().collect();
        pending.sort_unstable_by_key(|(id, _)| *id);
        let unanswered = || Note::new("the device did not answer");
        found.extend(pending.into_iter().filter_map(|(_, pending)| match pending {
            Pending::Open(opening) => Some(opening.failed(outcome, unanswered())),
            Pending::Change(changing) => Some(changing.finding(outcome, Some(unanswered()))),
            _ => None,
        }));
    }
}

#[derive(Default)]
struct State {
    pending: HashMap<u32, Pending>,
    paths: usize,
    handles: HashMap<Box<[u8]>, u64>,
    files: BTreeMap<u64, File>,
    next: u64,
    sizes: VecDeque<(CommandText, u64)>,
    window: Window,
    writing: Option<Streaming>,
    reading: Option<Streaming>,
}

impl State {
    /// Also answers whether the list tells of the request.
    fn request(&mut self, head: &[u8], rest: usize) -> Result<(Rest, bool), Lost> {
        let nonsense = Lost::Nonsense("client", "SFTP");
        let (id, request, whole) = packet::request(head).ok_or(nonsense)?;
        let listed = whole && request.is_listed();
        let mut what = Rest::Skip;
        let pending = match request {
            Request::Init => return Ok((what, listed)),
            Request::Unknown => return Err(Lost::Extension),
            Request::Open { path, flags } => {
                Pending::Open(Box::new(Opening { path: CommandText::of_name(path), flags }))
            }
            Request::Close { handle } => self.handles.remove(handle).map_or(Pending::Other, Pending::Close),
            Request::Read { handle, offset, length } => match self.open(handle) {
                Some((file, open)) => {
                    open.read.get_or_insert_default();
                    open.unanswered = open.unanswered.saturating_add(1);
                    Pending::Read { file, offset, length }
                }
                None => Pending::Guess,
            },
            Request::Write { handle, offset, length } => {
                if usize::try_from(length) != Ok(rest) {
                    return Err(nonsense);
                }
                match self.open(handle) {
                    Some((file, open)) => {
                        open.write.get_or_insert_default();
                        open.unanswered = open.unanswered.saturating_add(1);
                        self.writing = Some(Streaming { file, offset, left: length.into() });
                        what = Rest::Data;
                        Pending::Write { file, length }
                    }
                    None => Pending::Guess,
                }
            }
            Request::SizeOf { path } => Pending::SizeOf(Box::new(CommandText::of_name(path))),
            Request::SizeOfOpen { handle } => {
                self.open(handle).map_or(Pending::Other, |(file, _)| Pending::SizeOfOpen(file))
            }
            Request::Change { change, path, to, attributes } => {
                let to = to.map(CommandText::of_name);
                let path = CommandText::of_name(path);
                Pending::Change(Box::new(Changing { change, path, to, attributes, cut: None }))
            }
            Request::SetOpen { handle, attributes } => self.set_open(handle, attributes),
            Request::CopyOpen { from, to } => self.copy_open(from, to),
            Request::Other => Pending::Other,
        };
        self.paths += pending.paths();
        if self.pending.insert(id, pending).is_some() {
            return Err(nonsense);
        }
        if self.pending.len() > PENDING || self.paths > PATHS {
            return Err(Lost::TooMuch("requests at once"));
        }
        Ok((what, listed))
    }

    fn open(&mut self, handle: &[u8]) -> Option<(u64, &mut File)> {
        let number = *self.handles.get(handle)?;
        self.files.get_mut(&number).map(|file| (number, file))
    }

    fn set_open(&mut self, handle: &[u8], attributes: Attributes) -> Pending {
        let Some((file, open)) = self.open(handle) else {
            return Pending::Guess;
        };
        let first = open.write.as_ref().is_none_or(|carry| carry.flow.bytes == 0);
        Pending::Change(Box::new(Changing {
            change: FileChange::SetAttributes,
            path: open.path.clone(),
            to: None,
            attributes: Some(attributes),
            cut: Some((file, first)),
        }))
    }

    fn copy_open(&mut self, from: &[u8], to: &[u8]) -> Pending {
        let Some(path) = self.open(from).map(|(_, from)| from.path.clone()) else {
            return Pending::Guess;
        };
        let to = self.handles.get(to).and_then(|to| self.files.get_mut(to));
        let Some(to) = to else {
            return Pending::Guess;
        };
        to.mixed(&mut self.window);
        let to = Some(to.path.clone());
        Pending::Change(Box::new(Changing {
            change: FileChange::Copy,
            path,
            to,
            attributes: None,
            cut: None,
        }))
    }

    /// File data of a write that passes.
    fn written(&mut self, data: &[u8]) -> Rest {
        if let Some(writing) = &mut self.writing
            && let Some(carry) = self.files.get_mut(&writing.file).and_then(|file| file.write.as_mut())
        {
            carry.flow.piece(writing.offset, data, &mut self.window);
            writing.pass(data);
        }
        Rest::Data
    }

    /// File data of a read that passes.
    fn was_read(&mut self, data: &[u8], found: &mut Vec<Finding>) -> Rest {
        if let Some(reading) = &mut self.reading {
            if let Some(carry) = self.files.get_mut(&reading.file).and_then(|file| file.read.as_mut()) {
                carry.flow.piece(reading.offset, data, &mut self.window);
            }
            reading.pass(data);
            if reading.left == 0 {
                let file = reading.file;
                self.reading = None;
                self.answered(file, found);
            }
        }
        Rest::Data
    }

    fn reply(&mut self, head: &[u8], rest: usize, found: &mut Vec<Finding>) -> Result<Rest, Lost> {
        let nonsense = Lost::Nonsense("device", "SFTP");
        let (id, reply) = packet::reply(head).ok_or(nonsense)?;
        if let Reply::Version(version) = reply {
            return if version == 3 { Ok(Rest::Skip) } else { Err(Lost::Version(version)) };
        }
        let pending = self.pending.remove(&id).ok_or(nonsense)?;
        self.paths = self.paths.saturating_sub(pending.paths());
        match (pending, reply) {
            (Pending::Open(opening), Reply::Handle(handle)) => self.opened(*opening, handle)?,
            (Pending::Open(opening), Reply::Status { code: code @ 1.., message }) => {
                found.push(opening.failed(Outcome::Failed, packet::status(code, message)));
            }
            (Pending::Read { file, offset, length }, Reply::Data(count)) => {
                if count > length || usize::try_from(count) != Ok(rest) {
                    return Err(nonsense);
                }
                if let Some(open) = self.files.get_mut(&file) {
                    open.has_data_at(offset);
                }
                if count == 0 {
                    self.answered(file, found);
                    return Ok(Rest::Skip);
                }
                self.reading = Some(Streaming { file, offset, left: count.into() });
                return Ok(Rest::Data);
            }
            (Pending::Read { file, offset, .. }, Reply::Status { code: code @ 1.., message }) => {
                if let Some(open) = self.files.get_mut(&file) {
                    if code == 1 {
                        open.ends_at(offset);
                    } else if let Some(carry) = &mut open.read {
                        carry.failed.get_or_insert_with(|| packet::status(code, message));
                    }
                }
                self.answered(file, found);
            }
            (Pending::Write { file, length }, Reply::Status { code, message }) => {
                if code != 0
                    && let Some(Carry { flow, failed }) =
                        self.files.get_mut(&file).and_then(|open| open.write.as_mut())
                {
                    flow.bytes = flow.bytes.saturating_sub(length.into());
                    failed.get_or_insert_with(|| packet::status(code, message));
                }
                self.answered(file, found);
            }
            (Pending::Close(file), Reply::Status { code, message }) => {
                let answer = if code == 0 { Ok(()) } else { Err(packet::status(code, message)) };
                if let Some(open) = self.files.get_mut(&file) {
                    open.closed = Some(answer);
                }
                self.settle(file, found);
            }
            (Pending::SizeOf(path), Reply::Attributes(attributes)) => self.has_size(*path, attributes),
            (Pending::SizeOfOpen(file), Reply::Attributes(attributes)) => {
                if let Some(open) = self.files.get_mut(&file) {
                    open.size = attributes.size;
                }
            }
            (Pending::Change(changing), Reply::Status { code, message }) => {
                found.extend(self.changed(*changing, code, message));
            }
            (Pending::Guess, Reply::Status { code: 0, .. } | Reply::Data(_)) => return Err(Lost::Guessed),
            (
                Pending::SizeOf(_) | Pending::SizeOfOpen(_) | Pending::Guess,
                Reply::Status { code: 1.., .. },
            ) => {}
            (
                Pending::Other,
                Reply::Status { .. } | Reply::Handle(_) | Reply::Attributes(_) | Reply::Other,
            ) => {}
            _ => return Err(nonsense),
        }
        Ok(Rest::Skip)
    }

    fn opened(&mut self, opening: Opening, handle: &[u8]) -> Result<(), Lost> {
        let Opening { path, flags } = opening;
        let size = self.sizes.iter().rev().find(|(of, _)| *of == path).map(|(_, size)| *size);
        self.next += 1;
        self.files.insert(self.next, File::new(path, flags, size));
        if self.files.len() > FILES {
            return Err(Lost::TooMuch("open files"));
        }
        match self.handles.insert(handle.into(), self.next) {
            None => Ok(()),
            Some(_) => Err(Lost::Nonsense("device", "SFTP")),
        }
    }

    fn has_size(&mut self, path: CommandText, attributes: Attributes) {
        let Some(size) = attributes.size else { return };
        let open = self.files.values_mut().filter(|file| file.path == path);
        open.for_each(|file| file.size = Some(size));
        if self.sizes.len() >= SIZES {
            self.sizes.pop_front();
        }
        self.sizes.push_back((path, size));
    }

    /// What to list of a change that was answered.
    fn changed(&mut self, changing: Changing, code: u32, message: &[u8]) -> Option<Finding> {
        if code != 0 {
            return Some(changing.finding(Outcome::Failed, Some(packet::status(code, message))));
        }
        if let (Some((file, first)), Some(attributes)) = (changing.cut, changing.attributes)
            && let Some(size) = attributes.size
            && let Some(open) = self.files.get_mut(&file)
        {
            open.cut(size, first);
            let only = Attributes { size: Some(size), ..Attributes::default() } == attributes;
            if only && open.is_written_to(size) {
                return None;
            }
        }
        Some(changing.finding(Outcome::Done, None))
    }

    fn answered(&mut self, file: u64, found: &mut Vec<Finding>) {
        if let Some(open) = self.files.get_mut(&file) {
            open.unanswered = open.unanswered.saturating_sub(1);
        }
        self.settle(file, found);
    }

    fn settle(&mut self, file: u64, found: &mut Vec<Finding>) {
        if self.files.get(&file).is_some_and(File::is_settled)
            && let Some(open) = self.files.remove(&file)
        {
            open.finish(None, &mut self.window, found);
        }
    }
}
