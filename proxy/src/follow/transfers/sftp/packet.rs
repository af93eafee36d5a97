//! What is in a packet, as far as it matters for the list (draft-ietf-secsh-filexfer-02,
//! sections 4 to 7, and OpenSSH's PROTOCOL, section 4).

use tidegate_common::audit::{FileChange, Note};

use super::super::Lost;
use super::frame::Plan;

/// The longest handle (section 6.3).
const HANDLE: u32 = 256;
/// The longest path (Linux's PATH_MAX); the list has all of it.
const PATH: usize = 4096;
/// What OpenSSH's server says of a status (sftp-server.c).
const MESSAGES: [&[u8]; 11] = [
    b"",
    b"Success",
    b"End of file",
    b"No such file",
    b"Permission denied",
    b"Failure",
    b"Bad message",
    b"No connection",
    b"Connection lost",
    b"Operation unsupported",
    b"Unknown error",
];
/// Extensions of OpenSSH's server that change no file (PROTOCOL, 4).
const ASKING: [&[u8]; 7] = [
    b"statvfs@openssh.com",
    b"fstatvfs@openssh.com",
    b"fsync@openssh.com",
    b"limits@openssh.com",
    b"expand-path@openssh.com",
    b"home-directory",
    b"users-groups-by-id@openssh.com",
];

/// `SSH_FXF_WRITE`
pub(super) const WRITE: u32 = 2;
/// `SSH_FXF_APPEND`
pub(super) const APPEND: u32 = 4;
/// `SSH_FXF_CREAT`
pub(super) const CREATE: u32 = 8;
/// `SSH_FXF_TRUNC`
pub(super) const TRUNCATE: u32 = 16;
/// `SSH_FXF_EXCL`
pub(super) const EXCLUSIVE: u32 = 32;

/// What a client asks for.
pub(super) enum Request<'a> {
    /// The first packet; the answer counts.
    Init,
    Open {
        path: &'a [u8],
        flags: u32,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    /// The data follows.
    Write {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    /// `SSH_FXP_STAT` or `LSTAT`.
    SizeOf {
        path: &'a [u8],
    },
    /// `SSH_FXP_FSTAT`
    SizeOfOpen {
        handle: &'a [u8],
    },
    Change {
        change: FileChange,
        path: &'a [u8],
        to: Option<&'a [u8]>,
        attributes: Option<Attributes>,
    },
    /// `SSH_FXP_FSETSTAT`
    SetOpen {
        handle: &'a [u8],
        attributes: Attributes,
    },
    /// `copy-data` from one open file to another.
    CopyOpen {
        from: &'a [u8],
        to: &'a [u8],
    },
    /// Anything that carries and changes no file.
    Other,
    /// An extension that is not OpenSSH's.
    Unknown,
}

impl Request<'_> {
    /// Whether a finding tells of it, or of all that it says.
    pub fn is_listed(&self) -> bool {
        !matches!(
            self,
            Self::Init | Self::SizeOf { .. } | Self::SizeOfOpen { .. } | Self::Other | Self::Unknown
        )
    }
}

/// What a device answers.
pub(super) enum Reply<'a> {
    Version(u32),
    Status {
        code: u32,
        message: &'a [u8],
    },
    Handle(&'a [u8]),
    /// The data follows.
    Data(u32),
    Attributes(Attributes),
    Other,
}

/// The attributes that a packet sets or tells (section 5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub size: Option<u64>,
    pub owner: Option<(u32, u32)>,
    pub mode: Option<u32>,
    pub times: bool,
}

impl Attributes {
    /// In words.
    pub fn note(self) -> Note {
        let parts = [
            self.size.map(|size| format!("size {size}")),
            self.owner.map(|(user, group)| format!("owner {user}:{group}")),
            self.mode.map(|mode| format!("mode {:04o}", mode & 0o7777)),
            self.times.then(|| "times".to_owned()),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        Note::new(parts.join(", "))
    }
}

/// How much of a request is its head.
pub(super) fn request_plan(head: &[u8]) -> Result<Plan, Lost> {
    Ok(match head {
        // Its handle's length tells where the data begins.
        [6, _, _, _, _, one, two, three, four, ..] => {
            let handle = u32::from_be_bytes([*one, *two, *three, *four]);
            if handle > HANDLE {
                return Err(Lost::Nonsense("client", "SFTP"));
            }
            Plan::Head(usize::try_from(handle).unwrap_or_default() + 21)
        }
        [6, ..] => Plan::Head(9),
        [11 | 12 | 16 | 19, ..] => Plan::Head(5),
        [1 | 3..=5 | 7..=10 | 13..=15 | 17 | 18 | 20 | 200, ..] => Plan::Whole,
        _ => return Err(Lost::Nonsense("client", "SFTP")),
    })
}

/// How much of a reply is its head.
pub(super) fn reply_plan(head: &[u8]) -> Result<Plan, Lost> {
    Ok(match head {
        [103, ..] => Plan::Head(9),
        [104 | 201, ..] => Plan::Head(5),
        [2 | 101 | 102 | 105, ..] => Plan::Whole,
        _ => return Err(Lost::Nonsense("device", "SFTP")),
    })
}

/// Whether a reply says nothing beside what every server says: file data, and a status
/// in OpenSSH's words.
pub(super) fn is_plain(head: &[u8]) -> bool {
    let plain_status = || {
        let mut fields = Fields(head.get(9..)?);
        let (message, language) = (fields.string()?, fields.string()?);
        Some(MESSAGES.contains(&message) && language.is_empty() && fields.0.is_empty())
    };
    match head.first() {
        Some(103) => true,
        Some(101) => head.len() == 9 || plain_status() == Some(true),
        _ => false,
    }
}

/// A request, its number, and whether that is all that its head says; `None` where it is
/// none. The number of the first is 0.
pub(super) fn request(head: &[u8]) -> Option<(u32, Request<'_>, bool)> {
    let mut fields = Fields(head);
    let kind = fields.byte()?;
    let id = fields.number()?;
    let request = match kind {
        1 => return Some((0, Request::Init, true)),
        3 => {
            let (path, flags) = (fields.path()?, fields.number()?);
            // Some clients leave the attributes out.
            let _ = fields.attributes();
            Request::Open { path, flags }
        }
        4 => Request::Close { handle: fields.handle()? },
        5 => Request::Read { handle: fields.handle()?, offset: fields.offset()?, length: fields.number()? },
        6 => Request::Write { handle: fields.handle()?, offset: fields.offset()?, length: fields.number()? },
        7 | 17 => Request::SizeOf { path: fields.path()? },
        8 => Request::SizeOfOpen { handle: fields.handle()? },
        9 => set(&mut fields)?,
        10 => Request::SetOpen { handle: fields.handle()?, attributes: fields.attributes()? },
        13 => one(FileChange::Remove, &mut fields)?,
        14 => {
            let made = one(FileChange::MakeDirectory, &mut fields)?;
            let _ = fields.attributes();
            made
        }
        15 => one(FileChange::RemoveDirectory, &mut fields)?,
        18 => two(FileChange::Rename, &mut fields)?,
        // OpenSSH's order, both ends (PROTOCOL, 4.1): what it points to comes first.
        20 => {
            let (to, path) = (fields.path()?, fields.path()?);
            Request::Change { change: FileChange::SymbolicLink, path, to: Some(to), attributes: None }
        }
        200 => match fields.string()? {
            b"posix-rename@openssh.com" => two(FileChange::Rename, &mut fields)?,
            b"hardlink@openssh.com" => {
                let (to, path) = (fields.path()?, fields.path()?);
                Request::Change { change: FileChange::HardLink, path, to: Some(to), attributes: None }
            }
            b"lsetstat@openssh.com" => set(&mut fields)?,
            b"copy-data" | b"copy-data@openssh.com" => {
                let from = fields.handle()?;
                fields.offset()?;
                fields.offset()?;
                let to = fields.handle()?;
                fields.offset()?;
                Request::CopyOpen { from, to }
            }
            b"copy-file" => two(FileChange::Copy, &mut fields)?,
            name if ASKING.contains(&name) => Request::Other,
            _ => Request::Unknown,
        },
        _ => Request::Other,
    };
    Some((id, request, fields.0.is_empty()))
}

/// A reply and the number of its request; `None` where it is none.
pub(super) fn reply(head: &[u8]) -> Option<(u32, Reply<'_>)> {
    let mut fields = Fields(head);
    let kind = fields.byte()?;
    let id = fields.number()?;
    let reply = match kind {
        2 => return Some((0, Reply::Version(id))),
        101 => {
            let code = fields.number()?;
            // Some servers leave the message out.
            Reply::Status { code, message: fields.string().unwrap_or_default() }
        }
        102 => Reply::Handle(fields.handle()?),
        103 => Reply::Data(fields.number()?),
        105 => Reply::Attributes(fields.attributes()?),
        _ => Reply::Other,
    };
    Some((id, reply))
}

/// A status in words (section 7).
pub(super) fn status(code: u32, message: &[u8]) -> Note {
    let word = match code {
        0 => "ok",
        1 => "end of file",
        2 => "no such file",
        3 => "permission denied",
        4 => "failure",
        5 => "bad message",
        6 => "no connection",
        7 => "connection lost",
        8 => "operation unsupported",
        _ => return Note::new(format!("status {code}: {}", Note::<256>::from_bytes(message))),
    };
    let message = Note::<256>::from_bytes(message);
    if message.as_str().is_empty() || message.as_str().eq_ignore_ascii_case(word) {
        return Note::new(word);
    }
    Note::new(format!("{word}: {message}"))
}

fn one<'a>(change: FileChange, fields: &mut Fields<'a>) -> Option<Request<'a>> {
    Some(Request::Change { change, path: fields.path()?, to: None, attributes: None })
}

fn two<'a>(change: FileChange, fields: &mut Fields<'a>) -> Option<Request<'a>> {
    Some(Request::Change { change, path: fields.path()?, to: Some(fields.path()?), attributes: None })
}

fn set<'a>(fields: &mut Fields<'a>) -> Option<Request<'a>> {
    let (path, attributes) = (fields.path()?, fields.attributes()?);
    Some(Request::Change { change: FileChange::SetAttributes, path, to: None, attributes: Some(attributes) })
}

/// Fields from the front of a packet (RFC 4251, section 5).
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.take(4)?.first_chunk()?))
    }

    fn offset(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(*self.take(8)?.first_chunk()?))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn path(&mut self) -> Option<&'a [u8]> {
        self.string().filter(|path| path.len() <= PATH)
    }

    fn handle(&mut self) -> Option<&'a [u8]> {
        self.string().filter(|handle| handle.len() <= HANDLE as usize)
    }

    /// Extended ones are left where they stand.
    fn attributes(&mut self) -> Option<Attributes> {
        let flags = self.number()?;
        let has = |flag: u32| flags & flag != 0;
        Some(Attributes {
            size: if has(1) { Some(self.offset()?) } else { None },
            owner: if has(2) { Some((self.number()?, self.number()?)) } else { None },
            mode: if has(4) { Some(self.number()?) } else { None },
            times: has(8) && self.take(8).is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_once_in_words() {
        assert_eq!(status(3, b"Permission denied").as_str(), "permission denied");
        assert_eq!(status(4, b"disk\nfull").as_str(), "failure: disk\\nfull");
        assert_eq!(status(77, b"x").as_str(), "status 77: x");
    }

    #[test]
    fn attributes_are_told_in_words() {
        let packet = [9, 0, 0, 0, 7, 0, 0, 0, 1, b'a', 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0x81, 0xa4];
        let Some((7, Request::Change { path: b"a", attributes: Some(attributes), .. }, true)) =
            request(&packet)
        else {
            panic!("it reads as something else");
        };
        assert_eq!(attributes.note().as_str(), "owner 0:9, mode 0644");
        assert!(request(&packet[..20]).is_none(), "cut off");
    }
}
