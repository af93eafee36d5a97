//! What came of the sessions under changes.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, QueryOrder as _, QuerySelect as _};
use serde::{Deserialize, Serialize};
use tidegate_common::change::Report;
use tidegate_common::id::SessionId;
use tidegate_common::name::ChangeId;

use crate::store::{Doing as _, GateId, Step, Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "comparison")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub session: String,
    pub change_id: String,
    #[sea_orm(column_type = "Text")]
    pub document: String,
    /// On which gate it goes on; none once its report was told.
    pub compared_on: Option<i32>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Sessions under one change that are reported.
const MOST: u64 = 1000;

/// A session held against its change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Which session.
    pub session: SessionId,
    /// Against which change.
    pub change: ChangeId,
    /// Whether it is over, and all that ran was compared.
    pub complete: bool,
    /// Whether the host's kernel told what ran.
    pub witnessed: bool,
    /// What came of it so far.
    pub report: Report,
}

/// A session that was cut off while it was held against its change.
#[derive(Debug)]
pub struct CutOff {
    /// Which session, as it is written.
    pub session: String,
    /// What came of it, or why that cannot be read.
    pub came: Result<Comparison, StoreError>,
}

fn read(row: &Model) -> Result<Comparison, StoreError> {
    serde_json::from_str(&row.document)
        .map_err(|error| StoreError::damaged(format!("comparison of session {}", row.session), error))
}

fn written(comparison: Comparison, on: Option<GateId>) -> Step {
    Step::new(move |transaction| {
        Box::pin(async move {
            let document = serde_json::to_string(&comparison).map_err(|error| {
                StoreError::damaged(format!("comparison of session {}", comparison.session), error)
            })?;
            let row = ActiveModel {
                session: Set(comparison.session.to_string()),
                change_id: Set(comparison.change.to_string()),
                document: Set(document),
                compared_on: Set(on.map(|gate| gate.0)),
            };
            let anew = [Column::Document, Column::ComparedOn];
            let again = OnConflict::column(Column::Session).update_columns(anew).to_owned();
            let insert = Entity::insert(row).on_conflict(again);
            insert.exec_without_returning(transaction).await.doing("wrote what came of a change").map(drop)
        })
    })
}

impl Store {
    /// Writes what came of a session so far, which this gate goes on to compare.
    #[must_use]
    pub fn comparing(&self, comparison: Comparison) -> Step {
        written(comparison, Some(self.gate))
    }

    /// Writes what came of a session, of which nothing more is compared.
    #[must_use]
    pub fn compared(comparison: Comparison) -> Step {
        written(comparison, None)
    }

    /// Writes that nothing more is compared of a session whose comparison cannot be told of. The rest of
    /// what is written of it stays.
    #[must_use]
    pub fn compared_untold(session: String) -> Step {
        Step::new(move |transaction| {
            Box::pin(async move {
                let over = ActiveModel { compared_on: Set(None), ..Default::default() };
                let one = Entity::update_many().set(over).filter(Column::Session.eq(session));
                one.exec(transaction).await.doing("wrote what came of a change").map(drop)
            })
        })
    }

    /// The sessions that this gate goes on to compare: at its start, its stop cut them off. Of each what
    /// came of it, or why that cannot be read.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cut_off(&self) -> Result<Vec<CutOff>, StoreError> {
        let own = Entity::find().filter(Column::ComparedOn.eq(self.gate.0)).order_by_asc(Column::Session);
        let rows = own.all(&self.readers).await.doing("read what came of a change")?;
        Ok(rows.into_iter().map(|row| CutOff { came: read(&row), session: row.session }).collect())
    }

    /// What came of a session, if it was under a change.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn comparison(&self, session: SessionId) -> Result<Option<Comparison>, StoreError> {
        let row = Entity::find_by_id(session.to_string()).one(&self.readers).await;
        row.doing("read what came of a change")?.as_ref().map(read).transpose()
    }

    /// What came of the sessions under a change, the oldest first.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn comparisons(&self, change: &ChangeId) -> Result<Vec<Comparison>, StoreError> {
        let query = Entity::find().filter(Column::ChangeId.eq(change.as_str())).order_by_asc(Column::Session);
        let rows = query.limit(MOST).all(&self.readers).await.doing("read what came of a change")?;
        rows.iter().map(read).collect()
    }
}
