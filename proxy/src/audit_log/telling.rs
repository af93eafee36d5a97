//! A record to be, and what people are told because of it.

use tidegate_common::audit::{Entry, Event};
use tidegate_common::policy::Notification;

/// An entry of the log with the notifications that go into the outbox in its transaction.
#[derive(Debug, Clone)]
pub struct Telling {
    pub(super) entry: Entry,
    pub(super) told: Vec<Notification>,
}

impl Telling {
    /// The entry, and whom it is told to.
    #[must_use]
    #[allow(dead_code, reason = "steps that tell come next")]
    pub fn new(entry: impl Into<Entry>, told: Vec<Notification>) -> Self {
        Self { entry: entry.into(), told }
    }
}

impl From<Entry> for Telling {
    fn from(entry: Entry) -> Self {
        Self { entry, told: Vec::new() }
    }
}

impl From<Event> for Telling {
    fn from(event: Event) -> Self {
        Entry::from(event).into()
    }
}
