//! `ssh -L`, `-D` and `-W`: a connection that the client opens and the device's sshd
//! makes.

use std::sync::Arc;

use russh::server::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure, client};
use tidegate_common::audit::ForwardKind;
use tidegate_common::model::Forward;

use super::relay::{Ends, FromDevice};
use super::{About, Closed, Context};
use crate::inbox::Inbox;
use crate::relay::Control;
use crate::session::Open;
use crate::upstream::{Lease, Way};

/// SSH_OPEN_CONNECT_FAILED (RFC 4254, 5.1).
const CONNECT_FAILED: u32 = 2;

/// A channel that a client wants.
pub struct Local {
    /// Its session.
    pub context: Context,
    /// Where it shall lead.
    pub way: Way,
    /// The channel on the client's connection.
    pub channel: Channel<Msg>,
    /// The answer.
    pub reply: ChannelOpenHandle,
    /// What the client sends on it.
    pub inbox: Inbox<Control>,
}

impl Local {
    /// How the log calls it.
    pub fn about(way: &Way) -> About {
        let (kind, from) = match way {
            Way::Tcpip { from, from_port, .. } => {
                (ForwardKind::DirectTcpip, Some(format!("{from}:{from_port}")))
            }
            Way::Streamlocal { .. } | Way::Session => (ForwardKind::DirectStreamlocal, None),
        };
        About { forward: Forward::Local, kind, to: way.to(), from }
    }

    /// Serves it until it closes.
    pub async fn run(self) {
        let Self { context, way, channel, reply, inbox } = self;
        let about = Self::about(&way);
        let (open, device, lease) = match dial(&context, &about, &way).await {
            Ok(dialled) => dialled,
            Err(why) => {
                inbox.close();
                return reply.reject(ChannelOpenFailure::Other { code: CONNECT_FAILED, reason: why }).await;
            }
        };
        let (_, client) = channel.split();
        let (read, write) = device.split();
        let ends = Ends { inbox: inbox.clone(), client, from: FromDevice::Own(read), device: write };
        if ends.carry(&context, &open, &about, reply.accept()).await {
            lease.give_back();
        }
    }
}

/// Waits for the session, tells the log and has the device connect.
async fn dial(
    context: &Context,
    about: &About,
    way: &Way,
) -> Result<(Arc<Open>, Channel<client::Msg>, Lease), String> {
    let begun = async {
        let open = context.open().await?;
        context.opens(about).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(open)
    };
    let open = match begun.await {
        Ok(open) => open,
        Err(why) => {
            context.refused(about, &why).await;
            return Err(why);
        }
    };
    let dialled = tokio::select! {
        why = context.ended(about.forward) => Err(why),
        dialled = Box::pin(open.upstream.open_to(way)) => dialled.map_err(|error| error.to_string()),
    };
    match dialled {
        Ok((channel, lease)) => Ok((open, channel, lease)),
        Err(why) => {
            context.closed(about, Closed { why: Some(why.clone()), ..Closed::default() }).await;
            Err(why)
        }
    }
}
