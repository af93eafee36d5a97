//! Planned changes. A change's document holds all of it.

pub(super) mod comparisons;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, Condition, QueryOrder as _, QuerySelect as _};
use tidegate_common::change::{Change, ChangeStateWord};
use tidegate_common::name::{AccessGroupName, ChangeId};

use super::revisions::{self, Of, Revision};
use super::{Doing as _, Step, Store, StoreError, changed_if_there};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "planned_change")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub group_name: String,
    pub state: String,
    pub due: i64,
    pub created: i64,
    #[sea_orm(column_type = "Text")]
    pub document: String,
    /// How often it was written after it was made.
    pub revision: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Which changes to read; the newest come first.
#[derive(Debug, Clone, Default)]
pub struct ChangeFilter {
    /// Written in this state only; none is written as expired.
    pub state: Option<ChangeStateWord>,
    /// Under this access group only.
    pub group: Option<AccessGroupName>,
    /// Not over then.
    pub due_after: Option<Timestamp>,
    /// Over then.
    pub due_until: Option<Timestamp>,
    /// At most so many, 1,001 at the most; 0 means 1,000.
    pub limit: u64,
}

const MOST: u64 = 1000;

const READ: &str = "read changes";
const WROTE: &str = "wrote a change";

fn read(row: &Model) -> Result<Change, StoreError> {
    serde_json::from_str(&row.document)
        .map_err(|error| StoreError::damaged(format!("change {}", row.id), error))
}

fn row(change: &Change) -> Result<ActiveModel, StoreError> {
    let document = serde_json::to_string(change)
        .map_err(|error| StoreError::damaged(format!("change {}", change.id), error))?;
    Ok(ActiveModel {
        id: Set(change.id.to_string()),
        group_name: Set(change.group.to_string()),
        state: Set(change.state_word().word().to_owned()),
        due: Set(change.due.as_millisecond()),
        created: Set(change.created.as_millisecond()),
        document: Set(document),
        revision: Set(0),
    })
}

impl Store {
    /// Writes a new change, if there is none of its id.
    #[must_use]
    pub fn change_made(change: Change) -> Step {
        Step::new(move |transaction| {
            Box::pin(async move {
                revisions::move_on(transaction, Of::Requests, None).await?;
                let insert = Entity::insert(row(&change)?);
                changed_if_there(insert.exec_without_returning(transaction).await, WROTE).map(drop)
            })
        })
    }

    /// Writes a change as it is now, if nobody has written it since `was`.
    #[must_use]
    pub fn change_changed(change: Change, was: Revision) -> Step {
        Step::new(move |transaction| {
            Box::pin(async move {
                let row = row(&change)?;
                let written = Entity::update_many()
                    .set(ActiveModel {
                        state: row.state,
                        document: row.document,
                        revision: Set(was.0.saturating_add(1)),
                        ..Default::default()
                    })
                    .filter(Column::Id.eq(change.id.as_str()))
                    .filter(Column::Revision.eq(was.0));
                if written.exec(transaction).await.doing(WROTE)?.rows_affected != 1 {
                    return Err(StoreError::Changed);
                }
                revisions::move_on(transaction, Of::Requests, None).await
            })
        })
    }

    /// One change, and which writing of it that is.
    ///
    /// # Errors
    /// When the database fails or the change is damaged.
    pub async fn change_to_change(&self, id: &ChangeId) -> Result<Option<(Change, Revision)>, StoreError> {
        let row = Entity::find_by_id(id.as_str()).one(&self.readers).await.doing(READ)?;
        row.map(|row| Ok((read(&row)?, Revision(row.revision)))).transpose()
    }

    /// One change.
    ///
    /// # Errors
    /// When the database fails or the change is damaged.
    pub async fn change(&self, id: &ChangeId) -> Result<Option<Change>, StoreError> {
        Ok(self.change_to_change(id).await?.map(|(change, _)| change))
    }

    /// Changes, the newest first.
    ///
    /// # Errors
    /// When the database fails or a change is damaged.
    pub async fn changes(&self, filter: &ChangeFilter) -> Result<Vec<Change>, StoreError> {
        let mut fits = Condition::all();
        if let Some(state) = filter.state {
            fits = fits.add(Column::State.eq(state.word()));
        }
        if let Some(group) = &filter.group {
            fits = fits.add(Column::GroupName.eq(group.as_str()));
        }
        if let Some(after) = filter.due_after {
            fits = fits.add(Column::Due.gt(after.as_millisecond()));
        }
        if let Some(until) = filter.due_until {
            fits = fits.add(Column::Due.lte(until.as_millisecond()));
        }
        let limit = if filter.limit == 0 { MOST } else { filter.limit.min(MOST + 1) };
        let query = Entity::find().filter(fits).order_by_desc(Column::Created).order_by_desc(Column::Id);
        let rows = query.limit(limit).all(&self.readers).await.doing(READ)?;
        rows.iter().map(read).collect()
    }

    /// Changes that a session under the group may rest on at the moment, and those that are named.
    ///
    /// # Errors
    /// When the database fails or a change is damaged.
    pub async fn changes_for(
        &self,
        group: &AccessGroupName,
        named: &[ChangeId],
        now: Timestamp,
    ) -> Result<Vec<Change>, StoreError> {
        let filter = ChangeFilter {
            state: Some(ChangeStateWord::Approved),
            group: Some(group.clone()),
            due_after: Some(now),
            due_until: None,
            limit: MOST,
        };
        let mut changes = self.changes(&filter).await?;
        for id in named {
            if !changes.iter().any(|change| change.id == *id) {
                changes.extend(self.change(id).await?);
            }
        }
        Ok(changes)
    }
}
