//! Files that went through, by session: what the audit log says of them, where a
//! session's are found at once.

use std::sync::Arc;

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, QueryOrder as _, QuerySelect as _};
use tidegate_common::audit::Event;
use tidegate_common::id::SessionId;

use super::{Doing as _, Step, Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "transfer")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub session_id: String,
    pub at_millis: i64,
    #[sea_orm(column_type = "Text")]
    pub document: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A session's transfers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfers {
    /// The first of them, in the order in which they ended.
    pub first: Vec<(Timestamp, Event)>,
    /// How many there are in all.
    pub all: u64,
}

fn row(session: SessionId, at: Timestamp, event: &Event) -> Result<ActiveModel, StoreError> {
    let document = serde_json::to_string(event)
        .map_err(|error| StoreError::damaged(format!("transfer of session `{session}`"), error))?;
    Ok(ActiveModel {
        session_id: Set(session.to_string()),
        at_millis: Set(at.as_millisecond()),
        document: Set(document),
        ..Default::default()
    })
}

impl Store {
    /// Adds to a session's transfers.
    #[must_use]
    pub fn transfers_listed(session: SessionId, at: Timestamp, events: Arc<[Event]>) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                let rows = events.iter().map(|event| row(session, at, event));
                let rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
                let listed = Entity::insert_many(rows).exec_without_returning(change).await;
                listed.doing("listed transfers").map(drop)
            })
        })
    }

    /// At most so many of a session's transfers after number `after`, as they are stored.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn transfers_after(
        &self,
        session: SessionId,
        after: i64,
        limit: u64,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let of =
            Entity::find().filter(Column::SessionId.eq(session.to_string())).filter(Column::Id.gt(after));
        let rows = of.order_by_asc(Column::Id).limit(limit).all(&self.readers).await;
        Ok(rows.doing("read transfers")?.into_iter().map(|row| (row.id, row.document)).collect())
    }

    /// A session's transfers, at most so many.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn transfers(&self, session: SessionId, limit: u64) -> Result<Transfers, StoreError> {
        const DOING: &str = "read transfers";
        let of = Entity::find().filter(Column::SessionId.eq(session.to_string()));
        let all = of.clone().count(&self.readers).await.doing(DOING)?;
        let rows = of.order_by_asc(Column::Id).limit(limit).all(&self.readers).await.doing(DOING)?;
        let read = rows.into_iter().map(|row| {
            let event = serde_json::from_str(&row.document)
                .map_err(|error| StoreError::damaged(format!("transfer {}", row.id), error))?;
            Ok((Timestamp::from_millisecond(row.at_millis).unwrap_or_default(), event))
        });
        Ok(Transfers { first: read.collect::<Result<_, StoreError>>()?, all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Temporary, on_both};

    async fn a_session_s_transfers_read_back_in_order_and_are_counted_beyond_the_limit() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        let (session, other) = (SessionId::new(1, 1), SessionId::new(2, 2));
        let event = |channel, more| Event::TransfersNotListed { session, channel, more };
        store.transfers_add(session, Timestamp::UNIX_EPOCH, &[event(1, 1), event(1, 2)]).await.unwrap();
        store.transfers_add(other, Timestamp::UNIX_EPOCH, &[event(9, 9)]).await.unwrap();
        store.transfers_add(session, Timestamp::UNIX_EPOCH, &[event(2, 3)]).await.unwrap();
        let read = store.transfers(session, 2).await.unwrap();
        let first: Vec<_> = read.first.into_iter().map(|(_, event)| event).collect();
        assert_eq!((first.as_slice(), read.all), ([event(1, 1), event(1, 2)].as_slice(), 3));
    }

    on_both! {
        a_session_s_transfers_read_back_in_order_and_are_counted_beyond_the_limit,
    }
}
