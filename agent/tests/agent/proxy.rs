//! A proxy as small as it can be: a CA, a listener on loopback, frames in and out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType, IsCa,
    KeyPair,
};
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tidegate_common::id::SessionId;
use tidegate_common::wire::{
    Certificate, Csr, Decoder, FromAgent, FromProxy, Hello, SERVER_NAME, VERSION, Welcome, encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const PATIENCE: Duration = Duration::from_secs(20);

static TESTS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// A test has its thread for itself.
    static TEST: u128 = u128::from(std::process::id()) << 32 | u128::from(TESTS.fetch_add(1, Ordering::Relaxed));
}

/// A session of this test's own: an agent ends every process that says it is of one that is
/// over, whichever test started it.
pub fn id(number: u64) -> SessionId {
    TEST.with(|test| SessionId::new(number, *test))
}

pub struct Proxy {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ca: CertifiedIssuer<'static, KeyPair>,
}

pub struct Link {
    stream: TlsStream<TcpStream>,
    decoder: Decoder,
    pub known: bool,
}

impl Proxy {
    pub async fn start() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf =
            CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![leaf.der().clone(), ca.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), ca }
    }

    pub fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    pub fn token(&self) -> String {
        format!("tg1.{}.s3cret", sha256(self.ca.der()))
    }

    /// The next link, whoever dials.
    pub async fn accept(&self) -> std::io::Result<Link> {
        let (stream, _) = tokio::time::timeout(PATIENCE, self.listener.accept()).await.expect("no link")?;
        let stream = self.acceptor.accept(stream).await?;
        let known = stream.get_ref().1.peer_certificates().is_some();
        Ok(Link { stream, decoder: Decoder::default(), known })
    }

    /// The next link of an enrolled agent, welcomed.
    pub async fn welcome(&self, lease: Duration) -> (Link, Hello) {
        self.welcome_at(lease, SystemTime::now()).await
    }

    /// The same from a proxy whose clock says this.
    pub async fn welcome_at(&self, lease: Duration, now: SystemTime) -> (Link, Hello) {
        let mut link = self.accept().await.unwrap();
        assert!(link.known, "no client certificate");
        let FromAgent::Hello(hello) = link.hear().await else { panic!("no hello") };
        link.say(&FromProxy::Welcome(Welcome {
            protocol: VERSION,
            lease_millis: lease.as_millis().try_into().unwrap(),
            user_ca: vec!["ssh-ed25519 AAAAtest".to_owned()],
            now: now.try_into().unwrap(),
        }))
        .await;
        (link, hello)
    }

    pub fn issue(&self, csr: &Csr) -> Certificate {
        self.issue_from(csr, 2020, 2100)
    }

    /// One that has lived most of its life.
    pub fn issue_old(&self, csr: &Csr) -> Certificate {
        self.issue_from(csr, 1980, 2030)
    }

    fn issue_from(&self, csr: &Csr, start: i32, end: i32) -> Certificate {
        let mut request = CertificateSigningRequestParams::from_pem(&csr.0).unwrap();
        request.params.not_before = rcgen::date_time_ymd(start, 1, 1);
        request.params.not_after = rcgen::date_time_ymd(end, 1, 1);
        let certificate = request.signed_by(&self.ca).unwrap();
        Certificate { device: "db01".parse().unwrap(), certificate: certificate.pem(), ca: self.ca.pem() }
    }
}

impl Link {
    pub async fn say(&mut self, message: &FromProxy) {
        self.stream.write_all(&encode(message).unwrap()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub async fn hear(&mut self) -> FromAgent {
        tokio::time::timeout(PATIENCE, self.hear_on()).await.expect("the agent said nothing")
    }

    /// The next message, however long it takes. What was read of one stays.
    pub async fn hear_on(&mut self) -> FromAgent {
        loop {
            if let Some(message) = self.decoder.message().unwrap() {
                return message;
            }
            let mut buffer = [0; 16 * 1024];
            let count = self.stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the agent closed the link");
            self.decoder.feed(&buffer[..count]);
        }
    }

    /// The next message that is no sign of life, nor told at the agent's leisure.
    pub async fn news(&mut self) -> FromAgent {
        loop {
            match self.hear().await {
                FromAgent::Alive | FromAgent::Residue { .. } => {}
                other => return other,
            }
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    suite.common.hash_provider.hash(bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
