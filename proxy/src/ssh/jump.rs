//! `ssh -J operator@gate ops@db01`: the stream to the device's port 22 ends in an
//! SSH server inside the gate, so what runs through it is admitted, recorded and
//! audited like everything else.
//!
//! The user is the one that the outer connection proved, so the inner server takes
//! `none`, and the keys of that user from clients that know no `none` (paramiko); either
//! way the session rests on the outer proof. The account is the inner user name. It shows a certificate of the gate's
//! host CA for the name that the client asked for, whether such a device exists or
//! not: that is told by nothing before policy has spoken.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use russh::Channel;
use russh::server::Msg;
use tidegate_common::name::DeviceName;
use tidegate_common::policy::Proved;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::handler::Entrance;
use super::{Gate, serve, server_config};
use crate::inbox::{Inbox, Reader};
use crate::relay::Control;

/// The port that means a device's sshd.
const SSH: u32 = 22;

/// The device that a `direct-tcpip` open names, if it can name one.
pub fn device(host: &str, port: u32) -> Option<DeviceName> {
    (port == SSH).then(|| host.parse().ok()).flatten()
}

/// Serves the SSH connection inside a channel until it ends.
pub async fn inside(
    gate: Arc<Gate>,
    proved: Proved,
    device: DeviceName,
    address: SocketAddr,
    channel: Channel<Msg>,
    inbox: Inbox<Control>,
) {
    let certificates = match gate.keys.host_certificate(device.as_str()) {
        Ok(certificate) => vec![certificate],
        Err(error) => {
            tracing::error!(%error, "no host certificate could be made");
            return;
        }
    };
    let config = server_config(&gate, certificates);
    let (_, write) = channel.split();
    let stream = Stream { read: Reader(inbox.clone()), write: Box::pin(write.make_writer()) };
    serve(gate, config, stream, address, Entrance::Jump { proved, device }, None).await;
    let _ = write.eof().await;
    let _ = write.close().await;
    inbox.close();
}

/// A channel as a byte stream.
struct Stream {
    read: Reader<Control>,
    write: Pin<Box<dyn AsyncWrite + Send>>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.read).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.write.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.write.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.write.as_mut().poll_shutdown(context)
    }
}
