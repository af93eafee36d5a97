//! Secrets at rest: what logs the gate in to devices without an agent, and what a person views.
//!
//! - A secret is sealed under a data key of its own, and that under a master key that is in no store
//!   ([`sealing`]). Rows name their master key, so that two can be there while one follows the other.
//! - A step and its audit record are in one transaction; no record has anything of a secret.
//! - Where a secret is there and does not open, that is an error and never as if there were none.
//!
//! A secret that is to be set anew on its device as well has its place here: it is one more step on a
//! row.

mod error;
mod keys;
mod rotation;
mod sealing;
mod secret;
#[cfg(test)]
mod tests;
mod waiting;

pub use error::{Keyless, VaultError};
pub use keys::look_at_key;
pub use rotation::{Rotated, VaultKeys};
pub use secret::{CredentialSecret, MOST_BYTES, NoSecret};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_common::audit::Event;
use tidegate_common::name::CredentialName;
use tokio::sync::Mutex;

use crate::access::By;
use crate::audit_log::AuditLog;
use crate::store::{SecretRow, SecretSeen, Store};
use crate::turn::Turn;
use keys::Keys;
use sealing::{AssociatedData, Sealed};

/// The vault; clones share it.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    store: Store,
    audit: AuditLog,
    /// The master key's file, if one is configured.
    key: Option<PathBuf>,
    /// Held while this gate changes a secret.
    changing: Mutex<()>,
}

impl Vault {
    /// A vault with the master key in this file.
    #[must_use]
    pub fn new(store: Store, audit: AuditLog, key: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner { store, audit, key, changing: Mutex::default() }))
    }

    /// Whether secrets can be used: the master key is there and is one.
    ///
    /// # Errors
    /// What is wrong with it, also where none is configured.
    pub async fn is_ready(&self) -> Result<(), VaultError> {
        self.keys().await.map(drop)
    }

    /// Looks at the start whether what is configured holds, and warns of secrets that do not open.
    ///
    /// # Errors
    /// When a key is configured and is none, or the store fails.
    pub async fn check(&self) -> Result<(), VaultError> {
        let known = match &self.0.key {
            None => Vec::new(),
            Some(_) => self.keys().await?.ids(),
        };
        let all = self.list().await?;
        let locked = all.iter().filter(|seen| !known.contains(&seen.key)).count();
        if locked > 0 {
            let of = all.len();
            tracing::warn!("{locked} of {of} secrets are under a master key that this gate does not have");
        }
        Ok(())
    }

    /// Puts a secret in, in the place of the one before.
    ///
    /// # Errors
    /// When there is no master key, the credential is gone, or the store or the audit log failed.
    pub async fn set(
        &self,
        credential: &CredentialName,
        secret: &CredentialSecret,
        by: &By,
    ) -> Result<SecretSeen, VaultError> {
        let mut turn = Turn::take(&self.0.changing).await;
        loop {
            let done = self.set_once(credential, secret, by).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn set_once(
        &self,
        credential: &CredentialName,
        secret: &CredentialSecret,
        by: &By,
    ) -> Result<SecretSeen, VaultError> {
        let keys = self.keys().await?;
        let was = self.0.store.secret(credential).await?.map(|row| row.version);
        let version = was.unwrap_or_default().saturating_add(1);
        let kind = secret.kind();
        let associated = AssociatedData { credential, kind, version };
        let sealed = associated.seal(&keys.now.key, secret.text().as_bytes());
        let Sealed { data_key, secret } = sealed.map_err(|_| VaultError::Sealing)?;
        let seen = SecretSeen {
            credential: credential.clone(),
            kind,
            set: Timestamp::now(),
            by: by.actor.to_string(),
            key: keys.now.id,
        };
        let row = SecretRow { seen: seen.clone(), version, data_key, secret };
        let event = by.did(Event::SecretSet { credential: credential.clone(), kind });
        self.0.audit.step(vec![event], Store::secret_set_step(row, was)).await?;
        Ok(seen)
    }

    /// Takes a secret out.
    ///
    /// # Errors
    /// When there is none, or the store or the audit log failed.
    pub async fn forget(&self, credential: &CredentialName, by: &By) -> Result<(), VaultError> {
        let mut turn = Turn::take(&self.0.changing).await;
        loop {
            let done = self.forget_once(credential, by).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn forget_once(&self, credential: &CredentialName, by: &By) -> Result<(), VaultError> {
        let row = self.0.store.secret(credential).await?;
        let was = row.ok_or_else(|| VaultError::None(credential.clone()))?.version;
        let event = by.did(Event::SecretForgotten { credential: credential.clone() });
        Ok(self.0.audit.step(vec![event], Store::secret_forgotten_step(credential.clone(), was)).await?)
    }

    /// A credential's secret, if it has one.
    ///
    /// # Errors
    /// When it has one and that does not open, or the store failed.
    pub async fn secret(&self, credential: &CredentialName) -> Result<Option<CredentialSecret>, VaultError> {
        let Some(row) = self.0.store.secret(credential).await? else { return Ok(None) };
        let keys = self.keys().await?;
        let master = keys.named(&row.seen.key).ok_or_else(|| self.locked(&row.seen))?;
        let altered = || VaultError::Altered(credential.clone());
        let associated = associated(&row);
        let bytes = associated.open(master, &sealed(&row)).map_err(|_| altered())?;
        CredentialSecret::kept(row.seen.kind, bytes).map(Some).map_err(|_| altered())
    }

    /// Which credentials have one, by name.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn list(&self) -> Result<Vec<SecretSeen>, VaultError> {
        Ok(self.0.store.secrets().await?)
    }

    fn locked(&self, seen: &SecretSeen) -> VaultError {
        VaultError::Locked { credential: seen.credential.clone(), key: seen.key.clone() }
    }

    async fn keys(&self) -> Result<Keys, VaultError> {
        Keys::read(self.0.key.as_deref().ok_or(VaultError::Key(Keyless::None))?).await
    }

    fn key_file(&self) -> Option<&Path> {
        self.0.key.as_deref()
    }
}

fn associated(row: &SecretRow) -> AssociatedData<'_> {
    AssociatedData { credential: &row.seen.credential, kind: row.seen.kind, version: row.version }
}

fn sealed(row: &SecretRow) -> Sealed {
    Sealed { data_key: row.data_key.clone(), secret: row.secret.clone() }
}

/// Lets nobody but root see into this process, and the system write no core dump of it (prctl(2),
/// PR_SET_DUMPABLE). Where the system does not take it, secrets are as safe as `LimitCORE=0` of the unit
/// makes them.
pub fn keep_memory_private() {
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(%error, "core dumps are not switched off");
    }
}
