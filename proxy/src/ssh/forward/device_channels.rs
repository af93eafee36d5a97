//! Channels that the device opens: let through to the client when the session asked for
//! such, refused and logged otherwise.

use std::sync::{Arc, Weak};

use russh::server::Msg;
use russh::{Channel, ChannelOpenFailure};
use tidegate_common::model::Forward;
use tokio::sync::mpsc;

use super::relay::{Ends, FromDevice};
use super::{About, Closed, Context};
use crate::session::Open;
use crate::upstream::{Conn, DeviceChannel, DeviceOpen, MOST_UNASKED};

/// What a session asked for on one connection to the device.
#[derive(Debug)]
pub enum Expected {
    /// A port to be listened on; the device names it as it was asked for.
    Tcpip { address: String, port: u32 },
    /// A socket.
    Streamlocal { path: String },
    /// What a program was given.
    Program { agent: bool, x11: Windows },
}

/// How many windows a program may open (RFC 4254, 6.3.1, `single connection`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    None,
    One,
    Any,
}

impl Expected {
    /// Takes a channel that was asked for: which condition it comes under.
    fn take(&mut self, wanted: &DeviceOpen) -> Option<Forward> {
        match (self, wanted) {
            (Self::Tcpip { address, port }, DeviceOpen::Tcpip { address: is, port: at, .. })
                if address == is && port == at =>
            {
                Some(Forward::Remote)
            }
            (Self::Streamlocal { path }, DeviceOpen::Streamlocal { path: is }) if path == is => {
                Some(Forward::Remote)
            }
            (Self::Program { agent: true, .. }, DeviceOpen::Agent) => Some(Forward::Agent),
            (Self::Program { x11: windows @ (Windows::One | Windows::Any), .. }, DeviceOpen::X11 { .. }) => {
                if *windows == Windows::One {
                    *windows = Windows::None;
                }
                Some(Forward::X11)
            }
            _ => None,
        }
    }
}

/// Takes in what the device opens on a connection, until that is gone or the session over.
pub async fn attend(
    context: &Context,
    open: &Arc<Open>,
    conn: Weak<Conn>,
    mut expected: Expected,
    device_channels: &mut mpsc::Receiver<DeviceChannel>,
) {
    let mut unasked = 0;
    while unasked < MOST_UNASKED {
        let opened = tokio::select! {
            opened = device_channels.recv() => opened,
            () = context.over() => None,
        };
        let (Some(opened), Some(conn)) = (opened, conn.upgrade()) else {
            return;
        };
        let forward = expected.take(&opened.wanted);
        let about = About {
            forward: forward.unwrap_or(Forward::Remote),
            kind: opened.wanted.kind(),
            to: opened.wanted.to(),
            from: opened.wanted.from(),
        };
        let why = match forward {
            None => Some("the device opened it and nobody asked for it".to_owned()),
            Some(forward) if !context.allows(forward).await => Some(context.forbidden(forward)),
            Some(_) => None,
        };
        match why {
            Some(why) => {
                unasked += usize::from(forward.is_none());
                context.refused(&about, &why).await;
                opened.inbox.close();
                opened.reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            }
            None => {
                let (context, open) = (context.clone(), Arc::clone(open));
                tokio::spawn(serve(context, open, conn, about, opened));
            }
        }
    }
}

/// Serves one; its connection lives as long.
async fn serve(context: Context, open: Arc<Open>, conn: Arc<Conn>, about: About, opened: DeviceChannel) {
    let DeviceChannel { wanted, inbox: from, write, reply } = opened;
    let begun = async {
        let place = open.upstream.place().map_err(|error| error.to_string())?;
        context.opens(&about).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(place)
    };
    let _place = match begun.await {
        Ok(place) => place,
        Err(why) => {
            from.close();
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return context.refused(&about, &why).await;
        }
    };
    let asked = tokio::select! {
        why = context.ended(about.forward) => Err(why),
        channel = ask(&context, wanted) => channel.map_err(|_| "the client refuses it".to_owned()),
    };
    match asked {
        Ok(channel) => {
            let inbox = context.arrivals.meet(channel.id());
            let (_, client) = channel.split();
            let ends = Ends { inbox, client, from: FromDevice::DeviceChannel(from), device: write };
            ends.carry(&context, &open, &about, reply.accept()).await;
        }
        Err(why) => {
            from.close();
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            context.closed(&about, Closed { why: Some(why), ..Closed::default() }).await;
        }
    }
    drop(conn);
}

/// Opens the same channel to the client.
async fn ask(context: &Context, wanted: DeviceOpen) -> Result<Channel<Msg>, russh::Error> {
    let client = &context.client;
    match wanted {
        DeviceOpen::Tcpip { address, port, from, from_port } => {
            client.channel_open_forwarded_tcpip(address, port, from, from_port).await
        }
        DeviceOpen::Streamlocal { path } => client.channel_open_forwarded_streamlocal(path).await,
        DeviceOpen::Agent => client.channel_open_agent().await,
        DeviceOpen::X11 { from, from_port } => client.channel_open_x11(from, from_port).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcpip(address: &str, port: u32) -> DeviceOpen {
        DeviceOpen::Tcpip { address: address.to_owned(), port, from: "192.0.2.1".to_owned(), from_port: 5 }
    }

    #[test]
    fn a_listener_takes_what_comes_to_its_own_address_and_port_only() {
        let mut expected = Expected::Tcpip { address: "localhost".to_owned(), port: 8080 };
        assert_eq!(expected.take(&tcpip("localhost", 8080)), Some(Forward::Remote));
        for wanted in [tcpip("localhost", 8081), tcpip("", 8080), DeviceOpen::Agent] {
            assert_eq!(expected.take(&wanted), None, "{wanted:?}");
        }
        let mut expected = Expected::Streamlocal { path: "/run/a".to_owned() };
        assert_eq!(
            expected.take(&DeviceOpen::Streamlocal { path: "/run/a".to_owned() }),
            Some(Forward::Remote)
        );
        assert_eq!(expected.take(&DeviceOpen::Streamlocal { path: "/run/b".to_owned() }), None);
    }

    #[test]
    fn a_program_gets_what_it_asked_for_and_a_single_window_once() {
        let window = DeviceOpen::X11 { from: "127.0.0.1".to_owned(), from_port: 1 };
        let mut expected = Expected::Program { agent: false, x11: Windows::One };
        assert_eq!(expected.take(&DeviceOpen::Agent), None);
        assert_eq!(expected.take(&window), Some(Forward::X11));
        assert_eq!(expected.take(&window), None);
        let mut expected = Expected::Program { agent: true, x11: Windows::Any };
        assert_eq!(expected.take(&DeviceOpen::Agent), Some(Forward::Agent));
        assert_eq!(expected.take(&window).and(expected.take(&window)), Some(Forward::X11));
    }
}
