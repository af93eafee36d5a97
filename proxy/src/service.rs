//! What may be asked of the gate, from whichever way in: one file a resource. Each operation takes
//! an [`Actor`], checks what they may, has it in the audit log before it has effect, and gives a
//! typed answer that serializes as it is shown to machines. Nobody else checks roles.
//!
//! Users see and do what is their own, approvers what they approve, auditors read
//! everything, monitors watch, lock and end what lives, administrators configure. Nobody but an approver approves, not even
//! the local administrator.

pub mod access;
mod actor;
pub mod agents;
pub mod audit;
pub mod changes;
pub mod commands;
mod each;
mod failure;
pub mod grants;
pub mod group_reviews;
pub mod live;
pub mod notifications;
mod operation;
pub mod overview;
pub mod panics;
pub mod passwords;
pub mod recordings;
mod records;
pub mod remote_accesses;
pub mod requests;
pub mod resources;
pub mod secrets;
pub mod sessions;
#[cfg(test)]
pub(crate) mod testing;

pub use actor::Actor;
pub use each::Each;
pub use failure::Failure;
pub use operation::Operation;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tidegate_common::digest::Digest;
use tidegate_common::model::Credential;
use tidegate_common::name::DeviceName;
use tidegate_common::wire::Sight;

use crate::access::Access;
use crate::agents::GrantSeen;
use crate::audit_log::AuditLog;
use crate::changes::Changes;
use crate::outside::RemoteAccesses;
use crate::recordings::Recordings;
use crate::requests::Requests;
use crate::session::LiveSessions;
use crate::ssh_name::SshName;
use crate::store::Store;
use crate::vault::Vault;

/// The links to agents, as far as operations touch them.
pub trait AgentLinks: Send + Sync {
    /// The device's link, if it is up.
    fn link(&self, device: &DeviceName) -> Option<Link>;
    /// Every grant that lives or is being ended.
    fn grants(&self) -> Vec<GrantSeen>;
    /// What the credential's privileges would change, as the device's agent says now.
    fn plan(&self, credential: Arc<Credential>) -> BoxFuture<'static, Option<Vec<String>>>;
    /// How much the device's agent had to tell in this hour that was only counted.
    fn more(&self, device: &DeviceName) -> u64;
    /// Ends the device's link, because its enrolment was revoked.
    fn disconnect(&self, device: &DeviceName);
}

/// A link that is up.
#[derive(Debug, Clone)]
pub struct Link {
    /// The agent's version, as it says.
    pub version: String,
    /// For how long it has been up.
    pub up: Duration,
    /// Whether its host's kernel tells what runs.
    pub witness: Sight,
    /// Host keys of other devices that it vouches for, and whose they are.
    pub foreign_keys: Vec<String>,
}

/// What operations work on.
pub struct Services {
    /// What survives a restart.
    pub store: Store,
    /// Policy and resources.
    pub access: Access,
    /// Requests and approvals.
    pub requests: Requests,
    /// Changes and what came of them.
    pub changes: Changes,
    /// Remote accesses.
    pub remote_accesses: RemoteAccesses,
    /// The audit log.
    pub audit: AuditLog,
    /// Secrets.
    pub vault: Vault,
    /// Recordings.
    pub recordings: Recordings,
    /// Live sessions.
    pub live: LiveSessions,
    /// Links to agents.
    pub agents: Arc<dyn AgentLinks>,
    /// SHA-256 of the agents' CA certificate, for tokens.
    pub ca_fingerprint: Digest,
    /// Host name and port that agents dial, for people to copy.
    pub agents_address: String,
    /// How people dial the gate, for what they are told to type.
    pub ssh_name: SshName,
}
