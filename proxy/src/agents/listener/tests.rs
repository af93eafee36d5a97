//! Who gets a certificate, and which one opens a link.

use rcgen::{CertificateParams, KeyPair};
use tidegate_common::wire::Hello;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::store::testing::Temporary;

struct Desk {
    context: ListenerContext,
    _temporary: Temporary,
}

impl Desk {
    async fn new() -> Self {
        let temporary = Temporary::new().await;
        Self { context: ListenerContext::testing(&temporary).await, _temporary: temporary }
    }

    async fn token(&self, secret: &str) -> Secret {
        let (token, now) = (Secret::new(secret.to_owned()), jiff::Timestamp::now());
        let later = now + Duration::from_secs(60);
        assert!(self.context.store.takes(Store::token_minted(&device(), &token, now, later)).await);
        token
    }

    async fn ask(&self, token: &Secret, csr: Csr) -> FromProxy {
        let enrol = Enrol { protocol: wire::VERSION, oldest: None, token: token.clone(), csr };
        self.context.enrol(FromAgent::Enrol(enrol), here()).await.unwrap()
    }

    async fn enrol(&self, key: &KeyPair) -> CertificateDer<'static> {
        let token = self.token(&key.serialize_pem()).await;
        match self.ask(&token, csr(key)).await {
            FromProxy::Enrolled(certificate) => der(&certificate),
            other => panic!("{other:?}"),
        }
    }

    async fn knows(&self, certificate: &CertificateDer<'_>) -> Result<DeviceName, String> {
        let peer = self.context.recognise(certificate, here()).await;
        peer.map(|peer| peer.device).map_err(|error| error.to_string())
    }

    async fn revoke(&self) {
        assert!(self.context.store.takes(Store::agent_revoked(&device())).await);
        self.context.registry.dismiss(&device(), "this agent's enrolment was revoked");
    }
}

fn here() -> IpAddr {
    "192.0.2.1".parse().unwrap()
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

fn hello() -> FromAgent {
    FromAgent::Hello(Hello::new("1"))
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
    let renewed = desk.context.renew(&device(), &csr(&key)).await.unwrap();
    for certificate in [&der(&renewed), &first] {
        assert_eq!(desk.knows(certificate).await, Ok(device()));
    }
    let other = desk.context.renew(&device(), &csr(&KeyPair::generate().unwrap())).await;
    let other = other.unwrap_err().to_string();
    assert!(other.contains("another key"), "{other}");
    desk.revoke().await;
    let revoked = desk.context.renew(&device(), &csr(&key)).await.unwrap_err().to_string();
    assert!(revoked.contains("revoked"), "{revoked}");
}

#[tokio::test]
async fn a_token_whose_request_can_not_be_read_stays_good_and_lets_no_revoked_key_back_in() {
    let desk = Desk::new().await;
    let revoked = desk.enrol(&KeyPair::generate().unwrap()).await;
    desk.revoke().await;
    assert!(desk.knows(&revoked).await.is_err());
    let token = desk.token("again").await;
    for nonsense in ["", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"] {
        let answer = desk.ask(&token, Csr(nonsense.to_owned())).await;
        let FromProxy::Goodbye { why } = answer else { panic!("{answer:?}") };
        assert!(why.contains("the token is still good"), "{why}");
        assert!(desk.knows(&revoked).await.unwrap_err().contains("revoked"));
    }
    let key = KeyPair::generate().unwrap();
    let FromProxy::Enrolled(certificate) = desk.ask(&token, csr(&key)).await else { panic!("not enrolled") };
    assert_eq!(desk.knows(&der(&certificate)).await, Ok(device()));
    assert!(desk.knows(&revoked).await.is_err(), "the revoked key is another");
    let answer = desk.ask(&token, csr(&key)).await;
    assert!(matches!(answer, FromProxy::Goodbye { .. }), "it is used now: {answer:?}");
}

/// When an enrolment is revoked, as its agent links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Recognised,
    /// Nothing more is asked of the agent, and nobody knows of its link yet.
    Welcome,
    Linked,
}

#[tokio::test]
async fn an_agent_that_is_revoked_at_any_moment_of_its_linking_is_not_linked() {
    for moment in [Moment::Recognised, Moment::Welcome, Moment::Linked] {
        let desk = Desk::new().await;
        let certificate = desk.enrol(&KeyPair::generate().unwrap()).await;
        let peer = desk.context.recognise(&certificate, here()).await.unwrap();
        // The welcome does not fit, so that the gate waits for its reader.
        let (near, mut agent) = tokio::io::duplex(16);
        let mut frames = Frames::new(near);
        let linking = async {
            if moment == Moment::Recognised {
                desk.revoke().await;
            }
            agent.write_all(&wire::encode(&hello()).unwrap()).await.unwrap();
            let _ = agent.read_u8().await;
            if moment == Moment::Welcome {
                assert!(desk.context.registry.status(&device()).is_none());
                desk.revoke().await;
            }
            let mut sink = tokio::io::sink();
            let reading = tokio::io::copy(&mut agent, &mut sink);
            let linked = async {
                if moment == Moment::Linked {
                    while desk.context.registry.status(&device()).is_none() {
                        tokio::task::yield_now().await;
                    }
                    desk.revoke().await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                _ = reading => {}
                () = linked => {}
            }
        };
        let serving = link::serve(&desk.context, &peer, &mut frames);
        let served = tokio::select! {
            served = serving => served,
            () = linking => panic!("{moment:?}: the gate has closed it without a word"),
        };
        let Err(error) = served;
        assert!(error.to_string().contains("revoked"), "{moment:?}: {error}");
        assert!(desk.context.registry.status(&device()).is_none(), "{moment:?}");
    }
}
