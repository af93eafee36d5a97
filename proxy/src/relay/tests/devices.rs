//! Devices played by servers of russh's.

use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg, Session};
use russh::{Channel, ChannelId, Pty, Sig};
use tokio::sync::mpsc;

/// A device whose program sends back what it is sent. It tells what else it hears.
pub(super) struct Device {
    pub heard: mpsc::UnboundedSender<String>,
    /// Of a device that opens no channel, those that it was asked for: dropped, they would be refused.
    pub unanswered: Option<Vec<ChannelOpenHandle>>,
}

impl Device {
    fn tell(&self, what: String) {
        let _ = self.heard.send(what);
    }
}

impl server::Handler for Device {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(unanswered) = &mut self.unanswered {
            unanswered.push(reply);
            self.tell("a channel".to_owned());
        } else {
            reply.accept().await;
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _: &str,
        columns: u32,
        rows: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.tell(format!("terminal {columns}x{rows}"));
        session.channel_success(id)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        if command == b"flood" {
            tokio::spawn(flood(session.handle(), id));
        }
        Ok(())
    }

    async fn window_change_request(
        &mut self,
        _: ChannelId,
        columns: u32,
        rows: u32,
        _: u32,
        _: u32,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.tell(format!("size {columns}x{rows}"));
        Ok(())
    }

    async fn signal(&mut self, _: ChannelId, signal: Sig, _: &mut Session) -> Result<(), Self::Error> {
        self.tell(format!("signal {signal:?}"));
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        self.tell(format!("data {}", String::from_utf8_lossy(data)));
        if data == b"break" {
            return Err(russh::Error::Disconnect);
        }
        session.data(id, data.to_vec())
    }

    async fn channel_eof(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.tell("eof".to_owned());
        session.exit_status_request(id, 7)?;
        session.eof(id)?;
        session.close(id)
    }
}

pub(super) const FLOOD: usize = 2 << 20;

async fn flood(handle: Handle, id: ChannelId) {
    for _ in 0..FLOOD / 32_768 {
        if handle.data(id, vec![b'x'; 32_768]).await.is_err() {
            return;
        }
    }
}
