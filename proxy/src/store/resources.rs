//! Resources as JSON documents, keyed by kind and name, ordered by age.

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, IntoActiveModel as _, QueryOrder as _};
use tidegate_common::model::{Kind, Resource, ResourceName, Resources};

use super::revisions::{self, Of, Revision};
use super::{Doing as _, Step, Store, StoreError, secrets};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "resource")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i32,
    pub kind: String,
    pub name: String,
    #[sea_orm(column_type = "Text")]
    pub document: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

fn read(row: &Model) -> Result<Resource, StoreError> {
    let unread =
        |why: &dyn std::fmt::Display| StoreError::unread(format!("{} `{}`", row.kind, row.name), why);
    let kind: Kind = row.kind.parse().map_err(|error| unread(&error))?;
    let document = serde_json::from_str(&row.document).map_err(|error| unread(&error))?;
    Resource::from_json(kind, document).map_err(|error| unread(&error))
}

impl Store {
    /// Everything, each kind from the oldest on.
    ///
    /// # Errors
    /// When the database fails or a document cannot be read.
    pub async fn resources(&self) -> Result<Resources, StoreError> {
        let rows = Entity::find().order_by_asc(Column::Id).all(&self.readers).await;
        let mut all = Resources::default();
        for row in rows.doing("read resources")? {
            all.push(read(&row)?);
        }
        Ok(all)
    }

    /// The same, with the revision that they are at least of: what is made of them is written
    /// only if that is still the newest.
    ///
    /// # Errors
    /// As [`Self::resources`].
    pub async fn resources_to_change(&self) -> Result<(Resources, Revision), StoreError> {
        let revision = self.revision(Of::Resources).await?;
        Ok((self.resources().await?, revision))
    }

    /// Writes and removes resources, all or none, and none if they have changed since `was`.
    #[must_use]
    pub fn resources_step(put: Vec<Resource>, remove: Vec<ResourceName>, was: Revision) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                revisions::move_on(change, Of::Resources, Some(was)).await?;
                write(change, &put, &remove).await
            })
        })
    }
}

async fn write(
    change: &DatabaseTransaction,
    put: &[Resource],
    remove: &[ResourceName],
) -> Result<(), StoreError> {
    const DOING: &str = "wrote resources";
    for resource in put {
        let ResourceName { kind, name } = resource.name();
        let document = resource.to_json().map_err(|error| StoreError::damaged(name.clone(), error))?;
        let (kind, document) = (kind.key().to_owned(), document.to_string());
        let known = Entity::find().filter(Column::Kind.eq(&kind)).filter(Column::Name.eq(&name));
        match known.one(change).await.doing(DOING)? {
            Some(row) => {
                let row = ActiveModel { document: Set(document), ..row.into_active_model() };
                Entity::update(row).exec(change).await.doing(DOING)?;
            }
            None => {
                let row = ActiveModel {
                    kind: Set(kind),
                    name: Set(name),
                    document: Set(document),
                    ..Default::default()
                };
                Entity::insert(row).exec_without_returning(change).await.doing(DOING)?;
            }
        }
    }
    for ResourceName { kind, name } in remove {
        let gone = Entity::delete_many().filter(Column::Kind.eq(kind.key())).filter(Column::Name.eq(name));
        gone.exec(change).await.doing(DOING)?;
        if *kind == Kind::Credential {
            secrets::forget(change, name).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Temporary, on_both};

    const EXAMPLE: &str = include_str!("../../../config/resources.toml");

    async fn take(temporary: &Temporary, put: Vec<Resource>, remove: Vec<ResourceName>) {
        let (_, was) = temporary.store.resources_to_change().await.unwrap();
        let step = Store::resources_step(put, remove, was);
        temporary.store.audit_append_all(Vec::new(), Some(step)).await.unwrap();
    }

    async fn resources_come_back_as_they_were_and_a_change_keeps_their_age() {
        let temporary = Temporary::new().await;
        let update = Resources::default().update(EXAMPLE).unwrap();
        let all: Vec<_> = update.written.into_iter().map(|(resource, _)| resource).collect();
        take(&temporary, all, Vec::new()).await;
        assert_eq!(temporary.store.resources().await.unwrap(), update.whole);

        let changed = update
            .whole
            .update("[[user]]\nname = \"operator\"\nemail = \"operator@example.org\"\nenabled = false\n")
            .unwrap();
        take(&temporary, vec![changed.written[0].0.clone()], Vec::new()).await;
        let read = temporary.store.resources().await.unwrap();
        assert_eq!(read, changed.whole);
        assert_eq!(read.users[0].name.as_str(), "operator");

        let reason = ResourceName { kind: Kind::Reason, name: "incident".to_owned() };
        take(&temporary, Vec::new(), vec![reason]).await;
        assert_eq!(temporary.store.resources().await.unwrap().reasons.len(), 1);
    }

    on_both! {
        resources_come_back_as_they_were_and_a_change_keeps_their_age,
    }
}
