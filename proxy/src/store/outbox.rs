//! Notices on their way: one row for each recipient and channel, written by the step that they
//! tell of and in its transaction.
//!
//! Several gates send from one outbox. A gate claims a few rows at a time: until the claim expires
//! no other takes them, so each is sent once, and where a gate dies while it sends, once more.
//! Whoever settles a row says by which claim. The code of a link has a column of its own, which
//! nothing but a claim reads and which is emptied once it is sent or given up.

mod row;

pub use row::{Claimed, Claims, NotificationFilter, NotificationRow, NotificationState, Tried, Unread};

use jiff::{SignedDuration, Timestamp};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ActiveValue::Set, Condition, DatabaseTransaction, QueryOrder as _, QuerySelect as _};
use tidegate_common::id::NotificationId;
use tidegate_common::notice::{Channel, NoticeKind};
use tidegate_common::policy::{Notification, Recipient};
use tidegate_common::secret::Secret;

use super::agents::at;
use super::{Doing as _, Step, Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub kind: String,
    /// The user it is for; else whoever has `address`, or all who read the webhook.
    pub user_name: Option<String>,
    pub address: Option<String>,
    pub channel: String,
    #[sea_orm(column_type = "Text")]
    pub body: String,
    /// The code of a link, until it is sent or given up.
    pub secret: Option<String>,
    pub state: String,
    pub attempts: i32,
    /// When it is tried next; while it is claimed, when the claim expires.
    pub next_try: i64,
    /// The last claim's number.
    pub claim: Option<i64>,
    pub created: i64,
    pub expires: i64,
    /// When it was sent or given up.
    pub settled: Option<i64>,
    /// Why the last try failed.
    pub reason: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What waits for one recipient at once, of one kind, at most: whoever causes more is not
/// listened to.
const MOST_WAITING: u64 = 1000;

/// Rows that a list shows at most.
const MOST: u64 = 1001;

/// For how long what was sent or given up is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How far the clocks of gates on one store may be apart, and more.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// Longer than a claim holds and than any pause.
const PUT_OFF: SignedDuration = SignedDuration::from_mins(75);

const DOING: &str = "wrote notifications";
const READING: &str = "read notifications";

/// The step, and with it what people are told because of it.
pub(crate) fn with_notifications(step: Option<Step>, told: Vec<(Notification, Timestamp)>) -> Option<Step> {
    if told.is_empty() {
        return step;
    }
    Some(Step::new(move |change| {
        Box::pin(async move {
            if let Some(step) = step {
                step.write(change).await?;
            }
            for (notification, at) in told {
                add(change, notification, at).await?;
            }
            Ok(())
        })
    }))
}

async fn add(change: &DatabaseTransaction, told: Notification, at: Timestamp) -> Result<(), StoreError> {
    let Notification { recipient, channel, notice, secret } = told;
    let (user, address) = match recipient {
        Recipient::User(name) => (Some(name.to_string()), None),
        Recipient::Mail(address) => (None, Some(address.as_str().to_owned())),
        Recipient::Phone(phone) => (None, Some(phone.as_str().to_owned())),
        Recipient::Everybody => (None, None),
    };
    let kind = notice.kind();
    let of = match (&user, &address) {
        (Some(user), _) => Column::UserName.eq(user),
        (None, Some(address)) => Column::Address.eq(address),
        (None, None) => Column::UserName.is_null().and(Column::Address.is_null()),
    };
    let waiting = Entity::find()
        .filter(of)
        .filter(Column::State.eq(NotificationState::Waiting.word()))
        .filter(Column::Channel.eq(channel.word()))
        .filter(Column::Kind.eq(kind.word()));
    if waiting.count(change).await.doing(DOING)? >= MOST_WAITING {
        tracing::warn!(%kind, %channel, "too many notices of a kind wait for one recipient; one is left out");
        return Ok(());
    }
    let body = serde_json::to_string(&notice).map_err(|why| StoreError::damaged(kind.word(), why))?;
    let row = ActiveModel {
        kind: Set(kind.word().to_owned()),
        user_name: Set(user),
        address: Set(address),
        channel: Set(channel.word().to_owned()),
        body: Set(body),
        secret: Set(secret.map(|secret| secret.reveal().to_owned())),
        state: Set(NotificationState::Waiting.word().to_owned()),
        attempts: Set(0),
        next_try: Set(notice.due(at).as_millisecond()),
        claim: Set(None),
        created: Set(at.as_millisecond()),
        expires: Set(notice.expires(at).as_millisecond()),
        settled: Set(None),
        reason: Set(None),
        ..Default::default()
    };
    Entity::insert(row).exec_without_returning(change).await.doing(DOING).map(drop)
}

/// Whether one is to be tried now. What was made, or put off, by a clock that was set back since does
/// not wait until it is that late again; what waits for a moment of its own does.
fn is_due(now: Timestamp) -> Condition {
    let after = |span: SignedDuration| now.checked_add(span).unwrap_or(Timestamp::MAX).as_millisecond();
    let made = Condition::all()
        .add(Column::Attempts.eq(0))
        .add(Expr::col(Column::NextTry).eq(Expr::col(Column::Created)))
        .add(Column::Created.gt(after(APART)));
    let put_off = Condition::all().add(Column::Attempts.gt(0)).add(Column::NextTry.gt(after(PUT_OFF)));
    Condition::any().add(Column::NextTry.lte(now.as_millisecond())).add(made).add(put_off)
}

fn number(id: NotificationId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

fn read(row: &Model) -> Result<NotificationRow, StoreError> {
    let damaged = |why: &dyn std::fmt::Display| StoreError::damaged(format!("notification {}", row.id), why);
    let channel: Channel = row.channel.parse().map_err(|why: String| damaged(&why))?;
    let recipient = match (&row.user_name, &row.address, channel) {
        (Some(name), ..) => Recipient::User(name.parse().map_err(|why| damaged(&why))?),
        (None, Some(phone), Channel::Sms) => Recipient::Phone(phone.parse().map_err(|why| damaged(&why))?),
        (None, Some(address), _) => Recipient::Mail(address.parse().map_err(|why| damaged(&why))?),
        (None, None, _) => Recipient::Everybody,
    };
    Ok(NotificationRow {
        id: NotificationId(u64::try_from(row.id).unwrap_or_default()),
        recipient,
        channel,
        notice: serde_json::from_str(&row.body).map_err(|why| damaged(&why))?,
        state: row.state.parse().map_err(|why: String| damaged(&why))?,
        attempts: u32::try_from(row.attempts).unwrap_or_default(),
        next_try: at(row.next_try),
        created: at(row.created),
        expires: at(row.expires),
        settled: row.settled.map(at),
        reason: row.reason.clone(),
    })
}

/// What is told of one that cannot be read.
fn unread(row: &Model, claim: i64, why: &StoreError) -> Unread {
    let recipient = row.user_name.clone().or_else(|| row.address.clone());
    Unread {
        id: NotificationId(u64::try_from(row.id).unwrap_or_default()),
        kind: row.kind.clone(),
        recipient: recipient.unwrap_or_else(|| Recipient::Everybody.to_string()),
        channel: row.channel.clone(),
        attempts: u32::try_from(row.attempts).unwrap_or_default(),
        expires: at(row.expires),
        claim,
        why: why.to_string(),
    }
}

impl Store {
    /// Claims at most so many notifications that are due on a channel, the longest due first, until
    /// a moment. Those of a kind that is not known are a newer gate's to send, and not claimed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notifications_claim(
        &self,
        channel: Channel,
        most: u64,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claims, StoreError> {
        let due = Entity::find()
            .filter(Column::Channel.eq(channel.word()))
            .filter(Column::Kind.is_in(NoticeKind::ALL.map(NoticeKind::word)))
            .filter(Column::Expires.gt(now.as_millisecond()));
        self.claim(due, most, now, until).await
    }

    /// Claims at most so many notifications whose time is over, whatever their channel.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notifications_claim_expired(
        &self,
        most: u64,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claims, StoreError> {
        let over = Entity::find().filter(Column::Expires.lte(now.as_millisecond()));
        self.claim(over, most, now, until).await
    }

    async fn claim(
        &self,
        which: Select<Entity>,
        most: u64,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claims, StoreError> {
        let due: Vec<i64> = which
            .filter(Column::State.eq(NotificationState::Waiting.word()))
            .filter(is_due(now))
            .order_by_asc(Column::NextTry)
            .order_by_asc(Column::Id)
            .limit(most)
            .select_only()
            .column(Column::Id)
            .into_tuple()
            .all(&self.readers)
            .await
            .doing(READING)?;
        if due.is_empty() {
            return Ok(Claims::default());
        }
        let claim = i64::from_ne_bytes(rand::random());
        // Another gate may have been faster with some of them.
        Entity::update_many()
            .col_expr(Column::Claim, Expr::value(claim))
            .col_expr(Column::NextTry, Expr::value(until.as_millisecond()))
            .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
            .filter(Column::Id.is_in(due.iter().copied()))
            .filter(Column::State.eq(NotificationState::Waiting.word()))
            .filter(is_due(now))
            .exec(&self.writer)
            .await
            .doing(DOING)?;
        let mine = Entity::find().filter(Column::Id.is_in(due)).filter(Column::Claim.eq(claim));
        let rows = mine.order_by_asc(Column::Id).all(&self.writer).await.doing(READING)?;
        let mut claims = Claims::default();
        for row in rows {
            match read(&row) {
                Ok(one) => {
                    claims.rows.push(Claimed { row: one, secret: row.secret.map(Secret::new), claim });
                }
                Err(why) => claims.unread.push(unread(&row, claim, &why)),
            }
        }
        Ok(claims)
    }

    /// Writes down what came of tries, of those whose claim is still the last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notifications_settle(
        &self,
        tried: Vec<(NotificationId, i64, Tried)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let change = self.writer.begin().await.doing(DOING)?;
        settle(&change, tried, now).await?;
        change.commit().await.doing(DOING)
    }

    /// The same as a step, which is taken together with the audit log's records of it.
    #[must_use]
    pub fn notifications_settled(tried: Vec<(NotificationId, i64, Tried)>, now: Timestamp) -> Step {
        Step::new(move |change| Box::pin(settle(change, tried, now)))
    }

    /// Tries one that failed once more, for another day; refused as [`StoreError::Changed`] where
    /// it does not stand so.
    #[must_use]
    pub fn notification_retried(row: &NotificationRow, now: Timestamp) -> Step {
        let again = Entity::update_many()
            .set(ActiveModel {
                state: Set(NotificationState::Waiting.word().to_owned()),
                attempts: Set(0),
                next_try: Set(now.as_millisecond()),
                claim: Set(None),
                expires: Set(row.notice.expires(now).as_millisecond()),
                settled: Set(None),
                ..Default::default()
            })
            .filter(Column::Id.eq(number(row.id)))
            .filter(Column::State.eq(NotificationState::Failed.word()));
        Step::new(move |change| {
            Box::pin(async move {
                match again.exec(change).await.doing(DOING)?.rows_affected {
                    1 => Ok(()),
                    _ => Err(StoreError::Changed),
                }
            })
        })
    }

    /// Notifications, the newest first.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn notifications(
        &self,
        filter: &NotificationFilter,
    ) -> Result<Vec<NotificationRow>, StoreError> {
        let mut query = Entity::find().order_by_desc(Column::Id);
        if let Some(user) = &filter.user {
            query = query.filter(Column::UserName.eq(user.as_str()));
        }
        if let Some(kind) = filter.kind {
            query = query.filter(Column::Kind.eq(kind.word()));
        }
        if let Some(state) = filter.state {
            query = query.filter(Column::State.eq(state.word()));
        }
        let limit = if filter.limit == 0 { MOST } else { Ord::min(filter.limit, MOST) };
        let rows = query.limit(limit).all(&self.readers).await.doing(READING)?;
        rows.iter().map(read).collect()
    }

    /// One notification.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn notification(&self, id: NotificationId) -> Result<Option<NotificationRow>, StoreError> {
        let row = Entity::find_by_id(number(id)).one(&self.readers).await.doing(READING)?;
        row.as_ref().map(read).transpose()
    }

    /// Forgets what was sent or given up long ago.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notifications_forget(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN).as_millisecond();
        let old = Entity::delete_many().filter(Column::Settled.lt(before));
        old.exec(&self.writer).await.doing(DOING).map(drop)
    }
}

async fn settle(
    change: &DatabaseTransaction,
    tried: Vec<(NotificationId, i64, Tried)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for (id, claim, tried) in tried {
        let over = |state: NotificationState, reason: Option<String>| ActiveModel {
            state: Set(state.word().to_owned()),
            secret: Set(None),
            settled: Set(Some(now.as_millisecond())),
            reason: Set(reason),
            ..Default::default()
        };
        let row = match tried {
            Tried::Sent => over(NotificationState::Sent, None),
            Tried::Failed(why) => over(NotificationState::Failed, Some(why.as_str().to_owned())),
            Tried::Dropped(why) => over(NotificationState::Dropped, Some(why.as_str().to_owned())),
            Tried::Again(at, why) => ActiveModel {
                next_try: Set(at.as_millisecond()),
                reason: Set(Some(why.as_str().to_owned())),
                ..Default::default()
            },
        };
        let mine = Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(number(id)))
            .filter(Column::State.eq(NotificationState::Waiting.word()))
            .filter(Column::Claim.eq(claim));
        mine.exec(change).await.doing(DOING)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
