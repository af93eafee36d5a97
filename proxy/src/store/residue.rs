//! What sessions left behind on their hosts, one report for each session.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use tidegate_common::id::SessionId;
use tidegate_common::residue::Residue;

use super::{Doing as _, Step, Store, StoreError, changed_if_there};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "residue")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub session: String,
    #[sea_orm(column_type = "Text")]
    pub document: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Store {
    /// Keeps a session's report, if there is none yet: the first one stays.
    #[must_use]
    pub fn residue_reported(session: SessionId, residue: Residue) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                let document = serde_json::to_string(&residue).map_err(|why| damaged(session, why))?;
                let row = ActiveModel { session: Set(session.to_string()), document: Set(document) };
                changed_if_there(Entity::insert(row).exec_without_returning(change).await, "wrote a report")?;
                Ok(())
            })
        })
    }

    /// A session's report, when one came.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn residue(&self, session: SessionId) -> Result<Option<Residue>, StoreError> {
        let row = Entity::find_by_id(session.to_string()).one(&self.readers).await.doing("read reports")?;
        row.map(|row| serde_json::from_str(&row.document).map_err(|why| damaged(session, why))).transpose()
    }
}

fn damaged(session: SessionId, why: serde_json::Error) -> StoreError {
    StoreError::damaged(format!("report of session {session}"), why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Temporary, on_both};

    async fn the_first_report_of_a_session_stays() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        let session = SessionId::new(1, 1);
        assert_eq!(store.residue(session).await.unwrap(), None);
        let first = Residue { millis: 7, ..Residue::default() };
        assert!(store.takes(Store::residue_reported(session, first.clone())).await);
        assert!(!store.takes(Store::residue_reported(session, Residue::default())).await);
        assert_eq!(store.residue(session).await.unwrap(), Some(first));
    }

    on_both! {
        the_first_report_of_a_session_stays,
    }
}
