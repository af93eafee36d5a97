//! In whose name something is changed.

use std::net::IpAddr;
use std::sync::Arc;

use tidegate_common::audit::{self, Event};
use tidegate_common::policy::Login;

/// Who changes something, for the audit log.
#[derive(Debug, Clone)]
pub struct By {
    /// Who.
    pub actor: audit::Actor,
    /// From where.
    pub origin: Option<IpAddr>,
    /// What a user logged in with, which must still hold when it comes to the change.
    pub login: Option<Arc<Login>>,
}

impl By {
    /// The proxy itself.
    #[must_use]
    pub fn proxy() -> Self {
        Self { actor: audit::Actor::Proxy, origin: None, login: None }
    }

    /// The event as theirs.
    #[must_use]
    pub fn did(&self, event: Event) -> audit::Entry {
        event.by(self.actor.clone()).origin(self.origin)
    }
}
