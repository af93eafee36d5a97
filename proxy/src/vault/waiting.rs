//! Texts that wait in the store until they are sent, such as the code of a link: sealed under the master key
//! itself, because they are few and short-lived. They are not put under another one: what waits while the old
//! key's file goes is made again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tidegate_common::secret::Secret;

use super::{Vault, VaultError, sealing};

/// How a sealed text begins; the id of its key and base64 follow, with a colon between.
const SEALED: &str = "sealed:1:";

impl Vault {
    /// Seals a text that waits to be sent, so that it opens as this one's only. Where no master key is
    /// configured it waits as it is.
    ///
    /// # Errors
    /// When one is configured and cannot be used.
    pub async fn seal_waiting(&self, of: &str, text: Secret) -> Result<Secret, VaultError> {
        if self.key_file().is_none() {
            return Ok(text);
        }
        let now = self.keys().await?.now;
        let sealed = sealing::seal_waiting(&now.key, of, text.reveal().as_bytes());
        let sealed = STANDARD_NO_PAD.encode(sealed.map_err(|_| VaultError::Sealing)?);
        Ok(Secret::new(format!("{SEALED}{}:{sealed}", now.id)))
    }

    /// Opens it; what was not sealed is as it is.
    ///
    /// # Errors
    /// When its key is gone, or it is another one's or altered.
    pub async fn open_waiting(&self, of: &str, kept: &Secret) -> Result<Secret, VaultError> {
        let Some(sealed) = kept.reveal().strip_prefix(SEALED) else { return Ok(kept.clone()) };
        let lost = || VaultError::Waiting(of.to_owned());
        let (id, text) = sealed.split_once(':').ok_or_else(lost)?;
        let keys = self.keys().await?;
        let master = keys.named(id).ok_or_else(lost)?;
        let sealed = STANDARD_NO_PAD.decode(text).map_err(|_| lost())?;
        let mut text = sealing::open_waiting(master, of, &sealed).map_err(|_| lost())?;
        String::from_utf8(std::mem::take(&mut *text)).map(Secret::new).map_err(|_| lost())
    }
}
