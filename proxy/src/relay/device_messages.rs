//! What the device says on a channel, as the relay takes it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::{ChannelMsg, ChannelReadHalf};

use super::ClientChannel;

/// How long the end of data waits for an exit status while the client can still write.
const HALF_CLOSE: Duration = Duration::from_millis(200);

/// Pieces from here on are joined; smaller ones are keys' echoes.
const SMALL: usize = 1024;
/// Nothing is joined to what has so many bytes: half of what a packet carries.
const ENOUGH: usize = 16 * 1024;

/// The device's side, to read from.
///
/// A client whose own input has ended answers the end of data with
/// `SSH_MSG_CHANNEL_CLOSE` at once, and russh answers that before anyone can send an
/// exit status. So the end of data waits for the exit status, which sshd sends in
/// about the same moment; where the client could still write to a program that has
/// closed its output, it waits for [`HALF_CLOSE`] at most.
pub(super) struct DeviceMessages {
    read: ChannelReadHalf,
    /// What was read already, behind joined data.
    ahead: Option<Option<ChannelMsg>>,
    /// Whether the end of data waits.
    eof_held: bool,
    ended: bool,
}

impl DeviceMessages {
    pub fn new(read: ChannelReadHalf) -> Self {
        Self { read, ahead: None, eof_held: false, ended: false }
    }

    /// The device's data have ended, which is passed on later; `false` when they had before.
    pub fn end(&mut self) -> bool {
        self.eof_held = !self.ended;
        !std::mem::replace(&mut self.ended, true)
    }

    /// The next message, or `None` when the end of data has waited long enough. Cancel safe.
    pub async fn next(&mut self, client_ended: &AtomicBool) -> Option<Option<ChannelMsg>> {
        if let Some(message) = self.ahead.take() {
            return Some(message);
        }
        if self.eof_held && !client_ended.load(Ordering::Relaxed) {
            return tokio::time::timeout(HALF_CLOSE, self.read.wait()).await.ok();
        }
        Some(self.read.wait().await)
    }

    /// Data with what has come right behind it, as far as one packet holds that: a terminal's
    /// output comes in many small pieces, and each costs what a large one does.
    pub fn joined(&mut self, data: Bytes) -> Bytes {
        if !(SMALL..ENOUGH).contains(&data.len()) || self.ahead.is_some() {
            return data;
        }
        let mut all = BytesMut::from(data);
        while all.len() < ENOUGH {
            let more = pin!(self.read.wait()).poll(&mut Context::from_waker(Waker::noop()));
            match more {
                Poll::Ready(Some(ChannelMsg::Data { data })) => {
                    all.reserve(2 * ENOUGH - all.len());
                    all.extend_from_slice(&data);
                }
                Poll::Ready(other) => {
                    self.ahead = Some(other);
                    break;
                }
                Poll::Pending => break,
            }
        }
        all.freeze()
    }

    /// Passes the end of data on, if it was held.
    pub async fn release(&mut self, channel: &impl ClientChannel) -> bool {
        !std::mem::take(&mut self.eof_held) || channel.eof().await.is_ok()
    }
}
