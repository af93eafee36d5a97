//! Who a key or a certificate proves someone to be.

use std::net::IpAddr;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Certificate, HashAlg, PublicKey};
use tidegate_common::name::UserName;

use super::Gate;
use crate::origin::is_in;

/// Why a certificate proves nothing here. For the audit log; the client learns only
/// that it is not let in.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A host's, not a user's.
    #[error("it is no user certificate")]
    Kind,
    /// No CA is configured that signed it, or its time is not now.
    #[error("it is not signed by a CA of this gate, or not valid now: {0}")]
    Signature(russh::keys::ssh_key::Error),
    /// It names others.
    #[error("it does not name {0}")]
    Principal(UserName),
    /// It may not be used from there.
    #[error("it may not be used from {0}")]
    Source(IpAddr),
    /// It carries a critical option that this gate does not enforce.
    #[error("it carries the critical option `{0}`, which this gate does not know")]
    Option(String),
    /// The user is not there, or is disabled.
    #[error("no such user is enabled")]
    User,
}

impl Gate {
    /// Whether a key is one of an enabled user's.
    pub fn has_key(&self, user: &UserName, key: &PublicKey) -> bool {
        let snapshot = self.access.snapshot();
        let Some(user) = snapshot.user(user).filter(|user| user.enabled) else {
            return false;
        };
        user.keys.iter().any(|known| {
            PublicKey::from_openssh(&known.to_string()).is_ok_and(|known| known.key_data() == key.key_data())
        })
    }

    /// Whether a certificate, whose key the client has proved to hold, proves `user`.
    ///
    /// # Errors
    /// When it does not, with the reason for the log.
    pub fn takes_certificate(
        &self,
        user: &UserName,
        certificate: &Certificate,
        origin: IpAddr,
    ) -> Result<(), CertificateError> {
        if certificate.cert_type() != CertType::User {
            return Err(CertificateError::Kind);
        }
        let cas: Vec<_> = self
            .settings
            .trusted_user_cas
            .iter()
            .filter_map(|line| PublicKey::from_openssh(&line.to_string()).ok())
            .map(|ca| ca.fingerprint(HashAlg::Sha256))
            .collect();
        certificate.validate(&cas).map_err(CertificateError::Signature)?;
        let snapshot = self.access.snapshot();
        let known = snapshot.user(user).filter(|user| user.enabled).ok_or(CertificateError::User)?;
        if !certificate.valid_principals().iter().any(|principal| known.has_principal(principal)) {
            return Err(CertificateError::Principal(user.clone()));
        }
        for (name, value) in certificate.critical_options().iter() {
            match name.as_str() {
                "source-address" if is_in(origin, value) => {}
                "source-address" => return Err(CertificateError::Source(origin)),
                other => return Err(CertificateError::Option(other.to_owned())),
            }
        }
        Ok(())
    }
}
