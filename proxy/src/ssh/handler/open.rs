//! Channels that a client opens, and those that it accepts.

use std::net::SocketAddr;
use std::sync::Arc;

use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tidegate_common::audit::{ChannelKind, Event, Note};

use super::super::client_channel::SshChannel;
use super::super::forward::Local;
use super::super::jump;
use super::{Chan, Entrance, Handler, HandlerError, State};
use crate::inbox::Inbox;
use crate::relay::{self, Client, Control};
use crate::upstream::{DialError, MOST_CHANNELS, Way};

fn rejection(sentence: &str) -> ChannelOpenFailure {
    // SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, 5.1), with a reason to read.
    ChannelOpenFailure::Other { code: 1, reason: sentence.to_owned() }
}

/// Commands and jumps that a connection to no target may have at once.
const MOST_JUMPS: usize = 16;

/// The answer to one channel too many, and its sentence.
fn shortage(state: &State) -> (ChannelOpenFailure, String) {
    let why = match state {
        State::Session(_) => DialError::Channels.to_string(),
        _ => format!(
            "this connection has {MOST_JUMPS} commands and jumps open, the most there may be; close one first"
        ),
    };
    // SSH_OPEN_RESOURCE_SHORTAGE (RFC 4254, 5.1), with a reason to read.
    (ChannelOpenFailure::Other { code: 4, reason: why.clone() }, why)
}

impl Handler {
    /// Whether one more channel fits. Those that are over make room: a channel that was
    /// refused by a task of its own never comes to be closed.
    fn has_room(&mut self) -> bool {
        self.channels.retain(|_, channel| !channel.inbox.is_closed());
        // Each jump is a connection with channels of its own.
        let most = if matches!(self.state, State::Session(_)) { MOST_CHANNELS } else { MOST_JUMPS };
        self.channels.len() < most
    }

    /// Lists a channel that no program is started on, where one more fits.
    fn enter(&mut self, id: ChannelId) -> Option<Inbox<Control>> {
        self.has_room().then(|| {
            let inbox = Inbox::default();
            self.channels.insert(id, Chan::forward(inbox.clone()));
            inbox
        })
    }

    /// Tells the log of a session's channel that is refused.
    async fn refuse_channel(&self, why: &str) -> Result<(), HandlerError> {
        if let State::Session(held) = &self.state {
            let (session, kind) = (held.id, ChannelKind::Other);
            let event = Event::ChannelRefused { session, kind, why: Note::new(why) };
            self.gate.audit.append(event.by_user(held.permit.user(), self.origin)).await?;
        }
        Ok(())
    }

    pub(super) async fn open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        client: Handle,
    ) -> Result<(), HandlerError> {
        let id = channel.id();
        if !self.has_room() {
            self.count_refusal();
            let (answer, why) = shortage(&self.state);
            self.refuse_channel(&why).await?;
            reply.reject(answer).await;
            return Ok(());
        }
        if !matches!(self.state, State::Unproved | State::Code | State::Asking(_) | State::Refused(_))
            && let Err(why) = self.still_in()
        {
            self.refuse_channel(&why).await?;
            reply.reject(rejection(&why)).await;
            return Ok(());
        }
        let inbox = Inbox::default();
        let mut console = None;
        match &self.state {
            State::Unproved | State::Code | State::Asking(_) => return Ok(()),
            State::Refused(sentence) => {
                reply.reject(rejection(sentence)).await;
                self.count_refusal();
                return Ok(());
            }
            State::Console => {
                reply.accept().await;
                console = Some(channel);
            }
            State::Session(held) => {
                let Ok(relaying) = Arc::clone(&self.relays).try_read_owned() else {
                    reply.reject(rejection("the session is over")).await;
                    return Ok(());
                };
                reply.accept().await;
                let (_, write) = channel.split();
                let inbox = inbox.clone();
                let client = Client { channel: SshChannel { id, write, handle: client }, inbox };
                let phase = held.phase();
                let told = self.told.clone();
                tokio::spawn(async move {
                    if relay::serve(client, phase).await {
                        told.send_replace(true);
                    }
                    drop(relaying);
                });
            }
        }
        self.channels.insert(id, Chan { started: false, console, ..Chan::forward(inbox) });
        Ok(())
    }

    /// A `direct-tcpip` open: a jump to a device, or a forward of a session.
    pub(super) async fn open_tcpip(
        &mut self,
        way: Way,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        client: Handle,
    ) -> Result<(), HandlerError> {
        let device = match (&self.entrance, &way) {
            (Entrance::Front, Way::Tcpip { host, port, .. }) => jump::device(host, *port),
            _ => None,
        };
        let (State::Console, Some(proved), Some(device)) = (&self.state, self.proved.clone(), device) else {
            return self.open_forward(way, channel, reply, client).await;
        };
        if let Err(why) = self.still_in() {
            self.refuse_forward(&Local::about(&way), None, &why).await?;
            reply.reject(rejection(&why)).await;
            return Ok(());
        }
        let Ok(relaying) = Arc::clone(&self.relays).try_read_owned() else {
            reply.reject(rejection("the connection is about to end")).await;
            return Ok(());
        };
        let Some(inbox) = self.enter(channel.id()) else {
            self.count_refusal();
            let (answer, why) = shortage(&self.state);
            self.refuse_forward(&Local::about(&way), None, &why).await?;
            reply.reject(answer).await;
            return Ok(());
        };
        reply.accept().await;
        let (gate, address) = (Arc::clone(&self.gate), SocketAddr::new(self.origin, 0));
        tokio::spawn(async move {
            jump::inside(gate, proved, device, address, channel, inbox).await;
            drop(relaying);
        });
        Ok(())
    }

    pub(super) async fn open_forward(
        &mut self,
        way: Way,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        client: Handle,
    ) -> Result<(), HandlerError> {
        let about = Local::about(&way);
        match self.admit_forward(&about, client).await? {
            Err(sentence) => {
                self.count_refusal();
                reply.reject(rejection(&sentence)).await;
            }
            Ok(context) => match self.enter(channel.id()) {
                Some(inbox) => {
                    tokio::spawn(Local { context, way, channel, reply, inbox }.run());
                }
                None => {
                    self.count_refusal();
                    let (answer, why) = shortage(&self.state);
                    context.refused(&about, &why).await;
                    reply.reject(answer).await;
                }
            },
        }
        Ok(())
    }

    /// The client accepted a channel that a forward opens to it.
    pub(super) fn arrived(&mut self, id: ChannelId) {
        // A client may confirm what is open already.
        if matches!(self.state, State::Session(_)) && !self.channels.contains_key(&id) {
            match self.arrivals.arrive(id) {
                Some(inbox) => {
                    self.channels.insert(id, Chan::forward(inbox));
                }
                None => self.cut(&"confirms channels that nobody opened"),
            }
        }
    }
}
