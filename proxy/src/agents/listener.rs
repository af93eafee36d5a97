//! Where agents come in: a token buys a certificate, a certificate opens a link.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tidegate_common::audit::{Actor, Entry, Event, Note};
use tidegate_common::digest::Digest;
use tidegate_common::name::DeviceName;
use tidegate_common::secret::Secret;
use tidegate_common::wire::{self, Csr, Enrol, FromAgent, FromProxy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::ca::{self, Ca};
use super::link::{self, Frames, LinkError};
use super::registry::Registry;
use crate::access::Access;
use crate::audit_log::AuditLog;
use crate::changes::Watchers;
use crate::limits::{Unproved, UnprovedCount};
use crate::origin::canonical;
use crate::refusals::Refusals;
use crate::store::{AgentRow, Enrolled, Step, Store, StoreError};
use crate::witness::Witnesses;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many connections one address may have that have not proved who they are.
const MOST_UNPROVED: usize = 16;
/// How many there may be in all.
const MOST_UNPROVED_IN_ALL: usize = 512;

/// What is refused, as it is summed up.
const TOKENS: &str = "tokens";
const AGENTS: &str = "agents whose enrolment does not stand";

/// What serving agents needs.
pub struct ListenerContext {
    /// The grants and links.
    pub registry: Registry,
    /// Signs the agents' certificates.
    pub ca: Ca,
    /// The user CA's public key, an OpenSSH line.
    pub user_ca: String,
    /// Enrolments and host keys.
    pub store: Store,
    /// The audit log.
    pub audit: AuditLog,
    /// What the devices' kernels saw.
    pub witnesses: Witnesses,
    /// Sessions whose commands are held against a change.
    pub watchers: Watchers,
    /// The devices there are, and the keys that are pinned on them.
    pub access: Access,
    /// Where it is told who was refused before they proved who they are.
    pub refusals: Refusals,
    /// Held while this gate decides whose a host key is.
    pub vouching: Mutex<()>,
}

/// An agent that has shown a certificate whose enrolment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) device: DeviceName,
    /// SHA-256 of its certificate's key.
    public_key: String,
    from: IpAddr,
}

/// A certificate for an agent, and what is kept of it.
struct Signed {
    certificate: wire::Certificate,
    fingerprint: Digest,
    public_key: Digest,
}

/// Writes now and then which agents are linked, for ever: so one that is away when the
/// proxy starts again was last seen about when it was.
pub async fn keep_seen(context: &ListenerContext) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    minute.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        minute.tick().await;
        context.seen(&context.registry.linked()).await;
        context.sum_up(false).await;
    }
}

/// Accepts agents until the listener fails. Each has a task and a deadline of its own.
///
/// # Errors
/// When TLS can't be set up.
pub async fn listen(context: Arc<ListenerContext>, listener: TcpListener) -> Result<(), ca::CaError> {
    let config = context.ca.server_config()?;
    let unproved = UnprovedCount::new(MOST_UNPROVED, MOST_UNPROVED_IN_ALL);
    loop {
        let (stream, address) = match listener.accept().await {
            Ok((stream, from)) => (stream, canonical(from)),
            Err(error) => {
                tracing::warn!(%error, "an agent's connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = unproved.take(address.ip()) else {
            tracing::warn!(%address, "too many unproved connections from there; this one is closed");
            continue;
        };
        let (context, config) = (Arc::clone(&context), Arc::clone(&config));
        tokio::spawn(async move {
            if let Err(error) = meet(&context, config, stream, address.ip(), place).await {
                // What a frame held that could not be read is in it.
                let error = Note::<512>::new(error.to_string());
                tracing::info!(%address, %error, "an agent's link ended");
            }
        });
    }
}

async fn meet(
    context: &ListenerContext,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    from: IpAddr,
    place: Unproved,
) -> Result<(), LinkError> {
    stream.set_nodelay(true)?;
    let handshake = TlsAcceptor::from(config).accept(stream);
    let stream = tokio::time::timeout(HANDSHAKE, handshake).await.map_err(|_| LinkError::Slow)??;
    let certificate = peer(&stream);
    let mut frames = Frames::new(stream);
    match certificate {
        None => {
            let enrolled = async { context.enrol(frames.first().await?, from).await };
            match enrolled.await {
                Ok(answer) => {
                    drop(place);
                    frames.send(&answer).await
                }
                Err(error) => {
                    say_goodbye(&mut frames, &error).await?;
                    Err(error)
                }
            }
        }
        Some(certificate) => {
            let served = async {
                let peer = context.recognise(&certificate, from).await?;
                drop(place);
                link::serve(context, &peer, &mut frames).await
            };
            let Err(error) = served.await;
            say_goodbye(&mut frames, &error).await?;
            Err(error)
        }
    }
}

/// Tells the agent why its link ends, where that is for it to know.
async fn say_goodbye(frames: &mut Frames<TlsStream<TcpStream>>, error: &LinkError) -> Result<(), LinkError> {
    match error.goodbye() {
        Some(why) => frames.send(&FromProxy::Goodbye { why }).await,
        None => Ok(()),
    }
}

fn peer(stream: &TlsStream<TcpStream>) -> Option<CertificateDer<'static>> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates()?.first().cloned().map(CertificateDer::into_owned)
}

/// The store's, not the peer's.
fn ours(error: StoreError) -> LinkError {
    LinkError::Ours(error.to_string())
}

impl ListenerContext {
    /// A certificate for a token that is good, a goodbye for one that is not.
    async fn enrol(&self, message: FromAgent, from: IpAddr) -> Result<FromProxy, LinkError> {
        let FromAgent::Enrol(Enrol { protocol, oldest, token, csr }) = message else {
            return Err(LinkError::Turn("something before its enrolment"));
        };
        link::version(oldest, protocol)?;
        let now = jiff::Timestamp::now();
        let Some(device) = self.device_of(&token, now).await? else {
            return self.no_such_token(from).await;
        };
        // Nothing of the token is used up, and nothing of the device changed, before there
        // is a certificate.
        let signed = match self.sign(&device, &csr) {
            Ok(signed) => signed,
            Err(error) => {
                let why = Note::new(format!("the request for {device}'s certificate can't be used: {error}"));
                self.refused(from, TOKENS, Event::TokenRefused { why: why.clone() }).await?;
                return Ok(FromProxy::Goodbye { why: format!("{why}; the token is still good") });
            }
        };
        let event = Event::AgentEnrolled { device: device.clone(), certificate: signed.fingerprint };
        let (certificate, public_key) = (signed.fingerprint.to_string(), signed.public_key.to_string());
        let enrolled = Enrolled { device: &device, certificate: &certificate, public_key: &public_key };
        // Of two that use it at once, one has it.
        if !self.step(vec![event], Store::token_redeemed(&token, &enrolled, now)).await? {
            return self.no_such_token(from).await;
        }
        self.registry.dismiss(&device, "the device enrolled again");
        Ok(FromProxy::Enrolled(signed.certificate))
    }

    async fn device_of(&self, token: &Secret, now: jiff::Timestamp) -> Result<Option<DeviceName>, LinkError> {
        self.store.token_device(token, now).await.map_err(ours)
    }

    async fn no_such_token(&self, from: IpAddr) -> Result<FromProxy, LinkError> {
        let event = Event::TokenRefused { why: Note::new("unknown, used or expired") };
        self.refused(from, TOKENS, event).await?;
        let why = "the token is unknown, used or expired; make another with `agent token`".to_owned();
        Ok(FromProxy::Goodbye { why })
    }

    /// A new certificate for a device whose link is up, for the key that it enrolled
    /// with: so an agent that lost the answer gets in with the certificate it has.
    pub async fn renew(&self, device: &DeviceName, csr: &Csr) -> Result<wire::Certificate, LinkError> {
        self.now_and_then(device, "asks for new certificates").await?;
        let signed = self.sign(device, csr)?;
        let agent = self.agent(device).await?;
        let enrolled = agent.and_then(|agent| agent.public_key);
        if enrolled.is_some_and(|key| key != signed.public_key.to_string()) {
            let why = Note::new("it asks for a certificate for another key");
            self.audit(Event::AgentRefused { device: Some(Note::new(device)), why }).await?;
            return Err(LinkError::Turn("a request for a certificate for another key"));
        }
        let event = Event::AgentRenewed { device: device.clone(), certificate: signed.fingerprint };
        let (certificate, public_key) = (signed.fingerprint.to_string(), signed.public_key.to_string());
        let renewed = Enrolled { device, certificate: &certificate, public_key: &public_key };
        if !self.step(vec![event], Store::agent_renewed(&renewed, jiff::Timestamp::now())).await? {
            return Err(LinkError::Turn("a request for a certificate of an enrolment that was revoked"));
        }
        Ok(signed.certificate)
    }

    fn sign(&self, device: &DeviceName, csr: &Csr) -> Result<Signed, LinkError> {
        let context = |error: &dyn std::fmt::Display| LinkError::Ours(error.to_string());
        let (certificate, fingerprint) = self.ca.sign(csr, device).map_err(|error| context(&error))?;
        let der = CertificateDer::from_pem_slice(certificate.certificate.as_bytes());
        let public_key = ca::public_key(&der.map_err(|error| context(&error))?)
            .ok_or_else(|| context(&"the certificate that was signed holds no key"))?;
        Ok(Signed { certificate, fingerprint, public_key })
    }

    /// The device of a certificate, if its enrolment still stands.
    async fn recognise(&self, certificate: &CertificateDer<'_>, from: IpAddr) -> Result<Peer, LinkError> {
        let named = ca::device(certificate).zip(ca::public_key(certificate));
        let Some((device, public_key)) = named else {
            let why = Note::new("its certificate names no device");
            self.refused(from, AGENTS, Event::AgentRefused { device: None, why }).await?;
            return Err(LinkError::Turn("a certificate that names no device"));
        };
        let peer = Peer { device, public_key: public_key.to_string(), from };
        self.admit(&peer).await?;
        Ok(peer)
    }

    /// Asks whether an enrolment still stands: again whenever something begins that rests
    /// on it, because it may have been revoked since.
    pub(super) async fn admit(&self, peer: &Peer) -> Result<(), LinkError> {
        let (why, told) = match self.agent(&peer.device).await? {
            None | Some(AgentRow { revoked: true, .. }) => {
                ("its enrolment was revoked", format!("the enrolment of {} was revoked", peer.device))
            }
            Some(AgentRow { public_key: Some(enrolled), .. }) if enrolled != peer.public_key => (
                "the device has enrolled again since",
                "a certificate from before the device enrolled again".to_owned(),
            ),
            Some(_) => return Ok(()),
        };
        let (device, why) = (Some(Note::new(&peer.device)), Note::new(why));
        self.refused(peer.from, AGENTS, Event::AgentRefused { device, why }).await?;
        Err(LinkError::Dismissed(told))
    }

    /// Tells the log of a peer that has not proved that it may be here.
    async fn refused(&self, from: IpAddr, what: &'static str, event: Event) -> Result<(), LinkError> {
        let told = self.refusals.tell(from, what, event).await;
        told.map_err(|error| LinkError::Ours(error.to_string()))
    }

    pub(super) async fn agent(&self, device: &DeviceName) -> Result<Option<AgentRow>, LinkError> {
        self.store.agent(device).await.map_err(ours)
    }

    /// Appends an event of the proxy's own.
    pub async fn audit(&self, event: Event) -> Result<(), LinkError> {
        self.append(event.by(Actor::Proxy)).await
    }

    /// Takes a step with the events that tell of it; `false` when it was refused, because what it
    /// rests on has changed.
    pub(super) async fn step(&self, events: Vec<Event>, step: Step) -> Result<bool, LinkError> {
        match self.audit.step(events.into_iter().map(Entry::from).collect(), step).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_changed() => Ok(false),
            Err(error) => Err(LinkError::Ours(error.to_string())),
        }
    }

    /// Appends an entry.
    pub async fn append(&self, entry: Entry) -> Result<(), LinkError> {
        self.audit.append(entry).await.map_err(|error| LinkError::Ours(error.to_string()))?;
        Ok(())
    }
}

#[cfg(test)]
impl ListenerContext {
    /// One with a store and a log of its own.
    pub async fn testing(temporary: &crate::store::testing::Temporary) -> Self {
        let (store, directory) = (temporary.store.clone(), temporary.directory());
        let audit = AuditLog::open(store.clone(), &directory.join("audit")).await.unwrap();
        Self {
            registry: Registry::new(Duration::from_secs(30), crate::store::testing::gate("gate1"))
                .with(super::budgets::Budgets::new(20, Duration::ZERO)),
            ca: Ca::open(directory).unwrap(),
            user_ca: String::new(),
            witnesses: Witnesses::testing(&store, directory),
            watchers: Watchers::default(),
            access: Access::load(store.clone(), audit.clone(), Default::default()).await.unwrap(),
            refusals: Refusals::new(audit.clone()),
            vouching: Mutex::default(),
            store,
            audit,
        }
    }

    /// What its log says.
    pub async fn told(&self) -> Vec<Event> {
        self.audit.last(1000).await.into_iter().map(|record| record.event).collect()
    }
}

#[cfg(test)]
mod tests;
