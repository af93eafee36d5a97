//! One client connection: russh's callbacks, turned into what the gate does.
//!
//! Nothing here waits for a device or for another channel: a callback that waits
//! holds up its whole connection. What channels do goes into their inboxes, and a
//! task of each channel's own takes it from there. What a login does is boxed: russh
//! keeps a callback's future as part of the connection's, for as long as that lives.

mod entry;
mod forwards;
mod login;
mod open;
mod state;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use russh::keys::Certificate;
use russh::server::{Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, Pty, Sig};
use tidegate_common::policy::Proved;
use tokio::sync::{RwLock, watch};
use tokio::task::AbortHandle;

use super::forward::{Arrivals, ListenAddress, Listener, X11};
use super::{Gate, Standing};
use crate::allowance::Allowance;
use crate::inbox::window_target;
use crate::relay::{Control, Program, Size, Terminal};
use crate::upstream::Way;

use state::{Chan, State};
pub use state::{Entrance, HandlerError};

/// The most environment variables a channel may set, the longest name and value.
const MOST_ENV: usize = 64;
const LONGEST_ENV_NAME: usize = 256;
const LONGEST_ENV: usize = 4096;
/// The longest name of a signal (RFC 4254, 6.10; RFC 4250, 4.6.1).
const LONGEST_SIGNAL: usize = 64;

/// The handler of one connection.
pub struct Handler {
    gate: Arc<Gate>,
    origin: IpAddr,
    entrance: Entrance,
    state: State,
    /// Who has logged in, and what with.
    proved: Option<Proved>,
    /// Ends the connection with its log-in.
    leaving: Option<AbortHandle>,
    attempts: usize,
    refusals: Allowance,
    channels: HashMap<ChannelId, Chan>,
    listeners: Vec<Listener>,
    arrivals: Arrivals,
    standing: watch::Sender<Standing>,
    /// Held for reading by every channel's task, so that the connection can wait
    /// until each has told its user why the session is over.
    relays: Arc<RwLock<()>>,
    /// Whether any channel has told its user how it ended.
    told: watch::Sender<bool>,
}

impl Handler {
    /// A handler for a connection from `origin`.
    pub fn new(
        gate: Arc<Gate>,
        origin: IpAddr,
        entrance: Entrance,
        standing: watch::Sender<Standing>,
    ) -> Self {
        Self {
            gate,
            origin,
            entrance,
            state: State::Unproved,
            proved: None,
            leaving: None,
            attempts: 0,
            refusals: Allowance::default(),
            channels: HashMap::new(),
            listeners: Vec::new(),
            arrivals: Arrivals::default(),
            standing,
            relays: Arc::default(),
            told: watch::Sender::new(false),
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.stay();
        for channel in self.channels.values() {
            channel.inbox.close();
        }
    }
}

impl russh::server::Handler for Handler {
    type Error = HandlerError;

    async fn auth_none(&mut self, name: &str) -> Result<Auth, HandlerError> {
        self.none(name).await
    }

    async fn auth_publickey_offered(
        &mut self,
        name: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, HandlerError> {
        self.offered(name, offer.public_key)
    }

    async fn auth_publickey(&mut self, name: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, HandlerError> {
        self.key(name, key.public_key).await
    }

    async fn auth_openssh_certificate(
        &mut self,
        name: &str,
        certificate: &Certificate,
    ) -> Result<Auth, HandlerError> {
        self.certificate(name, certificate).await
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        name: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, HandlerError> {
        // One thing is asked at a time.
        let typed = response.map(|mut response| {
            response.next().map(|typed| String::from_utf8_lossy(&typed).into_owned()).unwrap_or_default()
        });
        self.answer(name, typed).await
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        self.open_session(channel, reply, session.handle()).await
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        let (host, from) = (host.to_owned(), from.to_owned());
        let way = Way::Tcpip { host, port, from, from_port };
        Box::pin(self.open_tcpip(way, channel, reply, session.handle())).await
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        let way = Way::Streamlocal { path: path.to_owned() };
        Box::pin(self.open_forward(way, channel, reply, session.handle())).await
    }

    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _: u32,
        _: u32,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        self.arrived(id);
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, HandlerError> {
        let place = ListenAddress::Tcpip { address: address.to_owned(), port: *port };
        match Box::pin(self.listen(place, session.handle())).await? {
            Some(ListenAddress::Tcpip { port: bound, .. }) => *port = bound,
            Some(ListenAddress::Streamlocal { .. }) => {}
            None => return Ok(false),
        }
        Ok(true)
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _: &mut Session,
    ) -> Result<bool, HandlerError> {
        Ok(self.cancel_listener(&ListenAddress::Tcpip { address: address.to_owned(), port }))
    }

    async fn streamlocal_forward(&mut self, path: &str, session: &mut Session) -> Result<bool, HandlerError> {
        let place = ListenAddress::Streamlocal { path: path.to_owned() };
        Ok(Box::pin(self.listen(place, session.handle())).await?.is_some())
    }

    async fn cancel_streamlocal_forward(
        &mut self,
        path: &str,
        _: &mut Session,
    ) -> Result<bool, HandlerError> {
        Ok(self.cancel_listener(&ListenAddress::Streamlocal { path: path.to_owned() }))
    }

    async fn agent_request(&mut self, id: ChannelId, session: &mut Session) -> Result<bool, HandlerError> {
        Box::pin(self.ask(id, None, session.handle())).await
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        single: bool,
        protocol: &str,
        cookie: &str,
        screen: u32,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        let (protocol, cookie) = (protocol.to_owned(), cookie.to_owned());
        let x11 = X11 { single, protocol, cookie, screen };
        if Box::pin(self.ask(id, Some(x11), session.handle())).await? {
            Ok(session.channel_success(id)?)
        } else {
            Ok(session.channel_failure(id)?)
        }
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        pixel_width: u32,
        pixel_height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        let size = Size { columns, rows, pixel_width, pixel_height };
        let plain = term.len() <= 128 && term.chars().all(|letter| letter.is_ascii_graphic());
        match self.channels.get_mut(&id).filter(|channel| plain && !channel.started) {
            Some(channel) => {
                channel.terminal = Some(Terminal { term: term.to_owned(), size, modes: modes.to_vec() });
                Ok(session.channel_success(id)?)
            }
            None => Ok(session.channel_failure(id)?),
        }
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        let allowed = self.allows_env(name, value);
        if self.channels.get_mut(&id).is_some_and(|channel| allowed && channel.set_env(name, value)) {
            Ok(session.channel_success(id)?)
        } else {
            Ok(session.channel_failure(id)?)
        }
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), HandlerError> {
        self.start(id, Program::Shell, session)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        self.start(id, Program::Exec(command.to_vec()), session)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        self.start(id, Program::Subsystem(name.to_owned()), session)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        pixel_width: u32,
        pixel_height: u32,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        let size = Size { columns, rows, pixel_width, pixel_height };
        self.control(id, Control::WindowChange(size));
        Ok(())
    }

    async fn signal(&mut self, id: ChannelId, signal: Sig, _: &mut Session) -> Result<(), HandlerError> {
        // A longer name is none that a device could know.
        if !matches!(&signal, Sig::Custom(name) if name.len() > LONGEST_SIGNAL) {
            self.control(id, Control::Signal(signal));
        }
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> Result<(), HandlerError> {
        if let Some(channel) = self.channels.get(&id)
            && let Err(breach) = channel.inbox.push_data(data).await
        {
            self.cut(&breach);
        }
        Ok(())
    }

    fn adjust_window(&mut self, id: ChannelId, current: u32) -> u32 {
        let own = self.channels.get(&id).map(|channel| {
            channel.inbox.tops_up(current);
            channel.inbox.load()
        });
        let all = self.channels.values().map(|channel| channel.inbox.load());
        window_target(own.unwrap_or_default(), all)
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut Session) -> Result<(), HandlerError> {
        if let Some(channel) = self.channels.get(&id)
            && let Err(breach) = channel.inbox.push_eof()
        {
            self.cut(&breach);
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), HandlerError> {
        if let Some(channel) = self.channels.remove(&id) {
            channel.inbox.close();
        }
        Ok(())
    }
}
