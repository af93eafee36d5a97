//! What a program is to be given of its user's: an agent to ask, windows to open. Asked
//! for on its channel before it starts; what it then opens comes on the same connection.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use russh::client::Msg;
use russh::{ChannelId, ChannelReadHalf, ChannelWriteHalf};
use tidegate_common::audit::ForwardKind;
use tidegate_common::model::Forward;

use super::device_channels::{Expected, Windows, attend};
use super::{About, Closed, Context};
use crate::relay::Forwarded;
use crate::session::Open;
use crate::upstream::{Lease, answer};

/// stderr, as `SSH_MSG_CHANNEL_EXTENDED_DATA` numbers it (RFC 4254, 5.2).
const STDERR: u32 = 1;

/// A request for X11 (RFC 4254, 6.3.1). The cookie is passed on as it is.
#[derive(Clone)]
pub struct X11 {
    /// Whether one window is all.
    pub single: bool,
    /// How windows prove themselves, and with what.
    pub protocol: String,
    pub cookie: String,
    /// Which screen.
    pub screen: u32,
}

impl X11 {
    /// Whether its texts are of a size and kind that such texts have.
    pub fn is_plain(&self) -> bool {
        self.protocol.len() <= 64
            && self.protocol.bytes().all(|byte| byte.is_ascii_graphic())
            && self.cookie.len() <= 512
            && self.cookie.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// What was asked for on one channel.
pub struct Asked {
    /// For whom.
    pub context: Context,
    /// The channel.
    pub id: ChannelId,
    /// Whether the agent was.
    pub agent: bool,
    /// Whether windows were.
    pub x11: Option<X11>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the cookie.
        f.debug_struct("Asked").field("agent", &self.agent).field("x11", &self.x11.is_some()).finish()
    }
}

fn about(forward: Forward) -> About {
    let (kind, to) = match forward {
        Forward::X11 => (ForwardKind::X11, "the client's display"),
        _ => (ForwardKind::Agent, "the client's agent"),
    };
    About { forward, kind, to: to.to_owned(), from: None }
}

impl Asked {
    /// How the log calls the request for windows, or else for the agent.
    pub fn about(x11: Option<&X11>) -> About {
        about(if x11.is_some() { Forward::X11 } else { Forward::Agent })
    }

    fn forwards(&self) -> impl Iterator<Item = Forward> + use<> {
        let asked = [(Forward::X11, self.x11.is_some()), (Forward::Agent, self.agent)];
        asked.into_iter().filter_map(|(forward, asked)| asked.then_some(forward))
    }
}

impl Forwarded for Asked {
    fn attend<'a>(&'a self, lease: &'a mut Lease, open: &'a Arc<Open>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            for forward in self.forwards() {
                self.context.opens(&about(forward)).await.map_err(|error| error.to_string())?;
            }
            let mut device_channels = lease.receive();
            let x11 = match &self.x11 {
                None => Windows::None,
                Some(X11 { single: true, .. }) => Windows::One,
                Some(_) => Windows::Any,
            };
            let expected = Expected::Program { agent: self.agent, x11 };
            let conn = Arc::downgrade(&lease.conn());
            let (context, open, forwards) = (self.context.clone(), Arc::clone(open), self.forwards());
            tokio::spawn(async move {
                attend(&context, &open, conn, expected, &mut device_channels).await;
                for forward in forwards {
                    context.closed(&about(forward), Closed::default()).await;
                }
            });
            Ok(())
        })
    }

    // Windows first.
    fn request<'a>(&'a self, write: &'a ChannelWriteHalf<Msg>) -> BoxFuture<'a, Result<(), russh::Error>> {
        Box::pin(async move {
            if let Some(X11 { single, protocol, cookie, screen }) = &self.x11 {
                write.request_x11(true, *single, protocol.as_str(), cookie.as_str(), *screen).await?;
            }
            if self.agent {
                write.agent_forward(true).await?;
            }
            Ok(())
        })
    }

    // A program starts without what its sshd refuses, as it would without a gate; its user is told.
    fn answers<'a>(&'a self, read: &'a mut ChannelReadHalf) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            for forward in self.forwards() {
                if answer(read).await? {
                    continue;
                }
                let why = format!("the device's sshd refuses {}", super::plural(forward));
                let line = format!("tidegate: {why}\r\n");
                let _ = self.context.client.extended_data(self.id, STDERR, line).await;
                self.context.refused(&about(forward), &why).await;
            }
            Ok(())
        })
    }
}
