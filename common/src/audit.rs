//! The audit log: what happened, who did it, and a chain that shows when a
//! record was changed, removed or put elsewhere.
//!
//! [`Event`] is closed: it covers everything the product can do, so that a reader
//! of the log needs no other source. Every free text in it is a [`Note`], bounded
//! and without control characters, so that a record fits one line of a terminal
//! whatever a client or a device sent. No event carries session bytes or secrets.
//!
//! A record's *body* is its JSON; its *link* is the keyed BLAKE3 of the previous
//! link and the body ([`Chain`]). What is stored is hashed, never what it parses
//! to, so that a later version can still check what an earlier one wrote.

mod chain;
mod event;
mod planned;
mod show;
mod transfer;
mod words;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::name::{DeviceName, UserName};

pub use crate::note::{CommandText, Note, Notes};

pub use chain::{Broken, Chain, Linked, Stored, verify_chain};
pub use event::Event;
pub use planned::ChangeStep;
pub use transfer::{Changed, Transfer};
pub use words::{
    Asked, ChannelKind, CommandSource, EndCause, FileChange, ForwardKind, LoginMethod, Outcome,
    RemoteAccessStep, SecretKind, Verb, Verdict, Way,
};

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A person, authenticated.
    User(UserName),
    /// Whoever may use the proxy's local socket.
    LocalAdmin,
    /// The agent of a device, authenticated by its certificate.
    Agent(DeviceName),
    /// The proxy itself.
    Proxy,
}

/// An event and who it is from, before it has its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who did it.
    pub actor: Actor,
    /// The address they came from.
    pub origin: Option<IpAddr>,
    /// What happened.
    pub event: Event,
}

impl Event {
    /// Says who did it. An event of which nobody says so is the proxy's own.
    #[must_use]
    pub fn by(self, actor: Actor) -> Entry {
        Entry { actor, origin: None, event: self }
    }

    /// Shorthand for an authenticated user at an address.
    #[must_use]
    pub fn by_user(self, user: &UserName, origin: IpAddr) -> Entry {
        Entry { actor: Actor::User(user.clone()), origin: Some(origin), event: self }
    }
}

impl Entry {
    /// Says where from.
    #[must_use]
    pub fn origin(self, origin: Option<IpAddr>) -> Self {
        Self { origin, ..self }
    }
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        event.by(Actor::Proxy)
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its place, counted from 1 without gaps.
    pub seq: u64,
    /// When it was appended, to the millisecond.
    pub at: jiff::Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The address they came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<IpAddr>,
    /// What happened.
    pub event: Event,
}
