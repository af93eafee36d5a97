//! Secrets of credentials in the vault, and its master key. What a secret is leaves this room by log-ins
//! to devices and by [`super::passwords`] alone.

use std::future::Future;

use serde::Serialize;
use tidegate_common::model::{Kind, ResourceName};
use tidegate_common::name::CredentialName;
use zeroize::Zeroizing;

use super::operation::{Operation, while_may};
use super::{Actor, Failure, Services};
use crate::access::AccessError;
use crate::store::SecretSeen;
use crate::vault::{CredentialSecret, Rotated, VaultKeys};

/// Where a secret comes from: a terminal that does not show it, or a pipe.
pub trait SecretSource: Send {
    /// Reads it, [`crate::vault::MOST_BYTES`] and one more at most; none where whoever types it leaves.
    ///
    /// # Errors
    /// When it can't be read.
    fn read(&mut self) -> impl Future<Output = std::io::Result<Option<Zeroizing<Vec<u8>>>>> + Send;
}

/// What became of a secret.
#[derive(Debug, Clone, Serialize)]
pub struct SecretSet {
    /// What may be seen of it.
    #[serde(flatten)]
    pub secret: SecretSeen,
    /// Whether it logs sessions in: on devices with an agent a certificate does.
    pub logs_in: bool,
}

/// Puts a credential's secret into the vault, in the place of the one before. Nothing is read for whoever
/// may not; none where they leave.
///
/// # Errors
/// When the actor is no administrator, or no longer once it was read, there is no such credential or no
/// master key, it is no secret, or the store fails.
pub async fn set(
    services: &Services,
    actor: &Actor,
    credential: &CredentialName,
    source: &mut impl SecretSource,
) -> Result<Option<SecretSet>, Failure> {
    let work = async {
        has_agent(services, credential)?;
        services.vault.is_ready().await?;
        let Some(bytes) = source.read().await? else { return Ok(None) };
        let secret = CredentialSecret::read(bytes)?;
        // It may have been long in coming.
        services.access.may_change(&actor.by())?;
        let logs_in = !has_agent(services, credential)?;
        let secret = services.vault.set(credential, &secret, &actor.by()).await?;
        Ok(Some(SecretSet { secret, logs_in }))
    };
    let may = while_may(services, actor, Actor::must_be_admin, work);
    Operation::SecretSet.perform(services, actor, may).await
}

/// Whether the device of a credential that is there has an agent.
fn has_agent(services: &Services, credential: &CredentialName) -> Result<bool, Failure> {
    let snapshot = services.access.snapshot();
    let unknown = || {
        let name = ResourceName { kind: Kind::Credential, name: credential.to_string() };
        Failure::from(AccessError::Unknown(name))
    };
    snapshot.credential(credential).ok_or_else(unknown)?;
    Ok(snapshot.device(&credential.device).is_some_and(|device| device.agent))
}

/// Takes a credential's secret out of the vault.
///
/// # Errors
/// When the actor is no administrator, there is none, or the store fails.
pub async fn forget(services: &Services, actor: &Actor, credential: &CredentialName) -> Result<(), Failure> {
    let work = async { Ok(services.vault.forget(credential, &actor.by()).await?) };
    Operation::SecretForget.perform(services, actor, work).await
}

/// Which credentials have a secret, by name.
///
/// # Errors
/// When the actor is no administrator, or the store fails.
pub async fn list(services: &Services, actor: &Actor) -> Result<Vec<SecretSeen>, Failure> {
    let work = async { Ok(services.vault.list().await?) };
    Operation::SecretList.perform(services, actor, work).await
}

/// Puts all secrets under the master key that is in its file now.
///
/// # Errors
/// When the actor is no administrator, a master key is none, or the store fails; what stands against
/// single secrets is in the answer.
pub async fn rotate(services: &Services, actor: &Actor) -> Result<Rotated, Failure> {
    let work = async { Ok(services.vault.rotate(&actor.by()).await?) };
    Operation::VaultRotate.perform(services, actor, work).await
}

/// The master keys, and how many secrets are under each.
///
/// # Errors
/// When the actor is no administrator, a master key is none, or the store fails.
pub async fn master_keys(services: &Services, actor: &Actor) -> Result<VaultKeys, Failure> {
    let work = async { Ok(services.vault.master_keys().await?) };
    Operation::VaultShow.perform(services, actor, work).await
}
