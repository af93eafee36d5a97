//! The certificate authority of the agents' links.
//!
//! It is made at the first start and lives in the state directory: `agents_ca.pem`
//! and `agents_ca.key` (0600). It signs two kinds of leaf: one for the proxy's
//! end of the links, made anew at each start and never stored, and one for each
//! agent, whose key never leaves its host.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tidegate_common::digest::Digest;
use tidegate_common::name::DeviceName;
use tidegate_common::wire::{self, Csr};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::files::write_new;

/// How long an agent's certificate is valid. It renews after two thirds of it.
pub const AGENT_VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the proxy's own leaf is valid; it is made anew at each start.
const PROXY_VALIDITY: Duration = Duration::from_secs(5 * 365 * 24 * 3600);
/// How far the clocks of proxy and agent may be apart.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// What can go wrong with the CA.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file can't be read or written.
    #[error("{path}: {error}; the proxy's user must own the state directory")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A key or certificate can't be made or read.
    #[error("the agents' CA: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS does not take the CA.
    #[error("the agents' CA is not usable for TLS: {0}")]
    Tls(String),
}

/// The CA, and what the proxy's end of each link proves itself with.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    fingerprint: Digest,
}

impl Ca {
    /// Reads the CA from the state directory, or makes it.
    ///
    /// # Errors
    /// When a file can't be read, written or understood.
    pub fn open(state: &Path) -> Result<Self, CaError> {
        let key_path = state.join("agents_ca.key");
        let pem_path = state.join("agents_ca.pem");
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|error| CaError::File { path: path.to_owned(), error })
        };
        if !pem_path.exists() {
            let key = KeyPair::generate()?;
            let certificate = ca_params()?.self_signed(&key)?;
            for (path, text, mode) in
                [(&key_path, key.serialize_pem(), 0o600), (&pem_path, certificate.pem(), 0o644)]
            {
                write_new(path, text.as_bytes(), mode)
                    .map_err(|error| CaError::File { path: path.clone(), error })?;
            }
        }
        let pem = read(&pem_path)?;
        let key = KeyPair::from_pem(&read(&key_path)?)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| CaError::Tls(format!("{}: {error}", pem_path.display())))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        let fingerprint = fingerprint(&certificate);
        Ok(Self { issuer, certificate, pem, fingerprint })
    }

    /// SHA-256 of the CA's certificate (DER), in hexadecimal; tokens carry it.
    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// TLS 1.3 for the agents' listener. A client may come without a certificate, to
    /// enrol; one it brings must be ours.
    ///
    /// # Errors
    /// When TLS does not take the CA.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, CaError> {
        let tls = |error: &dyn std::fmt::Display| CaError::Tls(error.to_string());
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![wire::SERVER_NAME.to_owned()])?;
        params.distinguished_name = named(wire::SERVER_NAME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        validity(&mut params, PROXY_VALIDITY);
        let leaf = params.signed_by(&key, &self.issuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|error| tls(&error))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| tls(&error))?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| tls(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![leaf.der().clone(), self.certificate.clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .map_err(|error| tls(&error))?;
        Ok(Arc::new(config))
    }

    /// Signs an agent's request. Only its public key is taken over: the subject is
    /// the device that the token or the old certificate named.
    ///
    /// # Errors
    /// When the request is no request or not signed by its own key.
    pub fn sign(&self, csr: &Csr, device: &DeviceName) -> Result<(wire::Certificate, Digest), CaError> {
        let mut request = CertificateSigningRequestParams::from_pem(&csr.0)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(device.as_str());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        validity(&mut params, AGENT_VALIDITY);
        request.params = params;
        let certificate = request.signed_by(&self.issuer)?;
        let fingerprint = fingerprint(certificate.der());
        let answer = wire::Certificate {
            device: device.clone(),
            certificate: certificate.pem(),
            ca: self.pem.clone(),
        };
        Ok((answer, fingerprint))
    }
}

/// SHA-256 of a certificate.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    Digest::try_from(digest.as_ref()).unwrap_or_default()
}

/// SHA-256 of a certificate's public key (its SubjectPublicKeyInfo, RFC 5280, 4.1.2.7).
pub fn public_key(certificate: &CertificateDer<'_>) -> Option<Digest> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.public_key().raw);
    Digest::try_from(digest.as_ref()).ok()
}

/// The device that a verified certificate names.
pub fn device(certificate: &CertificateDer<'_>) -> Option<DeviceName> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?;
    name.as_str().ok()?.parse().ok()
}

fn named(name: &str) -> rcgen::DistinguishedName {
    let mut distinguished = rcgen::DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn validity(params: &mut CertificateParams, validity: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + validity).into();
}

fn ca_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named("Tidegate agents CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (SystemTime::now() - CLOCK_SKEW).into();
    params.not_after = rcgen::date_time_ymd(2096, 1, 1);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_signed_for_the_tokens_device_whatever_it_asks_for() {
        let state = std::env::temp_dir().join(format!("tidegate-ca-{}", std::process::id()));
        fs::create_dir_all(&state).unwrap();
        let ca = Ca::open(&state).unwrap();
        let again = Ca::open(&state).unwrap();
        assert_eq!(ca.fingerprint(), again.fingerprint());

        let key = KeyPair::generate().unwrap();
        let mut asked = CertificateParams::new(vec!["tidegate-proxy".to_owned()]).unwrap();
        asked.distinguished_name = named("db99");
        let csr = Csr(asked.serialize_request(&key).unwrap().pem().unwrap());
        let (answer, _) = ca.sign(&csr, &"db01".parse().unwrap()).unwrap();
        let der = CertificateDer::from_pem_slice(answer.certificate.as_bytes()).unwrap();
        assert_eq!(device(&der), Some("db01".parse().unwrap()));
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        assert!(parsed.subject_alternative_name().unwrap().is_none());
        assert!(!parsed.is_ca());
        ca.server_config().unwrap();
        fs::remove_dir_all(&state).unwrap();
    }
}
