//! An agent that a test plays itself: enrolled like any other, and then it says whatever the
//! test wants.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use tidegate_common::secret::Secret;
use tidegate_common::wire::{Csr, Decoder, Enrol, FromAgent, FromProxy, Hello, SERVER_NAME, VERSION, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::world::World;

/// How long a link may take to stand.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an agent has once it is enrolled.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// The CA of a world's agents.
pub fn ca(world: &World) -> Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(&fs::read(world.state().join("agents_ca.pem"))?)?)
}

fn config(ca: &CertificateDer<'static>, identity: Option<&Identity>) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(Identity { certificate, key }) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            config.with_client_auth_cert(vec![certificate.clone()], key)?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Uses up a token.
pub async fn enrol(proxy: SocketAddr, ca: &CertificateDer<'static>, token: &str) -> Result<Identity> {
    let key = KeyPair::generate()?;
    let csr = Csr(CertificateParams::default().serialize_request(&key)?.pem()?);
    let secret = token.rsplit('.').next().unwrap_or_default();
    let mut link = Link::dial(proxy, &config(ca, None)?).await?;
    link.say(&FromAgent::Enrol(Enrol {
        protocol: VERSION,
        oldest: None,
        token: Secret::new(secret.to_owned()),
        csr,
    }))
    .await?;
    let FromProxy::Enrolled(issued) = link.hear().await? else { bail!("not enrolled") };
    Ok(Identity { certificate: CertificateDer::from_pem_slice(issued.certificate.as_bytes())?, key })
}

/// A link, and what answers this greeting.
pub async fn greet(
    proxy: SocketAddr,
    ca: &CertificateDer<'static>,
    identity: &Identity,
    hello: Hello,
) -> Result<(Link, FromProxy)> {
    let mut link = Link::dial(proxy, &config(ca, Some(identity))?).await?;
    link.say(&FromAgent::Hello(hello)).await?;
    let answer = link.hear().await?;
    Ok((link, answer))
}

/// A link that stands, after this greeting.
pub async fn link(
    proxy: SocketAddr,
    ca: &CertificateDer<'static>,
    identity: &Identity,
    hello: Hello,
) -> Result<Link> {
    let (link, answer) = greet(proxy, ca, identity, hello).await?;
    let FromProxy::Welcome(_) = answer else { bail!("not welcome: {answer:?}") };
    Ok(link)
}

/// An agent's end of a link.
#[derive(Debug)]
pub struct Link {
    stream: TlsStream<TcpStream>,
    decoder: Decoder,
}

impl Link {
    async fn dial(proxy: SocketAddr, connector: &TlsConnector) -> Result<Self> {
        let dialled = async {
            let stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
            stream.set_nodelay(true)?;
            connector.connect(ServerName::try_from(SERVER_NAME)?, stream).await.context("TLS")
        };
        let stream = tokio::time::timeout(PATIENCE, dialled).await??;
        Ok(Self { stream, decoder: Decoder::default() })
    }

    /// Says one thing.
    pub async fn say(&mut self, message: &impl Serialize) -> Result<()> {
        self.stream.write_all(&encode(message)?).await?;
        Ok(self.stream.flush().await?)
    }

    /// What the proxy says next.
    pub async fn hear(&mut self) -> Result<FromProxy> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(message) = self.decoder.message()? {
                return Ok(message);
            }
            let count = self.stream.read(&mut buffer).await?;
            ensure!(count > 0, "the proxy closed the link");
            self.decoder.feed(buffer.get(..count).unwrap_or_default());
        }
    }

    /// Answers each lease, for ever.
    pub async fn live(mut self) -> Result<()> {
        loop {
            if let FromProxy::Lease { .. } = self.hear().await? {
                self.say(&FromAgent::Alive).await?;
            }
        }
    }
}
