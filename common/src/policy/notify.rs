//! Who is told of a notice by which channel.

use std::collections::HashSet;

use crate::model::{Email, Phone, Role, Snapshot, User};
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

/// The notice for each of these users who is enabled, once, by the channels that they chose.
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
    each.collect()
}

/// The notice for every administrator: what has no other reader.
#[must_use]
pub fn notify_administrators(snapshot: &Snapshot, notice: &Notice) -> Vec<Notification> {
    let mut names: Vec<&UserName> =
        snapshot.users().filter(|user| user.has_role(Role::Admin)).map(|user| &user.name).collect();
    names.sort_unstable();
    notify(snapshot, names, notice)
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
        let told = notify(&snapshot, &users, &notice).into_iter().map(|one| match one.recipient {
            Recipient::User(name) => (name.to_string(), one.channel),
            other => panic!("{other:?}"),
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
