//! Who is told of a notice by which channel.

mod event;
mod exceptional;
mod request;

pub use event::notify_of_event;
pub use exceptional::{ExceptionalAccessStep, notify_of_exceptional_access};
pub use request::{RequestStep, notify_of_request};

use std::collections::HashSet;

use crate::model::{Email, Phone, Snapshot, User};
use crate::name::UserName;
use crate::notice::{Channel, Notice, NoticeKind};
use crate::secret::Secret;

/// Whom a notice is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// A user, at the address that they have when it is sent.
    User(UserName),
    /// Whoever reads this mailbox.
    Mail(Email),
    /// Whoever has this telephone.
    Phone(Phone),
    /// All who read the gate's webhook.
    Everybody,
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::User(name) => name.as_str(),
            Self::Mail(address) => address.as_str(),
            Self::Phone(phone) => phone.as_str(),
            Self::Everybody => "all",
        })
    }
}

/// A notice on its way to one recipient by one channel. It is put beside the audit log's record of
/// the step that it tells of, and so into the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// For whom.
    pub recipient: Recipient,
    /// By what.
    pub channel: Channel,
    /// What it says.
    pub notice: Notice,
    /// The code of a link: in no list and no log, and forgotten once it is sent.
    pub secret: Option<Secret>,
}

/// The notice for each of these users who is enabled, once, by the channels that they chose; and once
/// for all who read the webhook, which is kept where the gate's settings have the kind posted there.
#[must_use]
pub fn notify<'a>(
    snapshot: &Snapshot,
    users: impl IntoIterator<Item = &'a UserName>,
    notice: &Notice,
) -> Vec<Notification> {
    let mut seen = HashSet::new();
    let users = users.into_iter().filter(|name| seen.insert((*name).clone()));
    let known = users.filter_map(|name| snapshot.user(name)).filter(|user| user.enabled);
    let each = known.flat_map(|user| {
        let one = |channel| Notification {
            recipient: Recipient::User(user.name.clone()),
            channel,
            notice: notice.clone(),
            secret: None,
        };
        channels(user, notice.kind()).into_iter().map(one).collect::<Vec<_>>()
    });
    let everybody = Notification {
        recipient: Recipient::Everybody,
        channel: Channel::Webhook,
        notice: notice.clone(),
        secret: None,
    };
    std::iter::once(everybody).filter(|_| notice.kind() != NoticeKind::Link).chain(each).collect()
}

/// By which channels a user is told of a kind.
#[must_use]
pub fn channels(user: &User, kind: NoticeKind) -> Vec<Channel> {
    match user.notify.of(kind) {
        Some(chosen) => chosen.to_vec(),
        None => user.email.iter().map(|_| Channel::Mail).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Note;
    use crate::model::Resources;

    fn told(users: &[&str]) -> Vec<(String, Channel)> {
        let text = r#"
            user = [
                { name = "operator", email = "operator@example.org" },
                { name = "approver", email = "approver@example.org", phone = "+34600123456",
                  notify = { test = ["sms", "mail", "sms"], agent_away = [] } },
                { name = "quiet", email = "quiet@example.org", notify = { test = [] } },
                { name = "gone", email = "gone@example.org", enabled = false },
                { name = "boss" },
            ]
        "#;
        let resources = Resources::read(text).unwrap();
        let snapshot = Snapshot::new(&resources).unwrap();
        let users: Vec<UserName> = users.iter().map(|name| name.parse().unwrap()).collect();
        let notice = Notice::Test { by: Note::new("admin") };
        let told = notify(&snapshot, &users, &notice).into_iter().filter_map(|one| match one.recipient {
            Recipient::User(name) => Some((name.to_string(), one.channel)),
            _ => None,
        });
        told.collect()
    }

    #[test]
    fn a_user_is_told_once_by_each_channel_they_chose_and_by_mail_where_they_chose_none() {
        let mail = |name: &str| (name.to_owned(), Channel::Mail);
        assert_eq!(told(&["operator", "operator"]), [mail("operator")]);
        assert_eq!(told(&["approver"]), [mail("approver"), ("approver".to_owned(), Channel::Sms)]);
    }

    #[test]
    fn whoever_wants_none_is_away_or_has_no_address_is_not_told() {
        assert_eq!(told(&["quiet", "gone", "boss", "nobody"]), []);
    }
}
