//! Who the agent is: its key, which never leaves the host, its certificate, and
//! the CA it enrolled with, which it trusts alone from then on.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::str::FromStr;

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tidegate_common::name::DeviceName;
use tidegate_common::secret::Secret;
use tidegate_common::wire::{Certificate, Csr};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::digest::sha256_hex;
use crate::files::{replace, replace_in};
use crate::paths::Paths;
use crate::text::read_words;

const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const CA: &str = "ca.pem";

/// Why the agent has no identity, or was given a wrong one.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The user's: no enrolment yet.
    #[error(
        "this host is not enrolled ({0} is missing); run: tidegate-agent enrol --proxy HOST:PORT --token TOKEN"
    )]
    NotEnrolled(PathBuf),
    /// The host's.
    #[error("{path} could not be read or written: {source}")]
    File { path: PathBuf, source: io::Error },
    /// The file's.
    #[error("{0} holds no usable PEM; enrol this host again")]
    Damaged(PathBuf),
    /// Ours.
    #[error("no key could be made: {0}")]
    Key(#[from] rcgen::Error),
    /// The peer's.
    #[error("the proxy sent a certificate that cannot be used: {0}")]
    Certificate(&'static str),
    /// The user's.
    #[error("the token is not one of `tg1.FINGERPRINT.SECRET`; copy it whole from `agent token`")]
    Token,
}

/// A one-time token for enrolling.
#[derive(Debug, Clone)]
pub struct Token {
    /// SHA-256 of the CA's certificate, lowercase hexadecimal.
    pub fingerprint: String,
    pub secret: Secret,
}

impl FromStr for Token {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let rest = text.trim().strip_prefix("tg1.").ok_or(IdentityError::Token)?;
        let (fingerprint, secret) = rest.split_once('.').ok_or(IdentityError::Token)?;
        let hex = |letter: char| letter.is_ascii_digit() || ('a'..='f').contains(&letter);
        if fingerprint.len() != 64 || !fingerprint.chars().all(hex) || secret.is_empty() {
            return Err(IdentityError::Token);
        }
        Ok(Self { fingerprint: fingerprint.to_owned(), secret: Secret::new(secret.to_owned()) })
    }
}

/// What the agent proves itself with, and what it trusts.
#[derive(Debug)]
pub struct Identity {
    pub key: PrivateKeyDer<'static>,
    pub certificate: CertificateDer<'static>,
    pub ca: CertificateDer<'static>,
}

impl Identity {
    /// Reads what enrolment wrote.
    ///
    /// # Errors
    /// When this host is not enrolled or its files are damaged.
    pub fn load(paths: &Paths) -> Result<Self, IdentityError> {
        let certificate = |file| {
            CertificateDer::from_pem_slice(&read(paths, file)?)
                .map_err(|_| IdentityError::Damaged(paths.identity(file)))
        };
        let key = PrivateKeyDer::from_pem_slice(&read(paths, KEY)?)
            .map_err(|_| IdentityError::Damaged(paths.identity(KEY)))?;
        Ok(Self { key, certificate: certificate(CERTIFICATE)?, ca: certificate(CA)? })
    }

    /// The device that this host is enrolled as.
    #[must_use]
    pub fn device(&self) -> Option<DeviceName> {
        let (_, certificate) = X509Certificate::from_der(&self.certificate).ok()?;
        let name = certificate.subject().iter_common_name().next()?;
        name.as_str().ok()?.parse().ok()
    }

    /// When to ask for the next certificate, in Unix seconds: two thirds into its life.
    #[must_use]
    pub fn renew_at(&self) -> Option<i64> {
        let (_, certificate) = X509Certificate::from_der(&self.certificate).ok()?;
        let (start, end) =
            (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
        Some(start.saturating_add(end.saturating_sub(start).saturating_mul(2) / 3))
    }

    /// When it expires, in Unix seconds.
    #[must_use]
    pub fn ends_at(&self) -> Option<i64> {
        let (_, certificate) = X509Certificate::from_der(&self.certificate).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }

    /// Whether the proxy still takes it, by this host's clock.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.ends_at().is_some_and(|ends| ends > jiff::Timestamp::now().as_second())
    }

    /// Whether a token is of the proxy that this host is enrolled with.
    #[must_use]
    pub fn is_of(&self, token: &Token) -> bool {
        sha256_hex(&self.ca) == token.fingerprint
    }

    /// A request for a certificate of this agent's own key.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn csr(&self) -> Result<Csr, IdentityError> {
        csr(&KeyPair::try_from(&self.key)?)
    }
}

/// A new key and the request for its certificate.
///
/// # Errors
/// When no key can be made.
pub fn new_key() -> Result<(KeyPair, Csr), IdentityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let csr = csr(&key)?;
    Ok((key, csr))
}

fn csr(key: &KeyPair) -> Result<Csr, IdentityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "tidegate-agent");
    Ok(Csr(params.serialize_request(key)?.pem()?))
}

/// Keeps a first certificate with its key and CA.
///
/// # Errors
/// When it is not for this key, not from this CA, or cannot be written.
pub fn enrolled(
    paths: &Paths,
    key: &KeyPair,
    fingerprint: &str,
    issued: &Certificate,
) -> Result<(), IdentityError> {
    let ca = CertificateDer::from_pem_slice(issued.ca.as_bytes())
        .map_err(|_| IdentityError::Certificate("its CA is no PEM"))?;
    if sha256_hex(&ca) != fingerprint {
        return Err(IdentityError::Certificate("its CA is not the one that the token names"));
    }
    check_key(issued, key.public_key_raw())?;
    // A key without its certificate, or one beside that of before, is no identity.
    let files = [
        (KEY, key.serialize_pem().into_bytes()),
        (CA, issued.ca.clone().into_bytes()),
        (CERTIFICATE, issued.certificate.clone().into_bytes()),
    ];
    replace_in(&paths.state, &files, 0o600)
        .map_err(|source| IdentityError::File { path: paths.state.clone(), source })
}

/// Keeps the next certificate for the same key and CA.
///
/// # Errors
/// When it is for another key or from another CA, or cannot be written.
pub fn renewed(paths: &Paths, identity: &Identity, issued: &Certificate) -> Result<(), IdentityError> {
    let ca = CertificateDer::from_pem_slice(issued.ca.as_bytes())
        .map_err(|_| IdentityError::Certificate("its CA is no PEM"))?;
    if ca != identity.ca {
        return Err(IdentityError::Certificate("its CA is not the one this host enrolled with"));
    }
    check_key(issued, KeyPair::try_from(&identity.key)?.public_key_raw())?;
    write(paths, CERTIFICATE, issued.certificate.as_bytes())
}

fn check_key(issued: &Certificate, key: &[u8]) -> Result<(), IdentityError> {
    let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes())
        .map_err(|_| IdentityError::Certificate("it is no PEM"))?;
    let (_, certificate) =
        X509Certificate::from_der(&der).map_err(|_| IdentityError::Certificate("it is no X.509"))?;
    if certificate.public_key().subject_public_key.data.as_ref() == key {
        Ok(())
    } else {
        Err(IdentityError::Certificate("it is for another key"))
    }
}

/// Makes the directory for all that survives a reboot, closed to others; tells whether there
/// was none.
///
/// # Errors
/// When it cannot be made.
pub fn make_state(paths: &Paths) -> Result<bool, IdentityError> {
    let is_new = !paths.state.exists();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&paths.state)
        .map_err(|source| IdentityError::File { path: paths.state.clone(), source })?;
    Ok(is_new)
}

/// Writes the keys that sshd shall trust, when they are others than before.
///
/// # Errors
/// When they are no key lines, or the file cannot be written.
pub fn trust_user_ca(paths: &Paths, keys: &[String]) -> Result<(), IdentityError> {
    let plain = |key: &String| key.len() <= 16 * 1024 && !key.chars().any(char::is_control);
    if keys.len() > 16 || !keys.iter().all(plain) {
        return Err(IdentityError::Certificate("its user CA is no list of at most 16 key lines"));
    }
    let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
    let path = paths.user_ca();
    if std::fs::read(&path).is_ok_and(|before| before == text.as_bytes()) {
        return Ok(());
    }
    replace(&path, text.as_bytes(), 0o644).map_err(|source| IdentityError::File { path, source })
}

/// sshd's public host keys, one line each.
#[must_use]
pub fn host_keys(paths: &Paths) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(paths.etc.join("ssh")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
        .iter()
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("ssh_host_") && name.ends_with("_key.pub")
        })
        // Its comment may be in any encoding.
        .filter_map(|path| read_words(path).ok())
        .map(|text| text.trim().to_owned())
        .filter(|line| !line.is_empty() && line.len() <= 16 * 1024 && !line.contains('\n'))
        .take(16)
        .collect()
}

fn read(paths: &Paths, file: &str) -> Result<Vec<u8>, IdentityError> {
    let path = paths.identity(file);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(IdentityError::NotEnrolled(path)),
        Err(source) => Err(IdentityError::File { path, source }),
    }
}

fn write(paths: &Paths, file: &str, content: &[u8]) -> Result<(), IdentityError> {
    let path = paths.identity(file);
    replace(&path, content, 0o600).map_err(|source| IdentityError::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    #[test]
    fn a_token_is_read_and_a_cut_one_refused() {
        let whole = format!("tg1.{}.s3cret", "ab".repeat(32));
        let token: Token = whole.parse().unwrap();
        assert_eq!(token.secret.reveal(), "s3cret");
        for cut in ["", "tg1.ab.s", &whole[..40], &whole.replace("tg1", "tg2"), &whole.replace("ab", "AB")] {
            assert!(matches!(cut.parse::<Token>(), Err(IdentityError::Token)), "{cut}");
        }
    }

    #[test]
    fn a_host_without_an_identity_is_told_how_to_enrol() {
        let scratch = Scratch::new();
        let error = Identity::load(scratch.paths()).unwrap_err().to_string();
        assert!(error.contains("run: tidegate-agent enrol"), "{error}");
    }

    #[test]
    fn user_ca_lines_that_could_carry_more_than_a_key_are_refused() {
        let scratch = Scratch::new();
        assert!(trust_user_ca(scratch.paths(), &["ssh-ed25519 AAAA\nssh-rsa BBBB".to_owned()]).is_err());
        trust_user_ca(scratch.paths(), &["ssh-ed25519 AAAA".to_owned()]).unwrap();
        assert_eq!(std::fs::read_to_string(scratch.paths().user_ca()).unwrap(), "ssh-ed25519 AAAA\n");
    }
}
