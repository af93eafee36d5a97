//! Another master key, while the gate runs: each data key is put under it, so many in one step. A row names
//! the key that it is under at every moment, so whatever ends in the middle leaves all of it readable with
//! both keys there, and is gone on with by the same command.

use serde::Serialize;
use tidegate_common::audit::{Event, Note};
use tidegate_common::name::CredentialName;

use super::keys::{Keys, old_of};
use super::{Vault, VaultError, associated};
use crate::access::By;
use crate::store::{Rewrapped, SecretRow, Store};
use crate::turn::Turn;

/// Secrets in one step.
const PAGE: u64 = 100;

/// What became of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rotated {
    /// The id of the master key that is in use.
    pub key: String,
    /// How many secrets are under it since now.
    pub secrets: u64,
    /// Where the one before can be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<String>,
    /// What stands against the others, a sentence each.
    pub failed: Vec<String>,
}

/// The master keys, and what is under them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VaultKeys {
    /// Where the key is.
    pub file: String,
    /// Its id.
    pub key: String,
    /// How many secrets are under it.
    pub secrets: usize,
    /// The id of the one before, while its file is there.
    pub old: Option<String>,
    /// How many are under that one.
    pub under_old: usize,
    /// How many are under a key that is not there.
    pub locked: usize,
}

impl Keys {
    /// Their ids.
    pub(super) fn ids(&self) -> Vec<String> {
        std::iter::once(&self.now).chain(&self.old).map(|one| one.id.clone()).collect()
    }
}

impl Vault {
    /// Puts every secret under the master key that is in the key's file now.
    ///
    /// # Errors
    /// When a key is not there or is none, or the store or the audit log failed; what was done stays.
    pub async fn rotate(&self, by: &By) -> Result<Rotated, VaultError> {
        let keys = self.keys().await?;
        let mut rotated = Rotated { key: keys.now.id.clone(), secrets: 0, remove: None, failed: Vec::new() };
        let mut turn = Turn::take(&self.0.changing).await;
        let mut after = None;
        loop {
            let done = self.rotate_page(&keys, after.as_ref(), by).await;
            if turn.again(&done) {
                continue;
            }
            let Page { last, moved, failed } = done?;
            rotated.secrets = rotated.secrets.saturating_add(moved);
            rotated.failed.extend(failed.iter().map(ToString::to_string));
            match last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        if keys.old.is_some() && rotated.failed.is_empty() {
            rotated.remove = self.key_file().map(|file| old_of(file).display().to_string());
        }
        Ok(rotated)
    }

    async fn rotate_page(
        &self,
        keys: &Keys,
        after: Option<&CredentialName>,
        by: &By,
    ) -> Result<Page, VaultError> {
        let rows = self.0.store.secrets_not_under(&keys.now.id, after, PAGE).await?;
        let last = rows.last().map(|row| row.seen.credential.clone());
        let (mut moved, mut failed) = (Vec::new(), Vec::new());
        for row in &rows {
            match self.rewrapped(keys, row) {
                Ok(one) => moved.push(one),
                Err(error) => failed.push(error),
            }
        }
        let count = u64::try_from(moved.len()).unwrap_or(u64::MAX);
        if count > 0 {
            let event = Event::SecretsRewrapped { key: Note::new(&keys.now.id), secrets: count };
            // Where somebody sets one of them meanwhile, the page is read again, without that one.
            self.0.audit.step(vec![by.did(event)], Store::secrets_rewrapped_step(moved)).await?;
        }
        Ok(Page { last, moved: count, failed })
    }

    pub(super) fn rewrapped(&self, keys: &Keys, row: &SecretRow) -> Result<Rewrapped, VaultError> {
        let from = keys.named(&row.seen.key).ok_or_else(|| self.locked(&row.seen))?;
        let credential = row.seen.credential.clone();
        let data_key = associated(row).rewrap(from, &keys.now.key, &row.data_key);
        let data_key = data_key.map_err(|_| VaultError::Altered(credential.clone()))?;
        let was = row.seen.key.clone();
        Ok(Rewrapped { credential, version: row.version, was, key: keys.now.id.clone(), data_key })
    }

    /// The master keys, and how many secrets are under each.
    ///
    /// # Errors
    /// When a key is not there or is none, or the store failed.
    pub async fn master_keys(&self) -> Result<VaultKeys, VaultError> {
        let keys = self.keys().await?;
        let all = self.list().await?;
        let under = |id: &str| all.iter().filter(|seen| seen.key == id).count();
        let old = keys.old.map(|old| old.id);
        let (secrets, under_old) = (under(&keys.now.id), old.as_deref().map(under).unwrap_or_default());
        Ok(VaultKeys {
            file: self.key_file().map(|file| file.display().to_string()).unwrap_or_default(),
            locked: all.len().saturating_sub(secrets).saturating_sub(under_old),
            key: keys.now.id,
            secrets,
            old,
            under_old,
        })
    }
}

/// What became of so many secrets.
struct Page {
    /// The last of them; none where there was none.
    last: Option<CredentialName>,
    moved: u64,
    failed: Vec<VaultError>,
}
