//! Who wrote or deleted each resource last, and at which revision: so that whoever made an edit
//! of an earlier one can be told. Rows of what is deleted stay, because it may be written anew.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, QueryOrder as _};
use tidegate_common::model::{Kind, ResourceName};

use super::revisions::Revision;
use super::{Doing as _, MOST_NAMED, Step, Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "resource_edit")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Of all resources, after it.
    pub revision: i64,
    pub at_millis: i64,
    pub editor: String,
    pub deleted: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What somebody did last to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// To which.
    pub name: ResourceName,
    /// Who.
    pub editor: String,
    /// When.
    pub at: Timestamp,
    /// Whether it has been gone since.
    pub deleted: bool,
}

fn read(row: Model) -> Result<Edit, StoreError> {
    let what = || format!("the edit of {} `{}`", row.kind, row.name);
    let kind: Kind = row.kind.parse().map_err(|error| StoreError::unread(what(), error))?;
    let at =
        Timestamp::from_millisecond(row.at_millis).map_err(|error| StoreError::damaged(what(), error))?;
    let Model { name, editor, deleted, .. } = row;
    Ok(Edit { name: ResourceName { kind, name }, editor, at, deleted })
}

impl Store {
    /// What was done to resources after a revision, the oldest first.
    ///
    /// # Errors
    /// When the database fails or a row cannot be read.
    pub async fn edits_since(&self, since: Revision) -> Result<Vec<Edit>, StoreError> {
        let rows = Entity::find()
            .filter(Column::Revision.gt(since.0))
            .order_by_asc(Column::Revision)
            .order_by_asc(Column::Kind)
            .order_by_asc(Column::Name)
            .all(&self.readers)
            .await;
        rows.doing("read who edited resources")?.into_iter().map(read).collect()
    }

    /// Writes down who wrote these, or deleted those that are `true`; part of the step that does it.
    #[must_use]
    pub fn resources_edited(
        names: BTreeMap<ResourceName, bool>,
        editor: String,
        at: Timestamp,
        revision: Revision,
    ) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                let row = |(ResourceName { kind, name }, deleted): (ResourceName, bool)| ActiveModel {
                    kind: Set(kind.key().to_owned()),
                    name: Set(name),
                    revision: Set(revision.0),
                    at_millis: Set(at.as_millisecond()),
                    editor: Set(editor.clone()),
                    deleted: Set(deleted),
                };
                let rows: Vec<_> = names.into_iter().map(row).collect();
                write(change, &rows).await
            })
        })
    }
}

async fn write(change: &DatabaseTransaction, rows: &[ActiveModel]) -> Result<(), StoreError> {
    for some in rows.chunks(MOST_NAMED) {
        let again = OnConflict::columns([Column::Kind, Column::Name])
            .update_columns([Column::Revision, Column::AtMillis, Column::Editor, Column::Deleted])
            .to_owned();
        let written = Entity::insert_many(some.to_vec()).on_conflict(again);
        written.exec_without_returning(change).await.doing("wrote who edited resources")?;
    }
    Ok(())
}
