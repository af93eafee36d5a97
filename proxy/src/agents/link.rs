//! One agent's link: frames in both directions, leases, renewals.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tidegate_common::audit::{Event, Note};
use tidegate_common::name::DeviceName;
use tidegate_common::wire::{self, Decoder, FrameError, FromAgent, FromProxy, Hello, Welcome};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::listener::{ListenerContext, Peer};
use super::registry::{Connected, LinkStatus};
use super::reports::Told;
use super::texts;

/// Orders that wait for a slow link before new grants fail.
const QUEUE: usize = 256;
/// How long a peer may take to take a frame, or to say its first word.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most host keys an agent may show.
const MOST_HOST_KEYS: usize = 16;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// The agent sent no frame of ours.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The agent closed it.
    #[error("the agent closed the link")]
    Closed,
    /// The agent sent something out of turn.
    #[error("the agent sent {0} out of turn")]
    Turn(&'static str),
    /// The agent is too slow.
    #[error("the agent took longer than {} s", PATIENCE.as_secs())]
    Slow,
    /// The agent is of another version.
    #[error(
        "the agent speaks versions {0} to {1} of the protocol, this proxy {oldest} to {newest}; update the older",
        oldest = wire::OLDEST, newest = wire::VERSION
    )]
    Version(u16, u16),
    /// The agent shows what no host has.
    #[error("the agent shows {0} host keys")]
    HostKeys(usize),
    /// The agent asks for too much of what it needs now and then.
    #[error("the agent {0} too often")]
    TooOften(&'static str),
    /// Nothing was heard for a whole lease.
    #[error("nothing was heard from the agent for a whole lease")]
    Silent,
    /// The proxy ended it.
    #[error("{0}")]
    Dismissed(String),
    /// A newer link of the same device.
    #[error("the link was replaced by a newer one")]
    Replaced,
    /// What the log or the store said.
    #[error("{0}")]
    Ours(String),
}

impl LinkError {
    /// What the agent is told before the link ends: what it did itself, or who ended it.
    pub fn goodbye(&self) -> Option<String> {
        match self {
            Self::Dismissed(why) => Some(why.clone()),
            Self::Version(..) | Self::Turn(_) | Self::HostKeys(_) | Self::Frame(FrameError::Message(_)) => {
                Some(self.to_string())
            }
            _ => None,
        }
    }
}

/// The version that the link speaks.
pub fn version(oldest: Option<u16>, newest: u16) -> Result<u16, LinkError> {
    let oldest = oldest.unwrap_or(newest);
    wire::common_version(&(wire::OLDEST..=wire::VERSION), &(oldest..=newest))
        .ok_or(LinkError::Version(oldest, newest))
}

/// Frames over a stream.
pub struct Frames<S> {
    read: ReadHalf<S>,
    write: WriteHalf<S>,
    decoder: Decoder,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite> Frames<S> {
    /// Frames over `stream`.
    pub fn new(stream: S) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self { read, write, decoder: Decoder::default(), buffer: vec![0; 8192] }
    }

    /// The next message, with harmless words. Cancel safe.
    ///
    /// # Errors
    /// When the connection or the peer breaks.
    pub async fn receive(&mut self) -> Result<FromAgent, LinkError> {
        loop {
            if let Some(message) = self.decoder.message()? {
                return Ok(texts::harmless(message));
            }
            let length = self.read.read(&mut self.buffer).await?;
            match self.buffer.get(..length) {
                None | Some([]) => return Err(LinkError::Closed),
                Some(bytes) => self.decoder.feed(bytes),
            }
        }
    }

    /// The peer's first message, which it may not put off.
    ///
    /// # Errors
    /// When the connection or the peer breaks.
    pub async fn first(&mut self) -> Result<FromAgent, LinkError> {
        tokio::time::timeout(PATIENCE, self.receive()).await.map_err(|_| LinkError::Slow)?
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection breaks or the peer does not take it in time.
    pub async fn send(&mut self, message: &FromProxy) -> Result<(), LinkError> {
        let frame = wire::encode(message)?;
        let written = async {
            self.write.write_all(&frame).await?;
            self.write.flush().await
        };
        tokio::time::timeout(PATIENCE, written).await.map_err(|_| LinkError::Slow)??;
        Ok(())
    }
}

/// Serves the link of an enrolled device until it ends.
pub async fn serve<S: AsyncRead + AsyncWrite>(
    context: &ListenerContext,
    peer: &Peer,
    frames: &mut Frames<S>,
) -> Result<Infallible, LinkError> {
    let device = &peer.device;
    let linking = context.registry.budgets().link(device).ok_or(LinkError::TooOften("connects"))?;
    let FromAgent::Hello(hello) = frames.first().await? else {
        return Err(LinkError::Turn("something before its hello"));
    };
    let protocol = check(&hello)?;
    // It may have taken its time.
    context.admit(peer).await?;
    let vouched = context.vouched(device, &hello.host_keys).await?;
    let lease = context.registry.lease();
    let welcome = Welcome {
        protocol,
        lease_millis: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX),
        user_ca: vec![context.user_ca.clone()],
        now: jiff::Timestamp::now(),
    };
    frames.send(&FromProxy::Welcome(welcome)).await?;
    let up = Event::AgentConnected { device: device.clone(), version: Note::new(&hello.version) };
    context.linking(device, "links that came up", up).await?;

    let seen = context.store.agent_seen(device, &hello.version, hello.bound, jiff::Timestamp::now()).await;
    seen.map_err(|error| LinkError::Ours(error.to_string()))?;
    context.stands(device, hello.standing).await?;
    let bound = context.agent(device).await?.is_some_and(|agent| agent.bound);

    let (sender, mut orders) = mpsc::channel(QUEUE);
    let alive = hello.live.clone();
    let status = LinkStatus {
        protocol,
        version: hello.version,
        kinds: hello.kinds,
        vouched,
        bound,
        explains: hello.explains,
        remarks: hello.remarks,
        witness: hello.witness,
        since: Instant::now(),
    };
    let Connected { number, leave } = context.registry.connected(device, status, &alive, sender);
    drop(linking);
    let result = match context.admit(peer).await {
        // Whoever revoked it before found no link to end; whoever does it from now on finds one.
        Err(error) => Err(error),
        Ok(()) => talk(context, device, number, frames, &mut orders, leave).await,
    };
    context.registry.disconnected(device, number);
    context.seen(std::slice::from_ref(device)).await;
    let Err(error) = result;
    let lost = Event::AgentLost { device: device.clone(), why: Note::new(error.to_string()) };
    context.linking(device, "links that were lost", lost).await?;
    Err(error)
}

fn check(hello: &Hello) -> Result<u16, LinkError> {
    let protocol = version(hello.oldest, hello.protocol)?;
    if hello.host_keys.len() > MOST_HOST_KEYS {
        return Err(LinkError::HostKeys(hello.host_keys.len()));
    }
    Ok(protocol)
}

async fn talk<S: AsyncRead + AsyncWrite>(
    context: &ListenerContext,
    device: &DeviceName,
    number: u64,
    frames: &mut Frames<S>,
    orders: &mut mpsc::Receiver<FromProxy>,
    mut leave: oneshot::Receiver<String>,
) -> Result<Infallible, LinkError> {
    let registry = &context.registry;
    let lease = registry.lease();
    let mut beat = tokio::time::interval(lease / 3);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let mut told = Told::default();
    loop {
        tokio::select! {
            biased;
            why = &mut leave => {
                let Ok(why) = why else { return Err(LinkError::Replaced) };
                return Err(LinkError::Dismissed(why));
            }
            _ = beat.tick() => {
                if heard.elapsed() > lease {
                    return Err(LinkError::Silent);
                }
                frames.send(&registry.lease_for(device)).await?;
            }
            order = orders.recv() => match order {
                Some(order) => frames.send(&order).await?,
                None => return Err(LinkError::Replaced),
            },
            message = frames.receive() => {
                heard = Instant::now();
                match message? {
                    FromAgent::Granted { session, receipt } => registry.granted(session, device, receipt),
                    FromAgent::Refused { session, failure } => registry.refused(session, device, failure),
                    FromAgent::Later { session } => registry.later(session, device),
                    FromAgent::Extended { session, until } => registry.extended(session, device, until),
                    FromAgent::NotExtended { session, until, why } => {
                        registry.not_extended(session, device, until, why);
                    }
                    FromAgent::Replaced => registry.replaced(device, number),
                    FromAgent::Ended { session, ended } => {
                        let again = told.again(session, &ended);
                        if !registry.ended(session, device, &ended) && !again {
                            context.ended_late(device, session, &ended).await?;
                        }
                        if !again {
                            context.drifted(device, session, &ended.drift).await?;
                        }
                    }
                    FromAgent::Standing { standing } => context.stands(device, standing).await?,
                    FromAgent::Residue { session, residue } => {
                        context.left_behind(device, session, residue).await?;
                        frames.send(&FromProxy::Reported { session }).await?;
                    }
                    FromAgent::Renew { csr } => {
                        let certificate = context.renew(device, &csr).await?;
                        frames.send(&FromProxy::Enrolled(certificate)).await?;
                    }
                    FromAgent::Witnessed(said) => {
                        let number = said.number;
                        if context.witnessed(device, said).await? {
                            frames.send(&FromProxy::Noted { number }).await?;
                        }
                    }
                    FromAgent::Planned { question, lines } | FromAgent::Explained { question, lines } => {
                        registry.answered(question, device, lines);
                    }
                    FromAgent::Alive => {}
                    FromAgent::Enrol(_) => return Err(LinkError::Turn("a second enrolment")),
                    FromAgent::Hello(_) => return Err(LinkError::Turn("a second hello")),
                }
            }
        }
    }
}
