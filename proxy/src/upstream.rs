//! The gate as a client of the devices' sshd.
//!
//! A connection carries one channel at a time. russh hands a connection's
//! messages over on one task, so a channel whose output nobody takes would hold
//! up every other on its connection, and their window adjustments with it. With
//! one channel there is no other. An idle connection is used again, so a client
//! that runs one command after the other over its own connection pays for one
//! login; only channels that are open at once cost one each.

mod gather;
mod handler;
mod pace;
mod route;
mod secret;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, Msg};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, Disconnect};
use tidegate_common::name::AccountName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

pub use gather::READ_AHEAD;
pub use handler::{DeviceChannel, DeviceOpen, MOST_UNASKED};
pub use pace::Pace;
pub use route::{Connected, LoggedIn, Means, Route};

use gather::TerminalFlag;
use handler::{DeviceHandler, Reception};

/// How long a device may take to be reached, to exchange keys, to log us in and to answer a
/// request on a channel.
const DEADLINE: Duration = Duration::from_secs(20);
/// The most channels open at once in one session: twice what a browser behind `ssh -D` and a
/// shell open. Each has a connection to the device, and holds a mebibyte here at most while
/// nobody reads it.
pub const MOST_CHANNELS: usize = 128;

/// Why a device can't be used. The sentences are for the user.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No route, no listener, no answer.
    #[error("{device} can't be reached at {address} ({why}); ask its administrator whether its sshd runs")]
    Unreachable {
        /// The device.
        device: String,
        /// Where it was sought.
        address: String,
        /// What the system said.
        why: String,
    },
    /// Too many log in to it at once.
    #[error("too many sessions log in to {0} at this moment; try again in a minute")]
    Busy(String),
    /// It would go past the gate.
    #[error("mosh speaks UDP with the device itself, past the gate, which could not record it; use ssh")]
    Mosh,
    /// Nobody vouched for a host key yet.
    #[error(
        "no host key of {0} is known yet: its agent has not connected, or an administrator has to pin one"
    )]
    NoHostKey(String),
    /// Another key than vouched for.
    #[error(
        "{0} shows a host key that its agent does not vouch for, so it may be another machine; nothing was sent to it"
    )]
    HostKey(String),
    /// sshd does not let us in.
    #[error("sshd on {device} does not let {account} in: {why}")]
    Login {
        /// The device.
        device: String,
        /// The account.
        account: AccountName,
        /// What its agent says, or where to look.
        why: String,
    },
    /// sshd broke the protocol.
    #[error("sshd on {device} broke off: {why}")]
    Protocol {
        /// The device.
        device: String,
        /// What happened.
        why: String,
    },
    /// The settings leave no kind of its host keys.
    #[error(
        "the host keys known of {0} are of kinds that `host_key_algorithms` in the gate's settings leaves out"
    )]
    NotChosen(String),
    /// It would not open what a forward leads to.
    #[error("{device} can't open {to}: {why}")]
    Forward {
        /// The device.
        device: String,
        /// What was asked for.
        to: String,
        /// What sshd said.
        why: &'static str,
    },
    /// Too many channels at once.
    #[error("this session has {MOST_CHANNELS} channels open, the most there may be; close one first")]
    Channels,
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] crate::keys::KeyError),
    /// Its secret could not be read.
    #[error(transparent)]
    Secret(#[from] crate::vault::VaultError),
}

/// What a channel on the device leads to.
#[derive(Debug, Clone)]
pub enum Way {
    /// A program.
    Session,
    /// A TCP connection that sshd opens (RFC 4254, 7.2).
    Tcpip { host: String, port: u32, from: String, from_port: u32 },
    /// A connection to a socket there (OpenSSH PROTOCOL, 2.4).
    Streamlocal { path: String },
}

impl Way {
    /// Where it leads to, as people write it.
    pub fn to(&self) -> String {
        match self {
            Self::Session => "a session".to_owned(),
            Self::Tcpip { host, port, .. } => format!("{host}:{port}"),
            Self::Streamlocal { path } => path.clone(),
        }
    }
}

/// A logged in connection; says goodbye when nobody holds it any more.
pub struct Conn {
    handle: Option<client::Handle<DeviceHandler>>,
    reception: Reception,
    terminal: TerminalFlag,
}

impl From<LoggedIn> for Conn {
    fn from(LoggedIn { handle, reception, terminal }: LoggedIn) -> Self {
        Self { handle: Some(handle), reception, terminal }
    }
}

impl Conn {
    fn is_closed(&self) -> bool {
        self.handle.as_ref().is_none_or(client::Handle::is_closed)
    }

    async fn open(&self, way: &Way) -> Result<Channel<Msg>, russh::Error> {
        let handle = self.handle()?;
        let opened = async {
            match way.clone() {
                Way::Session => handle.channel_open_session().await,
                Way::Tcpip { host, port, from, from_port } => {
                    handle.channel_open_direct_tcpip(host, port, from, from_port).await
                }
                Way::Streamlocal { path } => handle.channel_open_direct_streamlocal(path).await,
            }
        };
        tokio::time::timeout(DEADLINE, opened).await.unwrap_or(Err(russh::Error::ConnectionTimeout))
    }

    /// The connection itself, for requests that are not a channel's.
    pub fn handle(&self) -> Result<&client::Handle<DeviceHandler>, russh::Error> {
        self.handle.as_ref().ok_or(russh::Error::Disconnect)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            goodbye(handle);
        }
    }
}

/// A session's connections to its device.
pub struct Upstream {
    route: Route,
    idle: Mutex<VecDeque<Conn>>,
    open: Arc<Semaphore>,
}

/// A channel on a device; its connection is idle again when the lease is returned.
pub struct Lease {
    conn: Arc<Conn>,
    upstream: Arc<Upstream>,
    /// Whether the device was asked for something that outlives the channel.
    bound: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl Upstream {
    /// The session's connections, with the first one logged in.
    pub fn new(route: Route, first: LoggedIn) -> Arc<Self> {
        let open = Arc::new(Semaphore::new(MOST_CHANNELS));
        Arc::new(Self { route, idle: Mutex::new(VecDeque::from([first.into()])), open })
    }

    fn take_idle(&self) -> Option<Conn> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|conn| !conn.is_closed());
        idle.pop_front()
    }

    async fn connect(&self) -> Result<Conn, DialError> {
        Ok(self.route.login(self.route.connect().await?).await?.into())
    }

    /// Room for one more channel of the session.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, DialError> {
        Arc::clone(&self.open).try_acquire_owned().map_err(|_| DialError::Channels)
    }

    /// Opens a session channel, on an idle connection or on a new one.
    pub async fn open(self: &Arc<Self>) -> Result<(Channel<Msg>, Lease), DialError> {
        self.open_to(&Way::Session).await
    }

    /// Opens a channel, on an idle connection or on a new one.
    pub async fn open_to(self: &Arc<Self>, way: &Way) -> Result<(Channel<Msg>, Lease), DialError> {
        let place = self.place()?;
        let idle = self.take_idle();
        let reused = idle.is_some();
        let conn = match idle {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        let lease = |conn: Conn| self.lease(conn, Some(place));
        match conn.open(way).await {
            Ok(channel) => Ok((channel, lease(conn))),
            Err(russh::Error::ChannelOpenFailure(reason)) if !matches!(way, Way::Session) => {
                lease(conn).give_back();
                Err(self.refused(way, &reason))
            }
            // An idle connection may have died without our noticing; a new one has not.
            Err(_) if reused => {
                let conn = self.connect().await?;
                match conn.open(way).await {
                    Ok(channel) => Ok((channel, lease(conn))),
                    Err(russh::Error::ChannelOpenFailure(reason)) if !matches!(way, Way::Session) => {
                        Err(self.refused(way, &reason))
                    }
                    Err(why) => Err(self.protocol(&why)),
                }
            }
            Err(why) => Err(self.protocol(&why)),
        }
    }

    /// A new connection for what the device shall listen to; it carries no channel of
    /// ours.
    pub async fn listener(self: &Arc<Self>) -> Result<Lease, DialError> {
        Ok(self.lease(self.connect().await?, None))
    }

    fn lease(self: &Arc<Self>, conn: Conn, place: Option<OwnedSemaphorePermit>) -> Lease {
        Lease { conn: Arc::new(conn), upstream: Arc::clone(self), bound: false, _place: place }
    }

    fn protocol(&self, why: &russh::Error) -> DialError {
        let why = match why {
            russh::Error::ConnectionTimeout => "it opened no channel within its time".to_owned(),
            other => other.to_string(),
        };
        DialError::Protocol { device: self.route.device(), why }
    }

    fn refused(&self, way: &Way, reason: &ChannelOpenFailure) -> DialError {
        let why = match reason {
            ChannelOpenFailure::AdministrativelyProhibited => "its sshd does not permit it",
            ChannelOpenFailure::ConnectFailed => "nothing answers there",
            _ => "its sshd refuses",
        };
        DialError::Forward { device: self.route.device(), to: way.to(), why }
    }

    /// Closes the idle connections; those in use close when their channels do.
    pub fn close(&self) {
        self.open.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Ends a connection without waiting for a device that may not answer.
fn goodbye(handle: client::Handle<DeviceHandler>) {
    tokio::spawn(async move {
        let leave = handle.disconnect(Disconnect::ByApplication, "the session is over", "en");
        let _ = tokio::time::timeout(Duration::from_secs(1), leave).await;
    });
}

impl Lease {
    /// What the device opens on the connection comes out here. It will open more even
    /// after the channel, so the connection is not used again.
    pub fn receive(&mut self) -> mpsc::Receiver<DeviceChannel> {
        self.bound = true;
        self.conn.reception.open()
    }

    /// Says whether the channel is a terminal's: its floods are read by the gathering.
    pub fn carries_terminal(&self, terminal: bool) {
        self.conn.terminal.set(terminal);
    }

    /// The connection; it lives as long as somebody holds it.
    pub fn conn(&self) -> Arc<Conn> {
        Arc::clone(&self.conn)
    }

    /// The channel closed in order: its connection can carry another.
    pub fn give_back(self) {
        let Self { conn, upstream, bound, _place } = self;
        if bound || upstream.open.is_closed() {
            return;
        }
        if let Some(conn) = Arc::into_inner(conn) {
            let mut idle = upstream.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push_back(conn);
        }
    }
}

/// The device's answer to a request on a channel.
///
/// # Errors
/// When it broke off, or did not answer in time.
pub async fn answer(read: &mut ChannelReadHalf) -> Result<bool, String> {
    let answer = async {
        loop {
            match read.wait().await {
                Some(ChannelMsg::Success) => return Ok(true),
                Some(ChannelMsg::Failure) => return Ok(false),
                Some(ChannelMsg::Close) | None => return Err("the device broke off".to_owned()),
                Some(_) => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, answer)
        .await
        .unwrap_or_else(|_| Err("the device did not answer in time".to_owned()))
}
