//! Where agents come in: a token buys a certificate, a certificate opens a link.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tidegate_common::audit::{Actor, Entry, Event, Note, Notes};
use tidegate_common::digest::Digest;
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
use crate::origin::canonical;
use crate::store::{AgentRow, Store, StoreError};
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

/// A certificate for an agent, and what is kept of it.
struct Signed {
    certificate: wire::Certificate,
    fingerprint: Digest,
    public_key: Digest,
}

/// Writes now and then which agents are linked, for ever: so one that is away when the
/// proxy starts again was last seen about when it was.
pub async fn keep_seen(office: &Office) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    minute.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        minute.tick().await;
        office.seen(&office.registry.linked()).await;
    }
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
        let signed = self.sign(&device, &csr)?;
        self.certified(&device, signed.fingerprint).await?;
        let kept = self.store.agent_enrolled(&device, &signed.public_key.to_string()).await;
        kept.map_err(|error| LinkError::Office(error.to_string()))?;
        self.registry.dismiss(&device, "the device enrolled again");
        self.audit(Event::AgentEnrolled { device, certificate: signed.fingerprint }).await?;
        Ok(FromProxy::Enrolled(signed.certificate))
    }

    /// A new certificate for a device whose link is up, for the key that it enrolled
    /// with: so an agent that lost the answer gets in with the certificate it has.
    pub async fn renew(&self, device: &DeviceName, csr: &Csr) -> Result<wire::Certificate, LinkError> {
        let signed = self.sign(device, csr)?;
        let agent = self.agent(device).await?;
        let enrolled = agent.and_then(|agent| agent.public_key);
        if enrolled.is_some_and(|key| key != signed.public_key.to_string()) {
            let why = Note::new("it asks for a certificate for another key");
            self.audit(Event::AgentRefused { device: Some(Note::new(device)), why }).await?;
            return Err(LinkError::Turn("a request for a certificate for another key"));
        }
        self.certified(device, signed.fingerprint).await?;
        let event = Event::AgentRenewed { device: device.clone(), certificate: signed.fingerprint };
        self.audit(event).await?;
        Ok(signed.certificate)
    }

    fn sign(&self, device: &DeviceName, csr: &Csr) -> Result<Signed, LinkError> {
        let office = |error: &dyn std::fmt::Display| LinkError::Office(error.to_string());
        let (certificate, fingerprint) = self.ca.sign(csr, device).map_err(|error| office(&error))?;
        let der = CertificateDer::from_pem_slice(certificate.certificate.as_bytes());
        let public_key = ca::public_key(&der.map_err(|error| office(&error))?)
            .ok_or_else(|| office(&"the certificate that was signed holds no key"))?;
        Ok(Signed { certificate, fingerprint, public_key })
    }

    async fn certified(&self, device: &DeviceName, fingerprint: Digest) -> Result<(), LinkError> {
        let kept = self.store.agent_certified(device, &fingerprint.to_string(), jiff::Timestamp::now()).await;
        kept.map_err(|error| LinkError::Office(error.to_string()))
    }

    /// The device of a certificate, if its enrolment still stands.
    async fn recognise(&self, certificate: &CertificateDer<'_>) -> Result<DeviceName, LinkError> {
        let refused = |why: &str| Event::AgentRefused { device: None, why: Note::new(why) };
        let Some(device) = ca::device(certificate) else {
            self.audit(refused("its certificate names no device")).await?;
            return Err(LinkError::Turn("a certificate that names no device"));
        };
        let Some(agent) = self.agent(&device).await?.filter(|agent| !agent.revoked) else {
            self.audit(refused("its enrolment was revoked")).await?;
            return Err(LinkError::Office(format!("the enrolment of {device} was revoked")));
        };
        let shown = ca::public_key(certificate).map(|key| key.to_string());
        if agent.public_key.is_some_and(|enrolled| Some(enrolled) != shown) {
            let (device, why) = (Some(Note::new(&device)), Note::new("the device has enrolled again since"));
            self.audit(Event::AgentRefused { device, why }).await?;
            return Err(LinkError::Office("a certificate from before the device enrolled again".to_owned()));
        }
        Ok(device)
    }

    async fn agent(&self, device: &DeviceName) -> Result<Option<AgentRow>, LinkError> {
        self.store.agent(device).await.map_err(|error| LinkError::Office(error.to_string()))
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use tidegate_common::secret::Secret;

    use super::*;
    use crate::store::testing::Temporary;

    struct Desk {
        office: Office,
        _temporary: Temporary,
    }

    impl Desk {
        async fn new() -> Self {
            let temporary = Temporary::new().await;
            let (store, directory) = (temporary.store.clone(), temporary.directory());
            let office = Office {
                registry: Registry::new(Duration::from_secs(30)),
                ca: Ca::open(directory).unwrap(),
                user_ca: String::new(),
                audit: AuditLog::open(store.clone(), &directory.join("audit")).await.unwrap(),
                witnesses: Witnesses::testing(&store, directory),
                store,
            };
            Self { office, _temporary: temporary }
        }

        async fn enrol(&self, key: &KeyPair) -> CertificateDer<'static> {
            let token = Secret::new(key.serialize_pem());
            let now = jiff::Timestamp::now();
            let later = now + Duration::from_secs(60);
            self.office.store.token_minted(&device(), &token, now, later).await.unwrap();
            let enrol = Enrol { protocol: wire::VERSION, token, csr: csr(key) };
            match self.office.enrol(FromAgent::Enrol(enrol)).await.unwrap() {
                FromProxy::Enrolled(certificate) => der(&certificate),
                other => panic!("{other:?}"),
            }
        }

        async fn knows(&self, certificate: &CertificateDer<'_>) -> Result<DeviceName, String> {
            self.office.recognise(certificate).await.map_err(|error| error.to_string())
        }
    }

    fn device() -> DeviceName {
        "db01".parse().unwrap()
    }

    fn csr(key: &KeyPair) -> Csr {
        Csr(CertificateParams::default().serialize_request(key).unwrap().pem().unwrap())
    }

    fn der(certificate: &wire::Certificate) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn an_earlier_enrolments_certificate_is_refused_once_the_device_enrolled_again() {
        let desk = Desk::new().await;
        let (before, after) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let old = desk.enrol(&before).await;
        assert_eq!(desk.knows(&old).await, Ok(device()));
        let new = desk.enrol(&after).await;
        assert_eq!(desk.knows(&new).await, Ok(device()));
        let refused = desk.knows(&old).await.unwrap_err();
        assert!(refused.contains("from before the device enrolled again"), "{refused}");
    }

    #[tokio::test]
    async fn an_agent_that_lost_its_renewal_gets_in_with_what_it_has() {
        let desk = Desk::new().await;
        let key = KeyPair::generate().unwrap();
        let first = desk.enrol(&key).await;
        let renewed = desk.office.renew(&device(), &csr(&key)).await.unwrap();
        for certificate in [&der(&renewed), &first] {
            assert_eq!(desk.knows(certificate).await, Ok(device()));
        }
        let other = desk.office.renew(&device(), &csr(&KeyPair::generate().unwrap())).await;
        let other = other.unwrap_err().to_string();
        assert!(other.contains("another key"), "{other}");
    }
}
