//! Sessions: who was let through to what, when, and how it ended.

use std::net::IpAddr;

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, Condition, DatabaseTransaction, QueryOrder as _, QuerySelect as _};
use tidegate_common::audit::EndCause;
use tidegate_common::id::{RequestId, SessionId};
use tidegate_common::name::{AccessGroupName, CredentialName, UserName};
use tidegate_common::policy::Permit;

use super::revisions::{self, Of};
use super::{Doing as _, GateId, MOST_NAMED, Step, Store, StoreError, at_once};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "session")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub user_name: String,
    pub target: String,
    pub group_name: String,
    pub request_id: Option<i64>,
    pub emergency: bool,
    pub origin: String,
    pub started: i64,
    pub ended: Option<i64>,
    pub outcome: Option<String>,
    /// Which gate it is on.
    pub gate: i32,
    /// Who had it ended at another gate.
    pub end_by: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// One session as it is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// Who.
    pub user: UserName,
    /// To what.
    pub target: CredentialName,
    /// The access group that governed.
    pub group: AccessGroupName,
    /// The request it rested on.
    pub request: Option<RequestId>,
    /// Whether approval was skipped in an emergency.
    pub emergency: bool,
    /// From where.
    pub origin: IpAddr,
    /// On which gate.
    pub gate: GateId,
    /// When it was admitted.
    pub started: Timestamp,
    /// When it ended; none while it lives (or if the proxy died with it).
    pub ended: Option<Timestamp>,
    /// How it ended, in one sentence.
    pub outcome: Option<String>,
}

impl SessionRow {
    /// Whether nothing is known of its end.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.ended.is_none() && self.outcome.is_none()
    }
}

/// Which sessions to read; the newest come first.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Of this user only.
    pub user: Option<UserName>,
    /// To this credential only.
    pub target: Option<CredentialName>,
    /// That rested on this request only.
    pub request: Option<RequestId>,
    /// Only those that have not ended.
    pub live: bool,
    /// At most so many; 0 means 100.
    pub limit: u64,
}

fn millis(at: i64) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or_default()
}

pub(super) fn read(row: Model) -> Result<SessionRow, StoreError> {
    let what = format!("session `{}`", row.id);
    let damaged = |why: &dyn std::fmt::Display| StoreError::damaged(what.clone(), why);
    Ok(SessionRow {
        id: row.id.parse().map_err(|error| damaged(&error))?,
        user: row.user_name.parse().map_err(|error| damaged(&error))?,
        target: row.target.parse().map_err(|error| damaged(&error))?,
        group: row.group_name.parse().map_err(|error| damaged(&error))?,
        request: row.request_id.and_then(|id| u64::try_from(id).ok()).map(RequestId),
        emergency: row.emergency,
        origin: row.origin.parse().map_err(|error| damaged(&error))?,
        gate: GateId(row.gate),
        started: millis(row.started),
        ended: row.ended.map(millis),
        outcome: row.outcome,
    })
}

async fn end(
    change: &DatabaseTransaction,
    id: SessionId,
    outcome: String,
    at: Timestamp,
) -> Result<(), StoreError> {
    let ended = Entity::update_many()
        .col_expr(Column::Ended, Expr::value(at.as_millisecond()))
        .col_expr(Column::Outcome, Expr::value(outcome))
        .filter(Column::Id.eq(id.to_string()));
    ended.exec(change).await.doing("wrote a session's end").map(drop)
}

impl Store {
    /// Writes a session that begins on this gate, where there is room for it.
    #[must_use]
    pub fn session_step(&self, id: SessionId, permit: &Permit, origin: IpAddr, now: Timestamp) -> Step {
        let begun = Self::session_put_step(SessionRow {
            id,
            user: permit.user().clone(),
            target: permit.target().clone(),
            group: permit.group().clone(),
            request: permit.request(),
            emergency: permit.emergency(),
            origin,
            gate: self.gate,
            started: now,
            ended: None,
            outcome: None,
        });
        let begun = match permit.request() {
            Some(request) => Self::session_counted(request, permit.sessions()).and(begun),
            None => begun,
        };
        if permit.bounds_sessions() {
            at_once::fits(permit.clone(), (self.gate, self.database_now())).and(begun)
        } else {
            begun
        }
    }

    pub(super) fn session_put_step(session: SessionRow) -> Step {
        let row = ActiveModel {
            id: Set(session.id.to_string()),
            user_name: Set(session.user.to_string()),
            target: Set(session.target.to_string()),
            group_name: Set(session.group.to_string()),
            request_id: Set(session.request.map(|id| i64::try_from(id.0).unwrap_or(i64::MAX))),
            emergency: Set(session.emergency),
            origin: Set(session.origin.to_string()),
            gate: Set(session.gate.0),
            end_by: Set(None),
            started: Set(session.started.as_millisecond()),
            ended: Set(session.ended.map(Timestamp::as_millisecond)),
            outcome: Set(session.outcome),
        };
        Step::new(move |change| {
            Box::pin(async move {
                Entity::insert(row).exec_without_returning(change).await.doing("wrote a session").map(drop)
            })
        })
    }

    /// Writes how a session ended.
    #[must_use]
    pub fn session_ended(id: SessionId, cause: EndCause, at: Timestamp) -> Step {
        Step::new(move |change| Box::pin(end(change, id, cause.to_string(), at)))
    }

    /// Asks the gate that a live session is on to end it, and tells its user by whom.
    #[must_use]
    pub fn session_end_asked(id: SessionId, by: String) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                let asked = Entity::update_many()
                    .col_expr(Column::EndBy, Expr::value(by))
                    .filter(Column::Id.eq(id.to_string()))
                    .filter(Column::Ended.is_null());
                asked.exec(change).await.doing("asked for a session's end")?;
                revisions::move_on(change, Of::Sessions, None).await
            })
        })
    }

    /// The sessions of this gate that others want to be ended, each with who does.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn ends_asked(&self) -> Result<Vec<(SessionId, String)>, StoreError> {
        let own = Entity::find().filter(Column::Gate.eq(self.gate.0)).filter(Column::Ended.is_null());
        let asked =
            own.filter(Column::EndBy.is_not_null()).all(&self.readers).await.doing("read sessions")?;
        let read = |row: Model| {
            let by = row.end_by.clone().unwrap_or_default();
            read(row).map(|session| (session.id, by))
        };
        asked.into_iter().map(read).collect()
    }

    /// The sessions of this gate without an end: at its start, the proxy died with them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sessions_without_end(&self) -> Result<Vec<SessionRow>, StoreError> {
        let own = Entity::find().filter(Column::Gate.eq(self.gate.0)).filter(Column::Ended.is_null());
        let live = own.order_by_desc(Column::Id).all(&self.readers).await.doing("read sessions")?;
        live.into_iter().map(read).collect()
    }

    /// Writes that the proxy died with these sessions.
    #[must_use]
    pub fn sessions_interrupted(sessions: Vec<SessionId>, at: Timestamp) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                for id in sessions {
                    end(change, id, "the proxy was ended by force".to_owned(), at).await?;
                }
                Ok(())
            })
        })
    }

    /// One session.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        let row = Entity::find_by_id(id.to_string()).one(&self.readers).await.doing("read sessions")?;
        row.map(read).transpose()
    }

    /// These sessions, in no order; those that are not known are left out.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn sessions_of(&self, ids: &[SessionId]) -> Result<Vec<SessionRow>, StoreError> {
        let mut found = Vec::new();
        for some in ids.chunks(MOST_NAMED) {
            let these = Column::Id.is_in(some.iter().map(ToString::to_string));
            let rows = Entity::find().filter(these).all(&self.readers).await.doing("read sessions")?;
            found.extend(rows);
        }
        found.into_iter().map(read).collect()
    }

    /// Sessions of anybody or of one user whose id starts so (at most three), for people who type less.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn sessions_like(
        &self,
        start: &str,
        user: Option<&UserName>,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let of_user = user.map(|user| Column::UserName.eq(user.as_str()));
        let rows = Entity::find()
            .filter(Column::Id.starts_with(start.to_ascii_lowercase()))
            .filter(Condition::all().add_option(of_user))
            .limit(3)
            .all(&self.readers)
            .await;
        rows.doing("read sessions")?.into_iter().map(read).collect()
    }

    /// Sessions, the newest first.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, StoreError> {
        let mut query = Entity::find().order_by_desc(Column::Id);
        if let Some(user) = &filter.user {
            query = query.filter(Column::UserName.eq(user.as_str()));
        }
        if let Some(target) = &filter.target {
            query = query.filter(Column::Target.eq(target.to_string()));
        }
        if let Some(request) = filter.request {
            query = query.filter(Column::RequestId.eq(i64::try_from(request.0).unwrap_or(i64::MAX)));
        }
        if filter.live {
            query = query.filter(Column::Ended.is_null());
        }
        let limit = if filter.limit == 0 { 100 } else { filter.limit.min(MOST) };
        let rows = query.limit(limit).all(&self.readers).await.doing("read sessions")?;
        rows.into_iter().map(read).collect()
    }
}

const MOST: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Temporary, on_both, session};

    async fn a_session_is_live_until_it_ended_and_found_by_the_start_of_its_id() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        let (first, second) = (session(1_800_000_000), session(1_800_000_100));
        store.session_put(&first).await.unwrap();
        store.session_put(&second).await.unwrap();
        store.session_end(first.id, EndCause::User, second.started).await.unwrap();
        let live = store.sessions(&SessionFilter { live: true, ..SessionFilter::default() }).await.unwrap();
        assert_eq!(live, std::slice::from_ref(&second));
        let ended = store.session(first.id).await.unwrap().unwrap();
        assert_eq!((ended.ended, ended.outcome.as_deref()), (Some(second.started), Some("the user left")));
        let unknown = SessionId::new(9, 9);
        let found = store.sessions_of(&[second.id, unknown]).await.unwrap();
        assert_eq!(found, std::slice::from_ref(&second));
        let start: String = second.id.to_string().chars().take(10).collect();
        assert_eq!(store.sessions_like(&start, None).await.unwrap(), std::slice::from_ref(&second));
        // What others have does not crowd out one's own.
        for user in ["adam", "olga", "one", "two"] {
            let id =
                SessionId::new(1_800_000_100_000, user.len() as u128 * 100 + u128::from(user.as_bytes()[0]));
            store
                .session_put(&SessionRow { id, user: user.parse().unwrap(), ..second.clone() })
                .await
                .unwrap();
            store.session_end(id, EndCause::User, second.started).await.unwrap();
        }
        let own = store.sessions_like(&start, Some(&second.user)).await.unwrap();
        assert_eq!(own, std::slice::from_ref(&second));
        assert_eq!(store.sessions_without_end().await.unwrap(), std::slice::from_ref(&second));
        assert!(store.takes(Store::sessions_interrupted(vec![second.id], second.started)).await);
        assert_eq!(store.sessions_without_end().await.unwrap(), []);
        assert_eq!(store.sessions(&SessionFilter::default()).await.unwrap().len(), 2 + 4);
    }

    on_both! {
        a_session_is_live_until_it_ended_and_found_by_the_start_of_its_id,
    }
}
