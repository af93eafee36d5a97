//! What two peers say to each other, packet by packet, and what an observer finds in it.

use super::super::super::{Asked, Finding, Observer as Any, Side};

/// Fields of a packet.
pub(super) enum Field<'a> {
    Number(u32),
    Long(u64),
    Text(&'a [u8]),
}
use Field::{Long, Number, Text};

pub(super) fn packet(kind: u8, fields: &[Field<'_>]) -> Vec<u8> {
    let mut body = vec![kind];
    for field in fields {
        match field {
            Number(number) => body.extend(number.to_be_bytes()),
            Long(number) => body.extend(number.to_be_bytes()),
            Text(text) => {
                body.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                body.extend(*text);
            }
        }
    }
    [u32::try_from(body.len()).unwrap().to_be_bytes().as_slice(), &body].concat()
}

/// A conversation, packet by packet.
#[derive(Clone, Default)]
pub(super) struct Talk(pub(super) Vec<(Side, Vec<u8>)>);

impl Talk {
    /// With both versions said.
    pub(super) fn new() -> Self {
        let mut talk = Self::default();
        talk.client(1, &[Number(3)]);
        talk.device(2, &[Number(3)]);
        talk
    }

    pub(super) fn client(&mut self, kind: u8, fields: &[Field<'_>]) -> &mut Self {
        self.0.push((Side::Client, packet(kind, fields)));
        self
    }

    pub(super) fn device(&mut self, kind: u8, fields: &[Field<'_>]) -> &mut Self {
        self.0.push((Side::Device, packet(kind, fields)));
        self
    }

    pub(super) fn open(&mut self, id: u32, path: &[u8], flags: u32, handle: &[u8]) -> &mut Self {
        self.client(3, &[Number(id), Text(path), Number(flags), Number(0)]);
        self.device(102, &[Number(id), Text(handle)])
    }

    pub(super) fn close(&mut self, id: u32, handle: &[u8]) -> &mut Self {
        self.client(4, &[Number(id), Text(handle)]).status(id, 0)
    }

    pub(super) fn read(&mut self, id: u32, handle: &[u8], offset: u64) -> &mut Self {
        self.client(5, &[Number(id), Text(handle), Long(offset), Number(32768)])
    }

    pub(super) fn data(&mut self, id: u32, data: &[u8]) -> &mut Self {
        self.device(103, &[Number(id), Text(data)])
    }

    pub(super) fn write(&mut self, id: u32, handle: &[u8], offset: u64, data: &[u8]) -> &mut Self {
        self.client(6, &[Number(id), Text(handle), Long(offset), Text(data)])
    }

    pub(super) fn status(&mut self, id: u32, code: u32) -> &mut Self {
        self.device(101, &[Number(id), Number(code), Text(b""), Text(b"")])
    }

    /// What an observer says of it, and then of its end.
    pub(super) fn told(&self) -> (Vec<Finding>, Vec<Finding>) {
        told(self.0.iter().map(|(side, bytes)| (*side, bytes.as_slice())))
    }
}

pub(super) fn told<'a>(pieces: impl IntoIterator<Item = (Side, &'a [u8])>) -> (Vec<Finding>, Vec<Finding>) {
    let (mut during, mut after) = all(pieces);
    let listed = |finding: &Finding| !matches!(finding, Finding::Aside(..));
    during.retain(listed);
    after.retain(listed);
    (during, after)
}

/// With what is kept aside.
pub(super) fn all<'a>(pieces: impl IntoIterator<Item = (Side, &'a [u8])>) -> (Vec<Finding>, Vec<Finding>) {
    let (mut observer, mut during, mut after) = (Any::new(&Asked::Sftp), Vec::new(), Vec::new());
    pieces.into_iter().for_each(|(side, bytes)| observer.feed(side, bytes, &mut during));
    observer.end(&mut after);
    (during, after)
}

/// What is kept aside of what the device sent.
pub(super) fn asides<'a>(pieces: impl IntoIterator<Item = (Side, &'a [u8])>) -> Vec<u8> {
    let (during, after) = all(pieces);
    let kept = during.into_iter().chain(after).filter_map(|finding| match finding {
        Finding::Aside(Side::Device, bytes) => Some(bytes),
        _ => None,
    });
    kept.flatten().collect()
}

pub(super) fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
