//! Who somebody is: what a key or a certificate proves them to be. Every way in (the console,
//! a session, approvals, jumps) begins with [`Logins::enter`], so what a log-in has to show
//! beyond the first proof is asked for there; what it rests on is watched by [`Access`].

use std::net::IpAddr;

use jiff::Timestamp;
use ssh_key::certificate::CertType;
use ssh_key::{Certificate, HashAlg, PublicKey};
use tidegate_common::audit::{Event, LoginMethod, Note};
use tidegate_common::model::{self, PanicScope};
use tidegate_common::name::UserName;
use tidegate_common::policy::{EndReason, Login, LoginGone, NoEntry, Proved};

use crate::access::Access;
use crate::audit_log::{AuditError, AuditLog};
use crate::origin::is_in;
use crate::refusals::Refusals;

/// Why a certificate proves nothing here. For the audit log; the client learns only
/// that it is not let in.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A host's, not a user's.
    #[error("it is no user certificate")]
    Kind,
    /// No CA is configured that signed it, or its time is not now.
    #[error("it is not signed by a CA of this gate, or not valid now: {0}")]
    Signature(ssh_key::Error),
    /// It names others.
    #[error("it does not name {0}")]
    Principal(UserName),
    /// It names others, too.
    #[error("it names {0} by a principal that another user has, too; `get users` shows who")]
    Shared(UserName),
    /// The user is not there, or is disabled.
    #[error("no such user is enabled")]
    User,
    /// A panic keeps the user out.
    #[error("{0} is stopped by a panic until an administrator lifts it")]
    Panic(PanicScope),
    /// It may not be used from there.
    #[error("it may not be used from {0}")]
    Source(IpAddr),
    /// It carries a critical option that this gate does not enforce.
    #[error("it carries the critical option `{0}`, which this gate does not know")]
    Option(String),
}

/// Why somebody who has proved who they are is not in.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// They may not enter from where they come.
    #[error(transparent)]
    Refused(#[from] NoEntry),
    /// It could not be logged.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Who may log in, and how. Clones share it.
#[derive(Clone)]
pub struct Logins {
    access: Access,
    audit: AuditLog,
    refusals: Refusals,
    /// Those whose certificates are taken, besides registered keys.
    cas: Vec<model::PublicKey>,
}

impl Logins {
    /// Log-ins by the keys of users, and by certificates of these CAs.
    #[must_use]
    pub fn new(access: Access, audit: AuditLog, refusals: Refusals, cas: Vec<model::PublicKey>) -> Self {
        Self { access, audit, refusals, cas }
    }

    /// Whether any key may turn out to be a certificate's.
    #[must_use]
    pub fn takes_certificates(&self) -> bool {
        !self.cas.is_empty()
    }

    /// Lets somebody in who has proved who they are, if they may enter from where they come; `shown`
    /// is the key or certificate, for the log.
    ///
    /// # Errors
    /// When they may not, or it could not be logged; then nobody is in.
    pub async fn enter(&self, proved: &Proved, method: LoginMethod, shown: &str) -> Result<(), EnterError> {
        let Proved { user, origin, .. } = proved;
        match self.access.enter(proved) {
            Ok(None) => {}
            Ok(Some(why)) => {
                let event = Event::EntryReported { user: user.clone(), why: Note::new(why.to_string()) };
                self.audit.append(event.by_user(user, *origin)).await?;
            }
            Err(why) => {
                let event = Event::LoginRefused { user: Note::new(user), why: Note::new(why.to_string()) };
                self.refusals.tell(*origin, "log-ins", event.by_user(user, *origin)).await?;
                return Err(EnterError::Refused(why));
            }
        }
        let event = Event::LoginAccepted { user: user.clone(), method, key: Note::new(shown) };
        self.audit.append(event.by_user(user, *origin)).await?;
        Ok(())
    }

    /// What a key proves `user` with, if the client holds it.
    ///
    /// # Errors
    /// When it proves nothing, or lets nobody in.
    pub fn takes_key(&self, user: &UserName, key: &PublicKey, origin: IpAddr) -> Result<Proved, EndReason> {
        let key = own(key).ok_or(EndReason::Login(LoginGone::Key))?;
        let login = self.access.enrolled(user, &key).unwrap_or(Login::Key(key)).into();
        let proved = Proved { user: user.clone(), login, origin };
        self.access.proves(&proved).map(|()| proved)
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
            .cas
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
        let proved = Proved { user: user.clone(), login: login.into(), origin };
        match self.access.proves(&proved) {
            Ok(()) => Ok(proved),
            Err(EndReason::Login(LoginGone::SharedPrincipal)) => Err(CertificateError::Shared(user.clone())),
            Err(EndReason::Login(_)) => Err(CertificateError::Principal(user.clone())),
            Err(EndReason::Panic(scope)) => Err(CertificateError::Panic(scope)),
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
