//! What people were told, are to be told, and could not be told.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::audit::{Actor as AuditActor, Event, Note, Notes};
use tidegate_common::id::NotificationId;
use tidegate_common::model::User;
use tidegate_common::name::UserName;
use tidegate_common::notice::{Channel, Notice, NoticeKind};
use tidegate_common::policy::{self, Notification, Recipient};

use super::operation::Operation;
use super::{Actor, Failure, Services};
use crate::audit_log::Telling;
use crate::notify;
use crate::store::{NotificationFilter, NotificationRow, NotificationState, Store};

/// One notification; of a link without its code.
#[derive(Debug, Clone, Serialize)]
pub struct NotificationView {
    /// Its number.
    pub id: NotificationId,
    /// What kind of notice it is.
    pub kind: &'static str,
    /// What it is about.
    pub about: String,
    /// The user it is for, or the address.
    pub recipient: String,
    /// How it goes.
    pub channel: Channel,
    /// What has become of it.
    pub state: NotificationState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was made.
    pub created: Timestamp,
    /// When it is tried next; of those that wait.
    pub next_try: Option<Timestamp>,
    /// When it was sent or given up.
    pub settled: Option<Timestamp>,
    /// Why the last try failed.
    pub reason: Option<String>,
}

impl NotificationView {
    fn of(row: &NotificationRow) -> Self {
        let waits = row.state == NotificationState::Waiting;
        Self {
            id: row.id,
            kind: row.notice.kind().word(),
            about: notify::about(&row.notice),
            recipient: row.recipient.to_string(),
            channel: row.channel,
            state: row.state,
            attempts: row.attempts,
            created: row.created,
            next_try: waits.then_some(row.next_try),
            settled: row.settled,
            reason: row.reason.clone(),
        }
    }
}

/// Which notifications to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this state only.
    pub state: Option<NotificationState>,
    /// For this user only.
    pub user: Option<UserName>,
    /// Of this kind only.
    pub kind: Option<NoticeKind>,
    /// At most so many, 1000 at the most.
    pub limit: u64,
}

/// The actor's own notifications, or everybody's for those who read all: the newest first.
///
/// # Errors
/// When another's are asked for and the actor reads only their own, or the store fails.
pub async fn list(
    services: &Services,
    actor: &Actor,
    asked: Filter,
) -> Result<Vec<NotificationView>, Failure> {
    let work = async {
        let Filter { state, user, kind, limit } = asked;
        let user = actor.own_or(user)?;
        let filter = NotificationFilter { user, kind, state, limit: limit.clamp(1, 1000) };
        let rows = services.store.notifications(&filter).await?;
        Ok(rows.iter().map(NotificationView::of).collect())
    };
    Operation::NotificationList.perform(services, actor, work).await
}

/// Tries one that failed for another day.
///
/// # Errors
/// When the actor is no administrator, there is none that failed, or nothing could be written.
pub async fn retry(
    services: &Services,
    actor: &Actor,
    id: NotificationId,
) -> Result<NotificationView, Failure> {
    let work = async {
        let missing = || Failure::Missing(format!("there is no notification {id}; `notify list` shows them"));
        let row = services.store.notification(id).await?.ok_or_else(missing)?;
        if row.state != NotificationState::Failed {
            let why = format!("notification {id} is {}; only one that failed is tried again", row.state);
            return Err(Failure::Missing(why));
        }
        if matches!(row.notice, Notice::Link { .. }) {
            let why = format!("the code of notification {id} is forgotten; send another link");
            return Err(Failure::Missing(why));
        }
        let retried = Event::NotificationRetried {
            notification: id,
            notice: Note::new(row.notice.kind().word()),
            recipient: Note::new(row.recipient.to_string()),
            channel: Note::new(row.channel.word()),
        };
        let step = Store::notification_retried(&row, Timestamp::now());
        services.audit.step(vec![actor.by().did(retried)], step).await?;
        let row = services.store.notification(id).await?.ok_or_else(missing)?;
        Ok(NotificationView::of(&row))
    };
    Operation::NotificationRetry.perform(services, actor, work).await
}

/// What a test sends.
#[derive(Debug, Clone, Serialize)]
pub struct Tested {
    /// To whom.
    pub user: UserName,
    /// By which channels.
    pub channels: Vec<Channel>,
}

/// Tells a user that somebody looks whether notices arrive, by the channel that is named or those
/// that they chose.
///
/// # Errors
/// When the actor is no administrator, there is no such user, or they cannot be reached so.
pub async fn test(
    services: &Services,
    actor: &Actor,
    user: &UserName,
    channel: Option<Channel>,
) -> Result<Tested, Failure> {
    let work = async {
        let snapshot = services.access.snapshot();
        let Some(known) = snapshot.user(user).filter(|user| user.enabled) else {
            return Err(Failure::Missing(format!("there is no user `{user}` who is enabled")));
        };
        let channels = channel.map_or_else(|| policy::channels(known, NoticeKind::Test), |one| vec![one]);
        let lacks = |key| Failure::Missing(format!("user `{user}` has no `{key}`; apply one"));
        match channel {
            Some(Channel::Mail) if known.email.is_none() => return Err(lacks("email")),
            Some(Channel::Sms) if known.phone.is_none() => return Err(lacks("phone")),
            None if channels.is_empty() => return Err(lacks("email")),
            _ => {}
        }
        let by = actor.by();
        let who = match &by.actor {
            AuditActor::User(name) => name.to_string(),
            _ => "the local administrator".to_owned(),
        };
        let notice = Notice::Test { by: Note::new(who) };
        let one = |channel: &Channel| Notification {
            recipient: Recipient::User(user.clone()),
            channel: *channel,
            notice: notice.clone(),
            secret: None,
        };
        let tested = Event::NotificationTested { user: user.clone(), channels: Notes::of(&channels) };
        let told = channels.iter().map(one).collect();
        services.audit.append(Telling::new(by.did(tested), told)).await?;
        Ok(Tested { user: user.clone(), channels })
    };
    Operation::NotificationTest.perform(services, actor, work).await
}

/// By which channels a user is told of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChannelsView {
    /// Whom.
    pub user: UserName,
    /// Of what.
    pub kind: &'static str,
    /// By what; empty where they are not told at all.
    pub channels: Vec<Channel>,
    /// Whether they, or an administrator, chose so.
    pub chosen: bool,
}

impl ChannelsView {
    fn of(user: &User, kind: NoticeKind) -> Self {
        let channels = policy::channels(user, kind);
        let chosen = user.notify.of(kind).is_some();
        Self { user: user.name.clone(), kind: kind.word(), channels, chosen }
    }
}

/// By which channels the actor, or another user for those who read all, is told of each kind.
///
/// # Errors
/// When another's are asked for and the actor reads only their own, or there is no such user.
pub async fn channels(
    services: &Services,
    actor: &Actor,
    user: Option<UserName>,
) -> Result<Vec<ChannelsView>, Failure> {
    let work = async {
        let user = match user {
            Some(user) => actor.own_or(Some(user.clone()))?.unwrap_or(user),
            None => actor.must_be_user()?.clone(),
        };
        let snapshot = services.access.snapshot();
        let missing = || Failure::Missing(format!("there is no user `{user}`; `get users` shows them"));
        let user = snapshot.user(&user).ok_or_else(missing)?;
        Ok(NoticeKind::ALL.map(|kind| ChannelsView::of(user, kind)).to_vec())
    };
    Operation::ChannelsShow.perform(services, actor, work).await
}

/// Has the actor told of a kind by these channels; by the usual one where none are given.
///
/// # Errors
/// When the actor is no user, has no address for one of them, or nothing could be written.
pub async fn choose(
    services: &Services,
    actor: &Actor,
    kind: NoticeKind,
    channels: Option<&[Channel]>,
) -> Result<ChannelsView, Failure> {
    let work = async {
        let user = actor.must_be_user()?;
        let user = services.access.choose_channels(user, kind, channels, &actor.by()).await?;
        Ok(ChannelsView::of(&user, kind))
    };
    Operation::ChannelsChoose.perform(services, actor, work).await
}
