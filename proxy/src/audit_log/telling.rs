//! A record to be, and what people are told because of it.

use tidegate_common::audit::{Entry, Event};
use tidegate_common::notice::NoticeKind;
use tidegate_common::policy::{Notification, Recipient};

/// An entry of the log with the notifications that go into the outbox in its transaction.
#[derive(Debug, Clone)]
pub struct Telling {
    pub(super) entry: Entry,
    pub(super) told: Vec<Notification>,
}

impl Telling {
    /// The entry, and whom it is told to.
    #[must_use]
    pub fn new(entry: impl Into<Entry>, told: Vec<Notification>) -> Self {
        Self { entry: entry.into(), told }
    }

    /// And whom else.
    pub fn tell(&mut self, told: Vec<Notification>) {
        self.told.extend(told);
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

/// Who is told of what, beside what steps say.
pub struct Rules {
    /// Of which kinds all who read the webhook are told.
    pub posted: Vec<NoticeKind>,
    /// Who is told of a record because of what it says.
    pub of_event: OfEvent,
}

/// Whom a record concerns, by what it says.
pub type OfEvent = Box<dyn Fn(&Event) -> Vec<Notification> + Send + Sync>;

/// Adds whom the rules name, and leaves out the webhook where they do not.
pub(super) fn complete(telling: &mut Telling, rules: Option<&Rules>) {
    let mut posted: &[NoticeKind] = &[];
    if let Some(rules) = rules {
        telling.told.extend((rules.of_event)(&telling.entry.event));
        posted = &rules.posted;
    }
    telling.told.retain(|one| one.recipient != Recipient::Everybody || posted.contains(&one.notice.kind()));
}
