//! What a device's sshd may do on a connection of ours: show a host key that is vouched
//! for, and open channels that somebody waits for. Whatever else it opens is refused,
//! logged, and after [`MOST_UNASKED`] times the end of the connection.
//!
//! Channels that the device opens share one connection, and russh's client tops a window
//! up whoever has read. So each has an inbox, and only when that is full does the
//! connection, with all its channels, wait for this one's reader.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{self, ChannelOpenHandle, Msg, Session};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelId, ChannelWriteHalf};
use tidegate_common::audit::{ChannelKind, Event, ForwardKind, Note};
use tidegate_common::id::SessionId;
use tokio::sync::mpsc;

use super::MOST_CHANNELS;
use crate::allowance::Allowance;
use crate::audit_log::AuditLog;
use crate::inbox::Inbox;

/// Channels that nobody asked for, before a connection is cut.
pub const MOST_UNASKED: usize = 16;

/// Who takes in the channels that a device opens on one connection; nobody at first.
#[derive(Clone, Default)]
pub struct Reception(Arc<Mutex<Option<mpsc::Sender<DeviceChannel>>>>);

impl Reception {
    /// From now on they come out here.
    pub fn open(&self) -> mpsc::Receiver<DeviceChannel> {
        let (sender, device_channels) = mpsc::channel(MOST_CHANNELS);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        device_channels
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn sender(&self) -> Option<mpsc::Sender<DeviceChannel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A channel that the device wants to open.
pub struct DeviceChannel {
    /// Its kind, and what it says of itself.
    pub wanted: DeviceOpen,
    /// What it will send.
    pub inbox: Inbox<Infallible>,
    /// What it will be sent.
    pub write: ChannelWriteHalf<Msg>,
    /// The answer; refuses when dropped.
    pub reply: ChannelOpenHandle,
}

/// The kinds of channels that a server opens (RFC 4254, 6.3.2 and 7.2; OpenSSH PROTOCOL).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceOpen {
    /// Somebody connected to a port that a client asked for.
    Tcpip { address: String, port: u32, from: String, from_port: u32 },
    /// The same for a socket.
    Streamlocal { path: String },
    /// A program wants the client's agent.
    Agent,
    /// A program wants a window.
    X11 { from: String, from_port: u32 },
}

impl DeviceOpen {
    /// Its kind in the log.
    pub fn kind(&self) -> ForwardKind {
        match self {
            Self::Tcpip { .. } => ForwardKind::ForwardedTcpip,
            Self::Streamlocal { .. } => ForwardKind::ForwardedStreamlocal,
            Self::Agent => ForwardKind::Agent,
            Self::X11 { .. } => ForwardKind::X11,
        }
    }

    /// What it was opened for.
    pub fn to(&self) -> String {
        match self {
            Self::Tcpip { address, port, .. } => format!("{address}:{port}"),
            Self::Streamlocal { path } => path.clone(),
            Self::Agent => "the client's agent".to_owned(),
            Self::X11 { .. } => "the client's display".to_owned(),
        }
    }

    /// Where it comes from, if it says so.
    pub fn from(&self) -> Option<String> {
        match self {
            Self::Tcpip { from, from_port, .. } | Self::X11 { from, from_port } => {
                Some(format!("{from}:{from_port}"))
            }
            Self::Streamlocal { .. } | Self::Agent => None,
        }
    }
}

/// The gate's side of a connection to a device.
pub struct DeviceHandler {
    vouched: Vec<PublicKey>,
    refused: Arc<AtomicBool>,
    reception: Reception,
    device_channels: HashMap<ChannelId, Inbox<Infallible>>,
    unasked: usize,
    refusals: Allowance,
    session: SessionId,
    audit: AuditLog,
}

impl DeviceHandler {
    pub(super) fn new(
        vouched: Vec<PublicKey>,
        reception: Reception,
        session: SessionId,
        audit: AuditLog,
    ) -> Self {
        let (device_channels, refusals) = (HashMap::new(), Allowance::default());
        Self {
            vouched,
            refused: Arc::default(),
            reception,
            device_channels,
            unasked: 0,
            refusals,
            session,
            audit,
        }
    }

    /// Whether the device showed a key that nobody vouches for.
    pub(super) fn refused(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.refused)
    }

    async fn receive(
        &mut self,
        wanted: DeviceOpen,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
    ) -> Result<(), russh::Error> {
        self.device_channels.retain(|_, inbox| !inbox.is_closed());
        let (kind, to) = (wanted.kind(), wanted.to());
        let inbox = Inbox::default();
        let (id, (_, write)) = (channel.id(), channel.split());
        let opened = DeviceChannel { wanted, inbox: inbox.clone(), write, reply };
        let Some(sender) = self.reception.sender().filter(|sender| !sender.is_closed()) else {
            return self
                .unasked(self.refusal(kind, &to, "the device opened it and nobody asked for it"))
                .await;
        };
        let full = self.device_channels.len() >= MOST_CHANNELS || sender.try_send(opened).is_err();
        if full {
            self.tell(self.refusal(kind, &to, "the session has as many channels as there may be")).await;
            if !self.refusals.take() {
                return Err(self.cut("opens channels again and again that are refused").await);
            }
        } else {
            self.device_channels.insert(id, inbox);
        }
        Ok(())
    }

    fn refusal(&self, kind: ForwardKind, to: &str, why: &str) -> Event {
        Event::ForwardRefused { session: Some(self.session), kind, to: Note::new(to), why: Note::new(why) }
    }

    /// Channels that a server never opens.
    async fn never(&mut self, kind: ChannelKind) -> Result<(), russh::Error> {
        let why = Note::new("the device opened it, which no server does");
        self.unasked(Event::ChannelRefused { session: self.session, kind, why }).await
    }

    async fn unasked(&mut self, event: Event) -> Result<(), russh::Error> {
        self.tell(event).await;
        self.unasked += 1;
        if self.unasked >= MOST_UNASKED { Err(russh::Error::Disconnect) } else { Ok(()) }
    }

    /// Ends the connection of a device that goes beyond what a server may.
    async fn cut(&self, what: &str) -> russh::Error {
        let why = Note::new(format!("the device {what}, so the connection to it is closed"));
        self.tell(Event::ChannelRefused { session: self.session, kind: ChannelKind::Other, why }).await;
        russh::Error::Disconnect
    }

    async fn tell(&self, event: Event) {
        if let Err(error) = self.audit.tell(event).await {
            tracing::error!(session = %self.session, %error, "a refused channel could not be logged");
        }
    }
}

impl Drop for DeviceHandler {
    fn drop(&mut self) {
        self.reception.close();
        for inbox in self.device_channels.values() {
            inbox.close();
        }
    }
}

impl client::Handler for DeviceHandler {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let shown = shown.public_key();
        let known = self.vouched.iter().any(|key| key.key_data() == shown.key_data());
        self.refused.store(!known, Ordering::Relaxed);
        Ok(known)
    }

    // Dropping the reply refuses. russh's own defaults accept some of these.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let (address, from) = (address.to_owned(), from.to_owned());
        self.receive(DeviceOpen::Tcpip { address, port, from, from_port }, channel, reply).await
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.receive(DeviceOpen::Streamlocal { path: path.to_owned() }, channel, reply).await
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.receive(DeviceOpen::Agent, channel, reply).await
    }

    async fn server_channel_open_x11(
        &mut self,
        channel: Channel<Msg>,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.receive(DeviceOpen::X11 { from: from.to_owned(), from_port }, channel, reply).await
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.never(ChannelKind::Other).await
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.never(ChannelKind::DirectTcpip).await
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.never(ChannelKind::Other).await
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> Result<(), Self::Error> {
        // Any other channel is a program's: its relay has it already.
        if let Some(inbox) = self.device_channels.get(&id) {
            inbox.push_when_room(data).await;
        }
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        match self.device_channels.get(&id).map(Inbox::push_eof) {
            Some(Err(breach)) => Err(self.cut(&breach.to_string()).await),
            Some(Ok(())) | None => Ok(()),
        }
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        if let Some(inbox) = self.device_channels.remove(&id) {
            inbox.close();
        }
        Ok(())
    }
}
