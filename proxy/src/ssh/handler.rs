//! One client connection: russh's callbacks, turned into what the gate does.
//!
//! Nothing here waits for a device or for another channel: a callback that waits
//! holds up its whole connection. What channels do goes into their inboxes, and a
//! task of each channel's own takes it from there. What a login does is boxed: russh
//! keeps a callback's future as part of the connection's, for as long as that lives.

mod entry;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use russh::keys::Certificate;
use russh::server::{Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Pty, Sig};
use tidegate_common::audit::{Event, ForwardKind, LoginMethod, Note};
use tidegate_common::name::{CredentialName, DeviceName, Login, UserName};
use tokio::sync::{RwLock, watch};

use super::door::{Door, Screen, Step};
use super::inbox::{Inbox, window_target};
use super::program::{Control, Program, Size, Terminal};
use super::relay;
use super::upstream::MOST_CHANNELS;
use super::{Gate, Standing, jump};
use crate::session::Held;

/// The most environment variables a channel may set, and the longest value.
const MOST_ENV: usize = 64;
const LONGEST_ENV: usize = 4096;

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The protocol.
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    /// The client ignores its window.
    #[error(transparent)]
    Flood(#[from] super::inbox::Flood),
    /// The log.
    #[error("{0}")]
    Audit(#[from] crate::audit_log::AuditError),
    /// The client tried too often.
    #[error("too many wrong keys or answers")]
    Attempts,
}

/// Where a connection comes in.
#[derive(Debug, Clone)]
pub enum Entrance {
    /// From the network: nobody is proved.
    Front,
    /// Inside a `direct-tcpip` channel of a proved user, towards a device.
    Jump {
        /// The user.
        user: UserName,
        /// The device.
        device: DeviceName,
    },
}

/// How far a connection has come.
enum State {
    /// Nobody is proved.
    Unproved,
    /// A user is proved; policy wants something.
    Asking(Box<Door>),
    /// A session.
    Session(Held),
    /// No target: the console, and jumps.
    Console(UserName),
    /// Policy says no; the sentence answers every channel.
    Refused(String),
}

struct Chan {
    inbox: Inbox<Control>,
    terminal: Option<Terminal>,
    env: Vec<(String, String)>,
    started: bool,
    /// What waits for the first program, where that is the gate's own console.
    console: Option<Channel<Msg>>,
}

/// The handler of one connection.
pub struct Handler {
    gate: Arc<Gate>,
    origin: IpAddr,
    entrance: Entrance,
    state: State,
    attempts: usize,
    channels: HashMap<ChannelId, Chan>,
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
            attempts: 0,
            channels: HashMap::new(),
            standing,
            relays: Arc::default(),
            told: watch::Sender::new(false),
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        for channel in self.channels.values() {
            channel.inbox.close();
        }
    }
}

fn rejection(sentence: &str) -> ChannelOpenFailure {
    // SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, 5.1), with a reason to read.
    ChannelOpenFailure::Other { code: 1, reason: sentence.to_owned() }
}

impl russh::server::Handler for Handler {
    type Error = HandlerError;

    async fn auth_none(&mut self, name: &str) -> Result<Auth, HandlerError> {
        let Entrance::Jump { user, device } = &self.entrance else {
            return Ok(Auth::Reject {
                proceed_with_methods: Some(MethodSet::from(&[MethodKind::PublicKey][..])),
                partial_success: false,
            });
        };
        if !matches!(self.state, State::Unproved) {
            return self.rejected();
        }
        match name.parse() {
            Ok(account) => {
                let target = CredentialName { account, device: device.clone() };
                Box::pin(self.knock(user.clone(), target)).await
            }
            Err(_) => self.rejected(),
        }
    }

    async fn auth_publickey_offered(
        &mut self,
        name: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, HandlerError> {
        let known = name.parse::<Login>().is_ok_and(|login| self.gate.has_key(&login.user, offer.public_key));
        if known && matches!(self.state, State::Unproved) { Ok(Auth::Accept) } else { Ok(Auth::reject()) }
    }

    async fn auth_publickey(&mut self, name: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, HandlerError> {
        let login = match name.parse::<Login>() {
            Ok(login) if matches!(self.state, State::Unproved) => login,
            _ => return self.rejected(),
        };
        if !self.gate.has_key(&login.user, key.public_key) {
            return self.rejected();
        }
        let shown = super::keys::fingerprint(key.public_key);
        Box::pin(self.proved(login, LoginMethod::PublicKey, shown)).await
    }

    async fn auth_openssh_certificate(
        &mut self,
        name: &str,
        certificate: &Certificate,
    ) -> Result<Auth, HandlerError> {
        let login = match name.parse::<Login>() {
            Ok(login) if matches!(self.state, State::Unproved) => login,
            _ => return self.rejected(),
        };
        match self.gate.takes_certificate(&login.user, certificate, self.origin) {
            Ok(()) => {
                let shown = format!("{} serial {}", certificate.key_id(), certificate.serial());
                Box::pin(self.proved(login, LoginMethod::Certificate, shown)).await
            }
            Err(why) => {
                let event = Event::LoginRefused { user: Note::new(name), why: Note::new(why.to_string()) };
                self.gate.audit.append(event.by_user(&login.user, self.origin)).await?;
                self.rejected()
            }
        }
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, HandlerError> {
        let answers = response.map(|response| {
            response.take(8).map(|answer| String::from_utf8_lossy(&answer).into_owned()).collect::<Vec<_>>()
        });
        let State::Asking(mut door) = std::mem::replace(&mut self.state, State::Unproved) else {
            return self.rejected();
        };
        let step = match answers {
            None => Step::Ask(door.screen()),
            Some(answers) => Box::pin(door.answer(answers)).await?,
        };
        Ok(match self.settle(step, door) {
            None => Auth::Accept,
            Some(Screen { instructions, prompts }) => Auth::Partial {
                name: Cow::Borrowed(""),
                instructions: Cow::Owned(instructions),
                prompts: prompts.into_iter().map(|prompt| (Cow::Owned(prompt), true)).collect(),
            },
        })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        let id = channel.id();
        if self.channels.len() >= MOST_CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let inbox = Inbox::default();
        let mut console = None;
        match &self.state {
            State::Unproved | State::Asking(_) => return Ok(()),
            State::Refused(sentence) => {
                reply.reject(rejection(sentence)).await;
                return Ok(());
            }
            State::Console(_) => {
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
                let handle = session.handle();
                let client = relay::Client { id, write, handle, inbox: inbox.clone(), answered: false };
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
        let chan = Chan { inbox, terminal: None, env: Vec::new(), started: false, console };
        self.channels.insert(id, chan);
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        let user = match (&self.entrance, &self.state) {
            (Entrance::Front, State::Console(user)) => Some(user.clone()),
            _ => None,
        };
        match (user, jump::device(host, port)) {
            (Some(user), Some(device)) if self.channels.len() < MOST_CHANNELS => {
                let id = channel.id();
                let inbox = Inbox::default();
                let chan = Chan {
                    inbox: inbox.clone(),
                    terminal: None,
                    env: Vec::new(),
                    started: true,
                    console: None,
                };
                self.channels.insert(id, chan);
                reply.accept().await;
                let (gate, address) = (Arc::clone(&self.gate), SocketAddr::new(self.origin, 0));
                tokio::spawn(jump::inside(gate, user, device, address, channel, inbox));
            }
            _ => {
                self.forward_refused(ForwardKind::DirectTcpip, format!("{host}:{port}")).await?;
                reply.reject(rejection("forwards are not permitted here; jump to a device's port 22")).await;
            }
        }
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        self.forward_refused(ForwardKind::DirectStreamlocal, path.to_owned()).await?;
        reply.reject(rejection("forwards are not permitted here")).await;
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        _: &mut Session,
    ) -> Result<bool, HandlerError> {
        self.forward_refused(ForwardKind::TcpipForward, format!("{address}:{port}")).await?;
        Ok(false)
    }

    async fn streamlocal_forward(&mut self, path: &str, _: &mut Session) -> Result<bool, HandlerError> {
        self.forward_refused(ForwardKind::StreamlocalForward, path.to_owned()).await?;
        Ok(false)
    }

    async fn agent_request(&mut self, _: ChannelId, _: &mut Session) -> Result<bool, HandlerError> {
        self.forward_refused(ForwardKind::Agent, String::new()).await?;
        Ok(false)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        self.forward_refused(ForwardKind::X11, String::new()).await?;
        Ok(session.channel_failure(id)?)
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
        match self.channels.get_mut(&id).filter(|channel| allowed && channel.env.len() < MOST_ENV) {
            Some(channel) => {
                channel.env.push((name.to_owned(), value.to_owned()));
                Ok(session.channel_success(id)?)
            }
            None => Ok(session.channel_failure(id)?),
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
        self.control(id, Control::WindowChange(size))
    }

    async fn signal(&mut self, id: ChannelId, signal: Sig, _: &mut Session) -> Result<(), HandlerError> {
        self.control(id, Control::Signal(signal))
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> Result<(), HandlerError> {
        if let Some(channel) = self.channels.get(&id) {
            channel.inbox.push_data(data).await?;
        }
        Ok(())
    }

    fn adjust_window(&mut self, id: ChannelId, _: u32) -> u32 {
        let own = self.channels.get(&id).map(|channel| channel.inbox.backlog()).unwrap_or_default();
        window_target(own, self.largest_backlog())
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut Session) -> Result<(), HandlerError> {
        if let Some(channel) = self.channels.get(&id) {
            channel.inbox.push_eof();
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
