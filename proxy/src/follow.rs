//! Onlookers of what passes on a channel: the lines that a person types, the files that SFTP
//! and SCP carry. They hold up a channel rather than miss something, and change nothing of it.

pub mod transfers;
pub mod typed;

use tidegate_common::id::SessionId;

use crate::audit_log::AuditLog;
use crate::changes::Feed;
use crate::recordings;

/// A channel that is followed, and where what is seen of it is told. Clones share it.
#[derive(Clone)]
pub struct Followed {
    /// Its session.
    pub session: SessionId,
    /// Its number on the client's connection.
    pub channel: u32,
    /// The audit log.
    pub audit: AuditLog,
    /// Where its commands go to be held against a change, if the session rests on one.
    pub compared: Option<Feed>,
    /// The recording of the channel.
    pub recorder: recordings::Channel,
}
