//! `ssh -R`: the device's sshd listens, each listener on a connection of its own, and
//! what connects there is let through to the client.

use std::sync::Arc;
use std::time::Duration;

use tidegate_common::audit::ForwardKind;
use tidegate_common::model::Forward;
use tokio::sync::{mpsc, oneshot};

use super::device_channels::{Expected, attend};
use super::{About, Closed, Context};
use crate::session::Open;
use crate::upstream::{Conn, DeviceChannel, Lease};

/// The most listeners of one session.
pub const MOST_LISTENERS: usize = 16;
/// How long a client waits for its listener, the session's opening included. Its other
/// channels wait as well: global requests are answered in order (RFC 4254, 4).
const DEADLINE: Duration = Duration::from_secs(30);

/// Where a device shall listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// On a port; 0 stands for any that is free (RFC 4254, 7.1).
    Tcpip { address: String, port: u32 },
    /// On a socket (OpenSSH PROTOCOL, 2.4).
    Streamlocal { path: String },
}

impl ListenAddress {
    /// How the log calls it.
    pub fn about(&self) -> About {
        let (kind, to) = match self {
            Self::Tcpip { address, port } => (ForwardKind::TcpipForward, format!("{address}:{port}")),
            Self::Streamlocal { path } => (ForwardKind::StreamlocalForward, path.clone()),
        };
        About { forward: Forward::Remote, kind, to, from: None }
    }

    async fn ask(&self, conn: &Conn) -> Result<Self, russh::Error> {
        let handle = conn.handle()?;
        Ok(match self {
            Self::Tcpip { address, port } => {
                let bound = handle.tcpip_forward(address.as_str(), *port).await?;
                let port = if *port == 0 { bound } else { *port };
                Self::Tcpip { address: address.clone(), port }
            }
            Self::Streamlocal { path } => {
                handle.streamlocal_forward(path.as_str()).await?;
                self.clone()
            }
        })
    }

    async fn cancel(&self, conn: &Conn) -> Result<(), russh::Error> {
        let handle = conn.handle()?;
        match self {
            Self::Tcpip { address, port } => handle.cancel_tcpip_forward(address.as_str(), *port).await,
            Self::Streamlocal { path } => handle.cancel_streamlocal_forward(path.as_str()).await,
        }
    }

    fn expected(&self) -> Expected {
        match self.clone() {
            Self::Tcpip { address, port } => Expected::Tcpip { address, port },
            Self::Streamlocal { path } => Expected::Streamlocal { path },
        }
    }
}

/// A place where the device listens for the session.
#[derive(Debug)]
pub struct Listener {
    /// The port is the one that was bound.
    pub place: ListenAddress,
    cancel: Option<oneshot::Sender<()>>,
}

impl Listener {
    /// Whether the device still listens, as far as we know.
    pub fn is_live(&self) -> bool {
        self.cancel.as_ref().is_some_and(|cancel| !cancel.is_closed())
    }

    /// Nothing more is taken in; what has connected stays.
    pub fn cancel(mut self) {
        if let Some(cancel) = self.cancel.take() {
            let _ = cancel.send(());
        }
    }

    /// Makes the device listen.
    ///
    /// # Errors
    /// A sentence.
    pub async fn start(context: Context, place: ListenAddress) -> Result<Self, String> {
        let about = place.about();
        let within = async {
            let open = context.open().await?;
            context.opens(&about).await.map_err(|error| error.to_string())?;
            Ok(open)
        };
        let late = |_| "the device took too long".to_owned();
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let open = match tokio::time::timeout_at(deadline, within).await.map_err(late).flatten() {
            Ok(open) => open,
            Err(why) => {
                context.refused(&about, &why).await;
                return Err(why);
            }
        };
        let listening = tokio::select! {
            why = context.ended(Forward::Remote) => Err(why),
            listening = tokio::time::timeout_at(deadline, Box::pin(listen(&open, &place))) => {
                listening.map_err(late).flatten()
            }
        };
        match listening {
            Ok((place, lease, device_channels)) => {
                let (cancel, cancelled) = oneshot::channel();
                let listener = Self { place: place.clone(), cancel: Some(cancel) };
                tokio::spawn(serve(context, open, place, lease, device_channels, cancelled));
                Ok(listener)
            }
            Err(why) => {
                context.closed(&about, Closed { why: Some(why.clone()), ..Closed::default() }).await;
                Err(why)
            }
        }
    }
}

async fn listen(
    open: &Arc<Open>,
    place: &ListenAddress,
) -> Result<(ListenAddress, Lease, mpsc::Receiver<DeviceChannel>), String> {
    let mut lease = open.upstream.listener().await.map_err(|error| error.to_string())?;
    let device_channels = lease.receive();
    let refused = |_| "the device's sshd refuses to listen there".to_owned();
    let place = place.ask(&lease.conn()).await.map_err(refused)?;
    Ok((place, lease, device_channels))
}

async fn serve(
    context: Context,
    open: Arc<Open>,
    place: ListenAddress,
    lease: Lease,
    mut device_channels: mpsc::Receiver<DeviceChannel>,
    cancelled: oneshot::Receiver<()>,
) {
    let conn = lease.conn();
    let about = place.about();
    let why = tokio::select! {
        biased;
        why = context.ended(Forward::Remote) => Some(why),
        () = attend(&context, &open, Arc::downgrade(&conn), place.expected(), &mut device_channels) => {
            Some("the device closed the connection".to_owned())
        }
        // Nobody cancels when the client's connection ends: its session does that.
        Ok(()) = cancelled => {
            let _ = tokio::time::timeout(Duration::from_secs(5), place.cancel(&conn)).await;
            None
        }
    };
    // Whoever has connected keeps the connection until they are done.
    drop((conn, lease));
    context.closed(&about, Closed { why, ..Closed::default() }).await;
}
