//! Remote accesses. A row's document holds all but how many sessions it has admitted. Every write
//! moves one number, which its row keeps: so a gate reads only what it has not seen.
//!
//! That one has expired stands in the row. Its document says, as gates of before read it, until when it
//! waited: they take it for expired by that, and would begin nothing new beside a state that they do not know.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{BinOper, ExprTrait as _};
use sea_orm::{ActiveValue::Set, DatabaseTransaction, QueryOrder as _, QuerySelect as _};
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{RemoteAccess, RemoteAccessState};
use tidegate_common::name::{UserGroupName, UserName};

use super::revisions::{self, Of, Revision};
use super::{Doing as _, MOST_NAMED, Step, Store, StoreError, changed_if_there};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "remote_access")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub batch: Option<i64>,
    pub user_name: String,
    pub group_name: String,
    pub state: String,
    pub starts: i64,
    pub ends: i64,
    pub created: i64,
    pub used: i32,
    /// Which writing of any remote access wrote it.
    pub written: i64,
    #[sea_orm(column_type = "Text")]
    pub document: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Which remote accesses to read; the newest come first.
#[derive(Debug, Clone, Default)]
pub struct RemoteAccessFilter {
    /// Of this user only.
    pub user: Option<UserName>,
    /// Of this user group only.
    pub group: Option<UserGroupName>,
    /// Of this batch only.
    pub batch: Option<RemoteAccessId>,
    /// In one of these states (as written down); empty for all.
    pub states: &'static [&'static str],
    /// Requested then or later.
    pub since: Option<jiff::Timestamp>,
    /// At most so many, 10,001 at the most; 0 means 10,000.
    pub limit: u64,
}

const MOST: u64 = 10_000;
/// In a row's column of states.
const EXPIRED: &str = "expired";
const READ: &str = "read remote accesses";
const WROTE: &str = "wrote a remote access";

fn number(id: RemoteAccessId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

fn read(row: &Model) -> Result<RemoteAccess, StoreError> {
    let mut access: RemoteAccess = serde_json::from_str(&row.document)
        .map_err(|error| StoreError::unread(format!("remote access {}", row.id), error))?;
    access.used = u32::try_from(row.used).unwrap_or_default();
    if let RemoteAccessState::Pending { until, .. } = access.state
        && row.state == EXPIRED
    {
        access.state = RemoteAccessState::Expired { at: access.window.end.min(until) };
    }
    Ok(access)
}

fn row(access: &RemoteAccess, written: i64) -> Result<ActiveModel, StoreError> {
    let state = match access.state {
        // How many approvals it needed, nobody asks any more.
        RemoteAccessState::Expired { at } => RemoteAccessState::Pending { needed: 1, until: at },
        ref state => state.clone(),
    };
    let document = RemoteAccess { used: 0, state, ..access.clone() };
    let document = serde_json::to_string(&document)
        .map_err(|error| StoreError::damaged(format!("remote access {}", access.id), error))?;
    Ok(ActiveModel {
        id: Set(number(access.id)),
        batch: Set(access.batch.map(number)),
        user_name: Set(access.user.to_string()),
        group_name: Set(access.group.to_string()),
        state: Set(access.state.word().to_owned()),
        starts: Set(access.window.start.as_millisecond()),
        ends: Set(access.window.end.as_millisecond()),
        created: Set(access.created.as_millisecond()),
        used: Set(i32::try_from(access.used).unwrap_or(i32::MAX)),
        written: Set(written),
        document: Set(document),
    })
}

/// Writes a remote access over what was written as `was`, as this writing.
async fn rewrite(
    change: &DatabaseTransaction,
    access: &RemoteAccess,
    was: Revision,
    written: i64,
) -> Result<(), StoreError> {
    let row = row(access, written)?;
    let set = ActiveModel {
        state: row.state,
        starts: row.starts,
        ends: row.ends,
        written: row.written,
        document: row.document,
        ..Default::default()
    };
    let one = Entity::update_many()
        .set(set)
        .filter(Column::Id.eq(number(access.id)))
        .filter(Column::Written.eq(was.0));
    match one.exec(change).await.doing(WROTE)?.rows_affected {
        1 => Ok(()),
        _ => Err(StoreError::Changed),
    }
}

/// Moves the number that every write moves; where it is now.
async fn write(change: &DatabaseTransaction) -> Result<i64, StoreError> {
    revisions::move_on(change, Of::RemoteAccesses, None).await?;
    revisions::read_in(change, Of::RemoteAccesses).await.map(|revision| revision.0)
}

impl Store {
    /// The number that the next remote access gets.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_remote_access_id(&self) -> Result<RemoteAccessId, StoreError> {
        let newest = Entity::find().order_by_desc(Column::Id).one(&self.writer).await.doing(READ)?;
        let last = newest.map_or(0, |row| u64::try_from(row.id).unwrap_or_default());
        Ok(RemoteAccessId(last.saturating_add(1)))
    }

    /// Writes new remote accesses, if nobody has their numbers.
    #[must_use]
    pub fn remote_accesses_made(accesses: Vec<RemoteAccess>) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                let written = write(change).await?;
                for some in accesses.chunks(MOST_NAMED) {
                    let rows =
                        some.iter().map(|access| row(access, written)).collect::<Result<Vec<_>, _>>()?;
                    changed_if_there(Entity::insert_many(rows).exec_without_returning(change).await, WROTE)?;
                }
                Ok(())
            })
        })
    }

    /// Writes a remote access as it is now, if nobody has written it since `was`. How many
    /// sessions it has admitted stays.
    #[must_use]
    pub fn remote_access_changed(access: RemoteAccess, was: Revision) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                let written = write(change).await?;
                rewrite(change, &access, was, written).await
            })
        })
    }

    /// Writes several, as [`Self::remote_access_changed`] writes one; all or none.
    #[must_use]
    pub fn remote_accesses_changed(accesses: Vec<(RemoteAccess, Revision)>) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                let written = write(change).await?;
                for (access, was) in &accesses {
                    rewrite(change, access, *was, written).await?;
                }
                Ok(())
            })
        })
    }

    /// Writes nothing, and is refused if any remote access was written since `was`.
    #[must_use]
    pub fn remote_accesses_unchanged(was: Revision) -> Step {
        Step::new(move |change| {
            Box::pin(async move { revisions::move_on(change, Of::RemoteAccesses, Some(was)).await })
        })
    }

    /// Counts one session more, if fewer than `most` were, and the access is still granted.
    #[must_use]
    pub fn remote_access_used(id: RemoteAccessId, most: u32) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                let written = write(change).await?;
                let one = Entity::update_many()
                    .col_expr(Column::Used, Expr::col(Column::Used).binary(BinOper::Add, 1))
                    .col_expr(Column::Written, Expr::value(written))
                    .filter(Column::Id.eq(number(id)))
                    .filter(Column::State.eq("granted"))
                    .filter(Column::Used.lt(i32::try_from(most).unwrap_or(i32::MAX)));
                match one.exec(change).await.doing(WROTE)?.rows_affected {
                    1 => Ok(()),
                    _ => Err(StoreError::Changed),
                }
            })
        })
    }

    /// One remote access.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn remote_access(&self, id: RemoteAccessId) -> Result<Option<RemoteAccess>, StoreError> {
        Ok(self.remote_access_to_change(id).await?.map(|(access, _)| access))
    }

    /// One remote access, and which writing of it that is.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn remote_access_to_change(
        &self,
        id: RemoteAccessId,
    ) -> Result<Option<(RemoteAccess, Revision)>, StoreError> {
        let row = Entity::find_by_id(number(id)).one(&self.readers).await.doing(READ)?;
        row.map(|row| Ok((read(&row)?, Revision(row.written)))).transpose()
    }

    /// Every remote access of these users with its writing, and up to which writing that is at least.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn remote_accesses_of(
        &self,
        users: &[UserName],
    ) -> Result<(Vec<(RemoteAccess, Revision)>, Revision), StoreError> {
        // First: whoever rests on it is refused where more was written than is read.
        let now = self.revision(Of::RemoteAccesses).await?;
        let mut all = Vec::new();
        for some in users.chunks(MOST_NAMED) {
            let names = some.iter().map(UserName::as_str);
            let rows = Entity::find().filter(Column::UserName.is_in(names)).all(&self.readers);
            for row in rows.await.doing(READ)? {
                all.push((read(&row)?, Revision(row.written)));
            }
        }
        Ok((all, now))
    }

    /// Remote accesses that were written after `seen`, and up to which writing that is.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn remote_accesses_since(
        &self,
        seen: Revision,
    ) -> Result<(Vec<RemoteAccess>, Revision), StoreError> {
        // First: what is written meanwhile is read now or the next time, or both.
        let now = self.revision(Of::RemoteAccesses).await?;
        if now == seen {
            return Ok((Vec::new(), now));
        }
        let rows = Entity::find().filter(Column::Written.gt(seen.0)).all(&self.readers).await.doing(READ)?;
        Ok((rows.iter().map(read).collect::<Result<_, _>>()?, now))
    }

    /// Granted remote accesses that end after one moment and not after another.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn remote_accesses_ending(
        &self,
        after: jiff::Timestamp,
        until: jiff::Timestamp,
    ) -> Result<Vec<RemoteAccess>, StoreError> {
        let rows = Entity::find()
            .filter(Column::State.eq("granted"))
            .filter(Column::Ends.gt(after.as_millisecond()))
            .filter(Column::Ends.lte(until.as_millisecond()))
            .all(&self.readers);
        rows.await.doing(READ)?.iter().map(read).collect()
    }

    /// Remote accesses, the newest first.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn remote_accesses(
        &self,
        filter: &RemoteAccessFilter,
    ) -> Result<Vec<RemoteAccess>, StoreError> {
        let mut query = Entity::find().order_by_desc(Column::Id);
        if let Some(user) = &filter.user {
            query = query.filter(Column::UserName.eq(user.as_str()));
        }
        if let Some(group) = &filter.group {
            query = query.filter(Column::GroupName.eq(group.as_str()));
        }
        if let Some(batch) = filter.batch {
            query = query.filter(Column::Batch.eq(number(batch)));
        }
        if !filter.states.is_empty() {
            query = query.filter(Column::State.is_in(filter.states.iter().copied()));
        }
        if let Some(since) = filter.since {
            query = query.filter(Column::Created.gte(since.as_millisecond()));
        }
        // One more than is shown tells that there are more.
        let limit = if filter.limit == 0 { MOST } else { Ord::min(filter.limit, MOST + 1) };
        let rows = query.limit(limit).all(&self.readers).await.doing(READ)?;
        rows.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests;
