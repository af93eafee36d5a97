//! The link to the proxy. The agent dials; each step has a deadline; a link that
//! is silent for a whole lease is dead and is dialled anew, with growing pauses.

use std::sync::Arc;
use std::time::Duration;

use tidegate_common::wire::{
    Certificate, Decoder, Enrol, FrameError, FromAgent, FromProxy, OLDEST, VERSION, encode, oldest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::{self, TlsError};
use super::{Inbox, Message, link_state};
use crate::clock;
use crate::core::Event;
use crate::identity::{self, Identity, IdentityError, Token};
use crate::paths::Paths;

/// For each of: connecting, the TLS handshake, the first answer, one write.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long something that speaks no TLS may take to say that it is an SSH server.
const BANNER: Duration = Duration::from_secs(2);

/// The pause before the second attempt, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Answers that may wait to be sent.
const OUTBOX: usize = 4096;

/// Why a link ended or never stood.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    #[error("{proxy} cannot be reached: {source}")]
    Connect { proxy: String, source: std::io::Error },
    #[error("{0} did not answer in time")]
    Late(String),
    #[error(
        "TLS with {proxy} failed: {source}; does the host trust this proxy's CA, and do their clocks agree?"
    )]
    Handshake { proxy: String, source: std::io::Error },
    #[error(
        "{0} is an ssh port; agents reach the gate at another, 7443 unless `listen.agents` in its settings says otherwise"
    )]
    Ssh(String),
    #[error(
        "what answers at {0} is not the gate that made this token; compare the address, and take a token from the gate that is there"
    )]
    OtherGate(String),
    #[error("the link broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("the proxy ended the link")]
    Closed,
    #[error("the proxy says: {0}")]
    Goodbye(String),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error(
        "the proxy speaks version {theirs} of the protocol, this agent {OLDEST} to {VERSION}; update the older one"
    )]
    Version { theirs: u16 },
    #[error("the proxy did not answer as expected; is it a Tidegate proxy of this version?")]
    Unexpected,
    #[error("the proxy was silent for a whole lease")]
    Silent,
    #[error("the link was given up: the agent stops, or too many answers waited")]
    Full,
    #[error("{0}")]
    Identity(#[from] IdentityError),
    #[error("{0}")]
    Tls(#[from] TlsError),
}

/// What the link needs.
#[derive(Debug, Clone)]
pub struct Uplink {
    pub proxy: String,
    pub paths: Paths,
    pub inbox: Inbox,
}

impl Uplink {
    /// Keeps a link up for ever.
    pub async fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let mut welcomed = false;
            let ended = self.link(&mut welcomed).await;
            if self.inbox.send(Message::Unlinked).await.is_err() {
                return;
            }
            if let Err(error) = ended {
                tracing::warn!(proxy = %self.proxy, "{error}");
                link_state::lost(&self.paths, &self.proxy, error.to_string(), clock::now());
            }
            pause = if welcomed { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            let most = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) / 2;
            tokio::time::sleep(pause / 2 + Duration::from_millis(tls::jitter(most))).await;
        }
    }

    /// One link, from dialling to its end.
    async fn link(&self, welcomed: &mut bool) -> Result<(), UplinkError> {
        let identity = Identity::load(&self.paths)?;
        let stream = dial(&self.proxy, tls::enrolled(&identity)?).await?;
        let (mut reader, writer) = tokio::io::split(stream);
        let (outbox, outgoing) = mpsc::channel(OUTBOX);
        // Only the loop holds the outbox: giving it up ends the link, once it is empty.
        let renewals = outbox.downgrade();
        let linked = self.inbox.send(Message::Linked(outbox)).await;
        linked.map_err(|_| UplinkError::Closed)?;
        let writing = write_all(writer, outgoing);
        let reading = self.read_all(&mut reader, &identity, &renewals, welcomed);
        tokio::select! {
            ended = reading => ended,
            ended = writing => ended,
        }
    }

    async fn read_all(
        &self,
        reader: &mut ReadHalf<TlsStream<TcpStream>>,
        identity: &Identity,
        outbox: &mpsc::WeakSender<FromAgent>,
        welcomed: &mut bool,
    ) -> Result<(), UplinkError> {
        let mut decoder = Decoder::default();
        let mut patience = DEADLINE;
        let renew_at = identity.renew_at();
        let mut asked = false;
        loop {
            let message = match timeout(patience, receive(reader, &mut decoder)).await {
                Ok(message) => message?,
                Err(_) if *welcomed => return Err(UplinkError::Silent),
                Err(_) => return Err(UplinkError::Late(self.proxy.clone())),
            };
            match message {
                FromProxy::Welcome(welcome) if !(OLDEST..=VERSION).contains(&welcome.protocol) => {
                    return Err(UplinkError::Version { theirs: welcome.protocol });
                }
                FromProxy::Welcome(welcome) => {
                    *welcomed = true;
                    patience = Duration::from_millis(welcome.lease_millis.clamp(1000, 600_000));
                    tracing::info!(proxy = %self.proxy, lease_millis = welcome.lease_millis, "linked");
                    link_state::linked(&self.paths, &self.proxy, &welcome, clock::now());
                    self.tell(FromProxy::Welcome(welcome)).await?;
                }
                FromProxy::Enrolled(issued) => {
                    identity::renewed(&self.paths, identity, &issued)?;
                    tracing::info!("the certificate was renewed");
                }
                FromProxy::Goodbye { why } => {
                    let plain = why.chars().take(200).flat_map(char::escape_default).collect();
                    return Err(UplinkError::Goodbye(plain));
                }
                other if *welcomed => self.tell(other).await?,
                _ => return Err(UplinkError::Unexpected),
            }
            // The proxy speaks every third of a lease, so this is looked at often enough.
            let due = renew_at.is_some_and(|at| at <= jiff::Timestamp::now().as_second());
            if *welcomed && due && !asked {
                asked = true;
                let renew = FromAgent::Renew { csr: identity.csr()? };
                let sent = outbox.upgrade().map(|outbox| outbox.try_send(renew).is_ok());
                sent.filter(|sent| *sent).ok_or(UplinkError::Full)?;
            }
        }
    }

    async fn tell(&self, message: FromProxy) -> Result<(), UplinkError> {
        let told = self.inbox.send(Message::Event(Event::Proxy(message))).await;
        told.map_err(|_| UplinkError::Closed)
    }
}

/// Exchanges a token for a certificate and keeps it. What fails leaves the host as it was.
///
/// # Errors
/// When the proxy cannot be reached or proves not to be the token's, or refuses.
pub async fn enrol(proxy: &str, token: Token, paths: &Paths) -> Result<Certificate, UplinkError> {
    // Before the token is used up: what it is exchanged for has a place.
    let is_new = identity::make_state(paths)?;
    let enrolled = exchange(proxy, token, paths).await;
    if enrolled.is_err() && is_new {
        let _ = std::fs::remove_dir(&paths.state);
    }
    enrolled
}

async fn exchange(proxy: &str, token: Token, paths: &Paths) -> Result<Certificate, UplinkError> {
    let (key, csr) = identity::new_key()?;
    let dialled = dial(proxy, tls::enrolling(&token.fingerprint)?).await;
    let mut stream = dialled.map_err(|error| match error {
        UplinkError::Handshake { proxy, source } if tls::is_stranger(&source) => {
            UplinkError::OtherGate(proxy)
        }
        other => other,
    })?;
    let asked = FromAgent::Enrol(Enrol { protocol: VERSION, oldest: oldest(), token: token.secret, csr });
    let late = |_| UplinkError::Late(proxy.to_owned());
    timeout(DEADLINE, async {
        stream.write_all(&encode(&asked)?).await?;
        Ok::<(), UplinkError>(stream.flush().await?)
    })
    .await
    .map_err(late)??;
    let (mut reader, _writer) = tokio::io::split(stream);
    let answer = timeout(DEADLINE, receive(&mut reader, &mut Decoder::default())).await.map_err(late)??;
    match answer {
        FromProxy::Enrolled(issued) => {
            identity::enrolled(paths, &key, &token.fingerprint, &issued)?;
            Ok(issued)
        }
        FromProxy::Goodbye { why } => {
            Err(UplinkError::Goodbye(why.chars().take(200).flat_map(char::escape_default).collect()))
        }
        _ => Err(UplinkError::Unexpected),
    }
}

/// Whether the proxy that this host is enrolled with answers there.
///
/// # Errors
/// When nothing does, or something else.
pub async fn reach(proxy: &str, identity: &Identity) -> Result<(), UplinkError> {
    dial(proxy, tls::enrolled(identity)?).await.map(drop)
}

async fn dial(proxy: &str, config: rustls::ClientConfig) -> Result<TlsStream<TcpStream>, UplinkError> {
    let by = Instant::now() + DEADLINE;
    let late = |_| UplinkError::Late(proxy.to_owned());
    let connect = |source| UplinkError::Connect { proxy: proxy.to_owned(), source };
    let stream = timeout_at(by, TcpStream::connect(proxy)).await.map_err(late)?.map_err(connect)?;
    stream.set_nodelay(true).map_err(connect)?;
    let connector = TlsConnector::from(Arc::new(config));
    let handshake = timeout_at(by, connector.connect(tls::server_name()?, stream)).await.map_err(late)?;
    match handshake {
        Ok(stream) => Ok(stream),
        Err(source) if tls::is_no_tls(&source) && is_ssh(proxy, by).await => {
            Err(UplinkError::Ssh(proxy.to_owned()))
        }
        Err(source) => Err(UplinkError::Handshake { proxy: proxy.to_owned(), source }),
    }
}

/// Whether sshd, or another SSH server, says its version there (RFC 4253, 4.2).
async fn is_ssh(proxy: &str, by: Instant) -> bool {
    let banner = async {
        let mut stream = TcpStream::connect(proxy).await?;
        let mut first = [0; 4];
        stream.read_exact(&mut first).await?;
        Ok::<bool, std::io::Error>(first == *b"SSH-")
    };
    matches!(timeout_at(by.min(Instant::now() + BANNER), banner).await, Ok(Ok(true)))
}

/// The next message. What was read of the one after it stays in the decoder.
async fn receive(
    reader: &mut ReadHalf<TlsStream<TcpStream>>,
    decoder: &mut Decoder,
) -> Result<FromProxy, UplinkError> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if let Some(message) = decoder.message()? {
            return Ok(message);
        }
        let count = reader.read(&mut buffer).await?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Err(UplinkError::Closed);
        }
        decoder.feed(bytes);
    }
}

async fn write_all(
    mut writer: WriteHalf<TlsStream<TcpStream>>,
    mut outgoing: mpsc::Receiver<FromAgent>,
) -> Result<(), UplinkError> {
    while let Some(message) = outgoing.recv().await {
        let frame = encode(&message)?;
        let written = timeout(DEADLINE, async {
            writer.write_all(&frame).await?;
            writer.flush().await
        });
        written.await.map_err(|_| UplinkError::Silent)??;
    }
    // The outbox was given up.
    Err(UplinkError::Full)
}
