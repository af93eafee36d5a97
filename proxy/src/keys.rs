//! The gate's own keys: what it proves itself with, and what it signs with.
//!
//! All are made at the first start, kept in the state directory with mode 0600
//! and never leave it: host keys (Ed25519 and RSA), the user CA whose
//! certificates log in to devices, and the host CA that vouches for devices
//! reached by `ssh -J`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::Rng;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::private::RsaKeypair;
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKey, PublicKey, ssh_key};
use tidegate_common::id::SessionId;
use tidegate_common::model::{Forward, Network};
use tidegate_common::wire::MOST_SKEW_SECONDS;

use crate::algorithms::Algorithms;
use crate::files::write_new;

/// What can go wrong with keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file can't be read or written.
    #[error("{path}: {error}; the proxy's user must own the state directory")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file is no key.
    #[error("{path} is not an OpenSSH private key without a passphrase: {error}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: ssh_key::Error,
    },
    /// A key could not be made or used.
    #[error("a key could not be made: {0}")]
    Make(#[from] ssh_key::Error),
}

/// The gate's keys.
#[derive(Debug)]
pub struct Keys {
    /// What the gate proves itself with, best first.
    pub host: Vec<PrivateKey>,
    user_ca: PrivateKey,
    host_ca: PrivateKey,
}

/// A key and certificate for one session's login to its device.
#[derive(Debug)]
pub struct SessionKey {
    /// The key; it lives as long as the session.
    pub key: Arc<PrivateKey>,
    /// Names the account, the session and where it may be used from.
    pub certificate: Certificate,
}

/// How long a session's certificate is valid, in seconds: long enough to log in, by any
/// clock that may be.
const CERTIFICATE_SECONDS: u64 = MOST_SKEW_SECONDS;

impl Keys {
    /// Proves itself with keys of these algorithms only.
    pub fn choose(&mut self, algorithms: &Algorithms) {
        self.host.retain(|key| algorithms.take(key));
    }

    /// Reads the keys from the state directory, making those that are missing.
    ///
    /// # Errors
    /// When a file can't be read, written or understood.
    pub fn open(state: &Path) -> Result<Self, KeyError> {
        let ed25519 = || Ok(PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?);
        let rsa = || {
            let pair = RsaKeypair::random(&mut rand::rng(), 3072)?;
            Ok(PrivateKey::from(pair))
        };
        Ok(Self {
            host: vec![
                open_key(&state.join("ssh_host_ed25519_key"), ed25519)?,
                open_key(&state.join("ssh_host_rsa_key"), rsa)?,
            ],
            user_ca: open_key(&state.join("user_ca"), ed25519)?,
            host_ca: open_key(&state.join("host_ca"), ed25519)?,
        })
    }

    /// The user CA's public key, for a device's `TrustedUserCAKeys`.
    pub fn user_ca(&self) -> &PublicKey {
        self.user_ca.public_key()
    }

    /// A fresh key with a certificate for these principals, which logs in for seconds, from
    /// these sources only, and permits a terminal and these forwards.
    ///
    /// # Errors
    /// When a key can't be made.
    pub fn session_key(
        &self,
        session: SessionId,
        principals: &[String],
        sources: &[Network],
        forwards: &[Forward],
    ) -> Result<SessionKey, KeyError> {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?;
        let mut builder = certificate(&key, CERTIFICATE_SECONDS)?;
        builder.cert_type(CertType::User)?;
        builder.key_id(session.to_string())?;
        for principal in principals {
            builder.valid_principal(principal)?;
        }
        let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
        builder.critical_option("source-address", sources.join(","))?;
        builder.extension("permit-pty", "")?;
        for (name, kinds) in [
            ("permit-X11-forwarding", &[Forward::X11][..]),
            ("permit-agent-forwarding", &[Forward::Agent]),
            ("permit-port-forwarding", &[Forward::Local, Forward::Remote]),
        ] {
            if forwards.iter().any(|forward| kinds.contains(forward)) {
                builder.extension(name, "")?;
            }
        }
        let certificate = builder.sign(&self.user_ca)?;
        Ok(SessionKey { key: Arc::new(key), certificate })
    }

    /// A certificate that says that the gate's best host key speaks for `host`,
    /// valid for an hour; a new one is made for each connection.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn host_certificate(&self, host: &str) -> Result<Certificate, KeyError> {
        let key = self.host.first().unwrap_or(&self.host_ca);
        let mut builder = certificate(key, 3600)?;
        builder.cert_type(CertType::Host)?;
        builder.key_id(host)?;
        builder.valid_principal(host)?;
        Ok(builder.sign(&self.host_ca)?)
    }
}

fn certificate(key: &PrivateKey, seconds: u64) -> Result<Builder, KeyError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
    let mut builder = Builder::new_with_random_nonce(
        &mut rand::rng(),
        key.public_key(),
        now.saturating_sub(MOST_SKEW_SECONDS),
        now + seconds,
    )?;
    builder.serial(rand::rng().next_u64())?;
    Ok(builder)
}

fn open_key(
    path: &Path,
    make: impl FnOnce() -> Result<PrivateKey, KeyError>,
) -> Result<PrivateKey, KeyError> {
    let file = |error| KeyError::File { path: path.to_owned(), error };
    match fs::read(path) {
        Ok(text) => {
            PrivateKey::from_openssh(&text).map_err(|error| KeyError::Key { path: path.to_owned(), error })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = make()?;
            let text = key.to_openssh(ssh_key::LineEnding::LF)?;
            write_new(path, text.as_bytes(), 0o600).map_err(file)?;
            let public = format!("{}\n", key.public_key().to_openssh()?);
            write_new(&path.with_extension("pub"), public.as_bytes(), 0o644).map_err(file)?;
            Ok(key)
        }
        Err(error) => Err(file(error)),
    }
}

/// A public key as people compare it: `SHA256:…`.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}
