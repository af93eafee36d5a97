//! The worker of a channel, and what is done for all of them.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use tidegate_common::audit::{Event, Note};
use tidegate_common::id::NotificationId;

use super::pause::pause;
use super::{Carrier, SendError, Shared};
use crate::store::{Claimed, Claims, StoreError, Tried, Unread};

/// Sends of one channel that are under way at once.
const AT_ONCE: usize = 4;

/// How often is looked for what another gate wrote or what is due again.
const LOOK: Duration = Duration::from_secs(5);

/// How often is looked for what is too old.
const HOUSE: Duration = Duration::from_secs(60);

/// What is given up at once.
const MOST_OVER: u64 = 500;

/// What cannot be read is left for so long at least: meanwhile what can be read is claimed.
const LEFT: Duration = Duration::from_secs(1);

/// What came of one send: the notification, its claim, and that.
type Done = (Claimed, Tried);

/// Sends what is due on a channel, for ever.
pub(super) async fn run(shared: &Shared, carrier: &Carrier) {
    let mut told = shared.audit.told();
    let mut under_way = FuturesUnordered::new();
    loop {
        let room = AT_ONCE - under_way.len().min(AT_ONCE);
        if room > 0 {
            told.mark_unchanged();
            match claim(shared, carrier, room).await {
                Ok(claimed) => under_way.extend(claimed.into_iter().map(|one| send(shared, carrier, one))),
                Err(error) => tracing::warn!(%error, "what people are to be told cannot be read"),
            }
        }
        tokio::select! {
            Some(first) = under_way.next(), if !under_way.is_empty() => {
                let mut done = vec![first];
                // What else is done is written in the same transaction.
                while let Some(Some(next)) = futures::FutureExt::now_or_never(under_way.next()) {
                    done.push(next);
                }
                settle(shared, done).await;
            }
            changed = told.changed(), if under_way.len() < AT_ONCE => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep(LOOK), if under_way.len() < AT_ONCE => {}
        }
    }
}

/// Claims what is to be sent. What this gate cannot read is left to a newer one, and due again as what
/// failed for now is; it holds up nothing behind it.
async fn claim(shared: &Shared, carrier: &Carrier, room: usize) -> Result<Vec<Claimed>, StoreError> {
    let most = u64::try_from(room).unwrap_or(1);
    loop {
        let now = Timestamp::now();
        let claimed =
            shared.store.notifications_claim(carrier.channel(), most, now, until(shared, now)).await?;
        let Claims { rows, unread } = claimed;
        if unread.is_empty() {
            return Ok(rows);
        }
        let left = unread.into_iter().map(|one| {
            let Unread { id, claim, why, .. } = one;
            tracing::info!(notification = %id, %why, "a notice is left to a gate that can read it");
            (id, claim, Tried::Again(later(shared, one.attempts, LEFT).min(one.expires), Note::new(why)))
        });
        shared.store.notifications_settle(left.collect(), now).await?;
        if !rows.is_empty() {
            return Ok(rows);
        }
    }
}

/// When what was tried so often is tried again, not sooner than after so long.
fn later(shared: &Shared, attempts: u32, least: Duration) -> Timestamp {
    let wait = pause(shared.pause, attempts, rand::random()).max(least);
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_hours(1));
    Timestamp::now().checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// Longer than a send takes, so that no other gate sends the same meanwhile.
fn until(shared: &Shared, now: Timestamp) -> Timestamp {
    let held = shared.timeout.saturating_mul(2).saturating_add(Duration::from_secs(60));
    SignedDuration::try_from(held).ok().and_then(|held| now.checked_add(held).ok()).unwrap_or(Timestamp::MAX)
}

async fn send(shared: &Shared, carrier: &Carrier, claimed: Claimed) -> Done {
    let tried = match shared.send(carrier, &claimed).await {
        Ok(()) => Tried::Sent,
        Err(SendError::Never(why)) => Tried::Failed(Note::new(why)),
        Err(SendError::Over(why)) => Tried::Dropped(Note::new(why)),
        Err(SendError::Later(why)) => {
            let at = later(shared, claimed.row.attempts, Duration::ZERO);
            Tried::Again(at.min(claimed.row.expires), Note::new(why))
        }
    };
    (claimed, tried)
}

/// Writes down what came of sends; what was given up is in the audit log, too.
async fn settle(shared: &Shared, done: Vec<Done>) {
    let now = Timestamp::now();
    let mut events = Vec::new();
    let mut tried: Vec<(NotificationId, i64, Tried)> = Vec::new();
    for (claimed, came) in done {
        let row = &claimed.row;
        match &came {
            Tried::Failed(why) => {
                tracing::warn!(notification = %row.id, channel = %row.channel, %why, "a notice could not be sent");
                events.push(Event::NotificationFailed {
                    notification: row.id,
                    notice: Note::new(row.notice.kind().word()),
                    recipient: Note::new(row.recipient.to_string()),
                    channel: Note::new(row.channel.word()),
                    why: why.clone(),
                });
            }
            Tried::Again(_, why) => {
                tracing::info!(notification = %row.id, channel = %row.channel, %why, "a notice is sent later");
            }
            Tried::Sent | Tried::Dropped(_) => {}
        }
        tried.push((row.id, claimed.claim, came));
    }
    if let Err(error) = write(shared, events, tried, now).await {
        // The claims expire, and they are sent once more.
        tracing::error!(error, "what came of notices could not be written down");
    }
}

async fn write(
    shared: &Shared,
    events: Vec<Event>,
    tried: Vec<(NotificationId, i64, Tried)>,
    now: Timestamp,
) -> Result<(), String> {
    if events.is_empty() {
        return shared.store.notifications_settle(tried, now).await.map_err(|error| error.to_string());
    }
    let step = crate::store::Store::notifications_settled(tried, now);
    let entries = events.into_iter().map(tidegate_common::audit::Entry::from).collect();
    shared.audit.step(entries, step).await.map_err(|error| error.to_string())
}

/// Gives up what is too old and forgets what is over, for ever. What no gate has a channel for
/// ends here.
pub(super) async fn keep_house(shared: &Shared) {
    loop {
        if let Err(error) = give_up(shared).await {
            tracing::warn!(%error, "notices that are too old could not be given up");
        }
        tokio::time::sleep(HOUSE).await;
    }
}

/// The same of what no gate that could read it has sent.
async fn give_up_unread(shared: &Shared, unread: Vec<Unread>, now: Timestamp) {
    if unread.is_empty() {
        return;
    }
    let (mut events, mut tried) = (Vec::new(), Vec::new());
    for Unread { id, kind, recipient, channel, claim, why, .. } in unread {
        tracing::warn!(notification = %id, %channel, %why, "a notice that cannot be read is given up");
        let why = Note::new(format!("its time is over, and no gate that can read it has sent it: {why}"));
        events.push(Event::NotificationFailed {
            notification: id,
            notice: Note::new(kind),
            recipient: Note::new(recipient),
            channel: Note::new(channel),
            why: why.clone(),
        });
        tried.push((id, claim, Tried::Failed(why)));
    }
    if let Err(error) = write(shared, events, tried, now).await {
        tracing::error!(error, "what came of notices could not be written down");
    }
}

async fn give_up(shared: &Shared) -> Result<(), StoreError> {
    let now = Timestamp::now();
    loop {
        let over = shared.store.notifications_claim_expired(MOST_OVER, now, until(shared, now)).await?;
        let Claims { rows, unread } = over;
        if rows.is_empty() && unread.is_empty() {
            break;
        }
        give_up_unread(shared, unread, now).await;
        let done = rows.into_iter().map(|claimed| {
            let channel = claimed.row.channel;
            let why = match &claimed.row.reason {
                Some(reason) => format!("its time is over; the last try: {reason}"),
                None => {
                    format!("its time is over, and no gate has tried; see [notify.{channel}] in proxy.toml")
                }
            };
            (claimed, Tried::Failed(Note::new(why)))
        });
        settle(shared, done.collect()).await;
    }
    shared.store.notifications_forget(now).await
}
