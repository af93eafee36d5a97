//! Where agents come in: a token buys a certificate, a certificate opens a link.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tidegate_common::audit::{Actor, Entry, Event, Note, Notes};
use tidegate_common::grant::Ended;
use tidegate_common::id::SessionId;
use tidegate_common::name::DeviceName;
use tidegate_common::wire::{self, Csr, Enrol, FromAgent, FromProxy};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::ca::{self, Ca};
use super::link::{self, Frames, LinkError};
use super::registry::Registry;
use crate::audit_log::AuditLog;
use crate::limits::{Place, Places};
use crate::store::{Store, StoreError};
use crate::witness::Witnesses;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many connections one address may have that have not proved who they are.
const MOST_UNPROVED: usize = 16;
/// How many there may be in all.
const MOST_UNPROVED_IN_ALL: usize = 512;

/// What serving agents needs.
pub struct Office {
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
}

/// Accepts agents until the listener fails. Each has a task and a deadline of its own.
///
/// # Errors
/// When TLS can't be set up.
pub async fn listen(office: Arc<Office>, listener: TcpListener) -> Result<(), ca::CaError> {
    let config = office.ca.server_config()?;
    let unproved = Places::new(MOST_UNPROVED, MOST_UNPROVED_IN_ALL);
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
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
        let (office, config) = (Arc::clone(&office), Arc::clone(&config));
        tokio::spawn(async move {
            if let Err(error) = meet(&office, config, stream, place).await {
                tracing::info!(%address, %error, "an agent's link ended");
            }
        });
    }
}

async fn meet(
    office: &Office,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    place: Place,
) -> Result<(), LinkError> {
    stream.set_nodelay(true)?;
    let handshake = TlsAcceptor::from(config).accept(stream);
    let stream = tokio::time::timeout(HANDSHAKE, handshake).await.map_err(|_| LinkError::Slow)??;
    let certificate = peer(&stream);
    let mut frames = Frames::new(stream);
    match certificate {
        None => {
            let answer = office.enrol(frames.first().await?).await?;
            drop(place);
            frames.send(&answer).await
        }
        Some(certificate) => {
            let device = office.recognise(&certificate).await?;
            drop(place);
            link::serve(office, &device, &mut frames).await.map(|never| match never {})
        }
    }
}

fn peer(stream: &TlsStream<TcpStream>) -> Option<CertificateDer<'static>> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates()?.first().cloned().map(CertificateDer::into_owned)
}

impl Office {
    /// A certificate for a token that is good, a goodbye for one that is not.
    async fn enrol(&self, message: FromAgent) -> Result<FromProxy, LinkError> {
        let FromAgent::Enrol(Enrol { protocol, token, csr }) = message else {
            return Err(LinkError::Turn("something before its enrolment"));
        };
        if protocol != wire::VERSION {
            return Err(LinkError::Version(protocol));
        }
        let redeemed = self.store.token_redeem(&token, jiff::Timestamp::now()).await;
        let Some(device) = redeemed.map_err(|error| LinkError::Office(error.to_string()))? else {
            self.audit(Event::TokenRefused { why: Note::new("unknown, used or expired") }).await?;
            let why = "the token is unknown, used or expired; make another with `agent token`".to_owned();
            return Ok(FromProxy::Goodbye { why });
        };
        let (certificate, fingerprint) = self.certify(&device, &csr).await?;
        self.audit(Event::AgentEnrolled { device, certificate: fingerprint }).await?;
        Ok(FromProxy::Enrolled(certificate))
    }

    /// A new certificate for a device whose link is up.
    pub async fn renew(&self, device: &DeviceName, csr: &Csr) -> Result<wire::Certificate, LinkError> {
        let (certificate, fingerprint) = self.certify(device, csr).await?;
        self.audit(Event::AgentRenewed { device: device.clone(), certificate: fingerprint }).await?;
        Ok(certificate)
    }

    async fn certify(
        &self,
        device: &DeviceName,
        csr: &Csr,
    ) -> Result<(wire::Certificate, tidegate_common::digest::Digest), LinkError> {
        let office = |error: &dyn std::fmt::Display| LinkError::Office(error.to_string());
        let (certificate, fingerprint) = self.ca.sign(csr, device).map_err(|error| office(&error))?;
        self.store
            .agent_certified(device, &fingerprint.to_string(), jiff::Timestamp::now())
            .await
            .map_err(|error| office(&error))?;
        Ok((certificate, fingerprint))
    }

    /// The device of a certificate, if its enrolment still stands.
    async fn recognise(&self, certificate: &CertificateDer<'_>) -> Result<DeviceName, LinkError> {
        let refused = |why: &str| Event::AgentRefused { device: None, why: Note::new(why) };
        let Some(device) = ca::device(certificate) else {
            self.audit(refused("its certificate names no device")).await?;
            return Err(LinkError::Turn("a certificate that names no device"));
        };
        if self.is_revoked(&device).await? {
            self.audit(refused("its enrolment was revoked")).await?;
            return Err(LinkError::Office(format!("the enrolment of {device} was revoked")));
        }
        Ok(device)
    }

    /// Whether the device's enrolment has been taken back.
    async fn is_revoked(&self, device: &DeviceName) -> Result<bool, LinkError> {
        let agent = self.store.agent(device).await.map_err(|error| LinkError::Office(error.to_string()))?;
        Ok(agent.is_none_or(|agent| agent.revoked))
    }

    /// Keeps the host keys that an agent vouches for.
    pub async fn vouched(&self, device: &DeviceName, now: &[String]) -> Result<(), LinkError> {
        let office = |error: StoreError| LinkError::Office(error.to_string());
        let before = self.store.host_keys(device).await.map_err(office)?;
        if before == now {
            return Ok(());
        }
        if !before.is_empty() {
            let (before, now) = (Notes::of(&before), Notes::of(now));
            self.audit(Event::HostKeysChanged { device: device.clone(), before, now }).await?;
        }
        self.store.set_host_keys(device, now).await.map_err(office)
    }

    /// The event for a grant that ended when nobody here waited for it: after a
    /// restart of the proxy, or when an undo succeeded late.
    pub async fn late_end(
        &self,
        device: &DeviceName,
        session: SessionId,
        ended: &Ended,
    ) -> Result<Event, LinkError> {
        let row = self.store.session(session).await;
        let row = row.map_err(|error| LinkError::Office(error.to_string()))?;
        let target = row.map(|row| row.target).filter(|target| target.device == *device);
        Ok(match target {
            Some(target) => Event::grant_over(session, target, ended),
            None => Event::AgentRefused {
                device: Some(Note::new(device)),
                why: Note::new(format!("it reports the end of session {session}, which it never served")),
            },
        })
    }

    /// Appends an event of the proxy's own.
    pub async fn audit(&self, event: Event) -> Result<(), LinkError> {
        self.append(event.by(Actor::Proxy)).await
    }

    /// Appends an entry.
    pub async fn append(&self, entry: Entry) -> Result<(), LinkError> {
        self.audit.append(entry).await.map_err(|error| LinkError::Office(error.to_string()))?;
        Ok(())
    }
}
