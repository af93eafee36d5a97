//! Who a key or a certificate proves someone to be.

use std::net::IpAddr;

use jiff::Timestamp;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Certificate, HashAlg, PublicKey};
use tidegate_common::model;
use tidegate_common::name::UserName;
use tidegate_common::policy::{EndReason, Login, LoginGone, Proved};

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
    /// It names others, too.
    #[error("it names {0} by a principal that another user has, too; `get users` shows who")]
    Shared(UserName),
    /// The user is not there, or is disabled.
    #[error("no such user is enabled")]
    User,
    /// It may not be used from there.
    #[error("it may not be used from {0}")]
    Source(IpAddr),
    /// It carries a critical option that this gate does not enforce.
    #[error("it carries the critical option `{0}`, which this gate does not know")]
    Option(String),
}

impl Gate {
    /// What a key proves `user` with, if the client holds it.
    ///
    /// # Errors
    /// When it proves nothing.
    pub fn takes_key(&self, user: &UserName, key: &PublicKey) -> Result<Proved, LoginGone> {
        let login = Login::Key(own(key).ok_or(LoginGone::Key)?).into();
        let proved = Proved { user: user.clone(), login };
        match self.access.still_in(&proved) {
            Ok(()) => Ok(proved),
            Err(EndReason::Login(gone)) => Err(gone),
            Err(_) => Err(LoginGone::Key),
        }
    }

    /// What a certificate, whose key the client has proved to hold, proves `user` with.
    ///
    /// # Errors
    /// When it does not, with the reason for the log.
    pub fn takes_certificate(
        &self,
        user: &UserName,
        certificate: &Certificate,
        origin: IpAddr,
    ) -> Result<Proved, CertificateError> {
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
        for (name, value) in certificate.critical_options().iter() {
            match name.as_str() {
                "source-address" if is_in(origin, value) => {}
                "source-address" => return Err(CertificateError::Source(origin)),
                other => return Err(CertificateError::Option(other.to_owned())),
            }
        }
        let login = Login::Certificate {
            principals: certificate.valid_principals().to_vec(),
            until: end_of(certificate.valid_before()),
        };
        let proved = Proved { user: user.clone(), login: login.into() };
        match self.access.still_in(&proved) {
            Ok(()) => Ok(proved),
            Err(EndReason::Login(LoginGone::SharedPrincipal)) => Err(CertificateError::Shared(user.clone())),
            Err(EndReason::Login(_)) => Err(CertificateError::Principal(user.clone())),
            Err(_) => Err(CertificateError::User),
        }
    }
}

/// The key as the resources have it; none for a kind that they don't take.
fn own(key: &PublicKey) -> Option<model::PublicKey> {
    key.to_openssh().ok()?.parse().ok()
}

/// The end of a certificate in seconds since 1970; all that is beyond our calendar is none.
fn end_of(valid_before: u64) -> Option<Timestamp> {
    i64::try_from(valid_before).ok().and_then(|seconds| Timestamp::from_second(seconds).ok())
}
