//! TLS 1.3 to the proxy: at enrolment the CA is the one that the token names, from
//! then on the one that was kept.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tidegate_common::wire::SERVER_NAME;

use crate::digest::sha256_hex;
use crate::identity::Identity;

/// Why no TLS can be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The identity's files do not make a TLS identity.
    #[error("the agent's key and certificate do not fit: {0}; enrol this host again")]
    Identity(rustls::Error),
    /// Ours: a name that never changes.
    #[error("the proxy's link name is no DNS name")]
    Name,
}

/// The name that the proxy's certificate must carry.
///
/// # Errors
/// Never, as long as the name is one.
pub fn server_name() -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(SERVER_NAME).map_err(|_| TlsError::Name)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// For every link after the first.
///
/// # Errors
/// When the identity cannot be used.
pub fn enrolled(identity: &Identity) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.ca.clone()).map_err(TlsError::Identity)?;
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Identity)?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .map_err(TlsError::Identity)
}

/// For the first link, when only the CA's fingerprint is known.
///
/// # Errors
/// Never with this build's provider.
pub fn enrolling(fingerprint: &str) -> Result<ClientConfig, TlsError> {
    let verifier = ByFingerprint { fingerprint: fingerprint.to_owned(), provider: provider() };
    Ok(ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Identity)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Trusts a chain that ends in the CA with this fingerprint, and checks it as usual.
#[derive(Debug)]
struct ByFingerprint {
    fingerprint: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ByFingerprint {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let ca = intermediates.iter().find(|certificate| sha256_hex(certificate) == self.fingerprint);
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let ca = ca.ok_or_else(|| unknown.clone())?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|_| unknown)?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn told(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// Whether a handshake failed because what came is not TLS.
#[must_use]
pub fn is_no_tls(error: &std::io::Error) -> bool {
    matches!(told(error), Some(rustls::Error::InvalidMessage(_)))
}

/// Whether a handshake failed because the other side is not who it should be.
#[must_use]
pub fn is_stranger(error: &std::io::Error) -> bool {
    let unknown = rustls::CertificateError::UnknownIssuer;
    matches!(told(error), Some(rustls::Error::InvalidCertificate(why)) if *why == unknown)
}

/// A random number in `0..=most`, for spreading reconnects.
#[must_use]
pub fn jitter(most: u64) -> u64 {
    let mut bytes = [0; 8];
    let filled = aws_lc_rs::default_provider().secure_random.fill(&mut bytes).is_ok();
    if filled { u64::from_le_bytes(bytes) % most.saturating_add(1) } else { 0 }
}
