//! Host keys that agents vouch for, and what a session may trust of a device.
//!
//! Whoever is root on a device has its agent say what they like, so a key counts only for
//! the device that showed it first: another that vouches for it is told of, and does not
//! have it. A key is free again when its device is deleted or its agent revoked.

use std::sync::Arc;

use jiff::Timestamp;
use russh::keys::PublicKey;
use tidegate_common::audit::{Event, Notes};
use tidegate_common::model::{Device, Snapshot};
use tidegate_common::name::DeviceName;

use super::Registry;
use super::link::LinkError;
use super::listener::ListenerContext;
use crate::keys::fingerprint;
use crate::store::{Store, StoreError};

/// The longest line of a host key that is read; RSA with 16,384 bits has 2,800 bytes.
const MOST_LINE: usize = 4096;

/// A host key that an agent vouches for and another device has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Its SHA-256 fingerprint.
    pub key: String,
    /// Whose it is.
    pub owner: DeviceName,
}

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, which is {}'s", self.key, self.owner)
    }
}

/// What an agent vouches for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vouched {
    /// Its device's own, each as its kind and base64.
    pub own: Vec<String>,
    /// Those of other devices.
    pub foreign: Vec<Foreign>,
}

/// A key's kind and base64, as it is compared; none for what is no plain public key.
fn plain(line: &str) -> Option<(String, PublicKey)> {
    let mut key = Some(line).filter(|line| line.len() <= MOST_LINE)?.parse::<PublicKey>().ok()?;
    key.set_comment("");
    Some((key.to_openssh().ok()?, key))
}

/// The other device on which an administrator pinned this key.
fn pinned(snapshot: &Snapshot, key: &str, but: &DeviceName) -> Option<DeviceName> {
    let pins = |device: &&Arc<Device>| {
        device.name != *but && device.host_keys.iter().any(|pinned| pinned.material() == key)
    };
    snapshot.devices().find(pins).map(|device| device.name.clone())
}

impl ListenerContext {
    /// Keeps the host keys that an agent vouches for, as far as they are its own.
    pub(super) async fn vouched(&self, device: &DeviceName, lines: &[String]) -> Result<Vouched, LinkError> {
        // Those of this gate take turns; of two that vouch for the same key at once, one is the
        // first, and the other is looked at anew.
        let _turn = self.vouching.lock().await;
        loop {
            if let Some(vouched) = self.vouched_once(device, lines).await? {
                return Ok(vouched);
            }
        }
    }

    /// `None` where a key became another's meanwhile.
    async fn vouched_once(
        &self,
        device: &DeviceName,
        lines: &[String],
    ) -> Result<Option<Vouched>, LinkError> {
        let context = |error: StoreError| LinkError::Ours(error.to_string());
        let keys: Vec<(String, PublicKey)> = lines.iter().filter_map(|line| plain(line)).collect();
        let was = self.store.host_keys_revision().await.map_err(context)?;
        let names: Vec<String> = keys.iter().map(|(name, _)| name.clone()).collect();
        let owners = self.store.host_key_owners(&names).await.map_err(context)?;
        let snapshot = self.access.snapshot();
        let mut vouched = Vouched::default();
        let mut known = true;
        for (name, key) in keys {
            let owner = match pinned(&snapshot, &name, device) {
                None => match owners.get(&name).filter(|owner| *owner != device) {
                    Some(owner) if self.has_keys(&snapshot, owner).await? => Some(owner.clone()),
                    _ => None,
                },
                other => other,
            };
            match owner {
                Some(owner) => vouched.foreign.push(Foreign { key: fingerprint(&key), owner }),
                None => {
                    known &= owners.get(&name) == Some(device);
                    vouched.own.push(name);
                }
            }
        }
        if !vouched.foreign.is_empty() {
            self.now_and_then(device, "vouches for other devices' host keys").await?;
            let (device, keys) = (device.clone(), Notes::of(&vouched.foreign));
            self.audit(Event::HostKeysRefused { device, keys }).await?;
        }
        let before = self.store.host_keys(device).await.map_err(context)?;
        let before: Vec<String> =
            before.iter().filter_map(|line| plain(line)).map(|(name, _)| name).collect();
        if known && before == vouched.own {
            return Ok(Some(vouched));
        }
        self.now_and_then(device, "has other host keys").await?;
        let mut events = Vec::new();
        if !before.is_empty() && before != vouched.own {
            let shown = |names: &[String]| {
                Notes::of(names.iter().filter_map(|name| plain(name)).map(|(_, key)| fingerprint(&key)))
            };
            let (before, now) = (shown(&before), shown(&vouched.own));
            events.push(Event::HostKeysChanged { device: device.clone(), before, now });
        }
        let step = Store::host_keys_step(device.clone(), vouched.own.clone(), Timestamp::now(), was);
        Ok(self.step(events, step).await?.then_some(vouched))
    }

    /// Whether a device still is there for its keys to be its own.
    async fn has_keys(&self, snapshot: &Snapshot, owner: &DeviceName) -> Result<bool, LinkError> {
        if snapshot.device(owner).is_none() {
            return Ok(false);
        }
        let agent = self.store.agent(owner).await.map_err(|error| LinkError::Ours(error.to_string()))?;
        Ok(agent.is_some_and(|agent| !agent.revoked))
    }
}

/// Why a session can't trust any key of its device. The sentences are for the user.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// All that its agent vouches for is others'.
    #[error(
        "the agent on {device} vouches for the host key {foreign}, so it may be another machine; nothing was sent \
         to it: ask an administrator to look at both hosts"
    )]
    Foreign {
        /// Where.
        device: DeviceName,
        /// The first of them.
        foreign: Foreign,
    },
    /// What an administrator pinned is not what its agent vouches for.
    #[error(
        "the agent on {0} vouches for none of the host keys that are pinned there (`host_keys`), so it may be \
         another machine; nothing was sent to it: ask an administrator to compare them"
    )]
    Pinned(DeviceName),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a session may trust of its device, and what the device's sshd asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Host keys, as OpenSSH lines.
    pub host_keys: Vec<String>,
    /// Whether sshd takes only certificates for an account of this device; otherwise they
    /// name the account alone as well.
    pub bound: bool,
}

/// The host keys that someone vouches for: the device's agent, now or when it was last
/// here, and an administrator. Where both do, only keys that both name are trusted.
pub async fn trust(registry: &Registry, store: &Store, device: &Device) -> Result<Trust, TrustError> {
    let pinned: Vec<String> = device.host_keys.iter().map(|key| key.material().to_owned()).collect();
    if !device.agent {
        return Ok(Trust { host_keys: pinned, bound: false });
    }
    let (vouched, bound) = match registry.status(&device.name) {
        Some(status) => (status.vouched, status.bound),
        None => {
            let lines = store.host_keys(&device.name).await?;
            let own = lines.iter().filter_map(|line| plain(line)).map(|(name, _)| name).collect();
            let bound = store.agent(&device.name).await?.is_some_and(|agent| agent.bound);
            (Vouched { own, foreign: Vec::new() }, bound)
        }
    };
    Ok(Trust { host_keys: both(&device.name, pinned, vouched)?, bound })
}

fn both(device: &DeviceName, pinned: Vec<String>, vouched: Vouched) -> Result<Vec<String>, TrustError> {
    let Vouched { mut own, foreign } = vouched;
    match foreign.into_iter().next() {
        Some(foreign) if own.is_empty() => {
            return Err(TrustError::Foreign { device: device.clone(), foreign });
        }
        _ if pinned.is_empty() => return Ok(own),
        _ if own.is_empty() => return Ok(pinned),
        _ => own.retain(|key| pinned.contains(key)),
    }
    if own.is_empty() { Err(TrustError::Pinned(device.clone())) } else { Ok(own) }
}

#[cfg(test)]
mod tests;
