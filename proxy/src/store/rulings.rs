//! What is ruled beside the resources' text: panics, and what is known of reviews of groups.

use std::collections::{HashMap, HashSet};

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use tidegate_common::model::{GroupReview, Panic, PanicScope, Rulings};
use tidegate_common::name::AccessGroupName;

use super::revisions::{self, Of, Revision};
use super::{Doing as _, Step, Store, StoreError, changed_if_there};

pub(super) mod panic {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "panic")]
    pub struct Model {
        /// What it stops, as JSON.
        #[sea_orm(primary_key, auto_increment = false)]
        pub scope: String,
        #[sea_orm(column_type = "Text")]
        pub document: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod review {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "group_review")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub group_name: String,
        #[sea_orm(column_type = "Text")]
        pub document: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Rulings as they were read. What cannot be read keeps nothing else from being known.
#[derive(Debug)]
pub struct Ruled {
    /// Those that can be read, and of which groups a review cannot.
    pub rulings: Rulings,
    /// Which revision they are at least of.
    pub revision: Revision,
    /// Panics that cannot be read; each may stop anybody.
    pub panics: Vec<UnreadPanic>,
    /// Why reviews cannot be read.
    pub reviews: Vec<StoreError>,
}

/// A panic that cannot be read.
#[derive(Debug)]
pub struct UnreadPanic {
    /// What its row says that it stops.
    scope: String,
    why: String,
}

impl UnreadPanic {
    /// Whether this is what it stops, as far as this gate can tell.
    #[must_use]
    pub fn is_of(&self, scope: &PanicScope) -> bool {
        key(scope).is_ok_and(|key| key == self.scope)
    }

    /// Why it cannot be read.
    #[must_use]
    pub fn error(&self) -> StoreError {
        StoreError::unread(format!("panic {}", self.scope), &self.why)
    }
}

fn reviewed(row: &review::Model) -> Result<(AccessGroupName, GroupReview), StoreError> {
    let what = || format!("review of access group {}", row.group_name);
    let group = row.group_name.parse().map_err(|error| StoreError::damaged(what(), error))?;
    let read = serde_json::from_str(&row.document);
    Ok((group, read.map_err(|error| StoreError::unread(what(), error))?))
}

fn key(scope: &PanicScope) -> Result<String, StoreError> {
    serde_json::to_string(scope).map_err(|error| StoreError::damaged(format!("panic of {scope}"), error))
}

impl Store {
    /// All rulings, with the revision that they are at least of: what is made of them is written
    /// only if that is still the newest.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rulings(&self) -> Result<Ruled, StoreError> {
        let revision = self.revision(Of::Rulings).await?;
        let (mut panics, mut unread_panics) = (Vec::new(), Vec::new());
        for row in panic::Entity::find().all(&self.readers).await.doing("read panics")? {
            match serde_json::from_str::<Panic>(&row.document) {
                Ok(panic) => panics.push(panic),
                Err(why) => unread_panics.push(UnreadPanic { scope: row.scope, why: why.to_string() }),
            }
        }
        panics.sort_by(|a, b| (a.since, &a.scope).cmp(&(b.since, &b.scope)));
        let (mut known, mut unread, mut reviews) = (HashMap::new(), HashSet::new(), Vec::new());
        for row in review::Entity::find().all(&self.readers).await.doing("read reviews of groups")? {
            match reviewed(&row) {
                Ok((group, review)) => {
                    known.insert(group, review);
                }
                Err(why) => {
                    unread.extend(row.group_name.parse::<AccessGroupName>().ok());
                    reviews.push(why);
                }
            }
        }
        let rulings = Rulings { panics, reviews: known, unread };
        Ok(Ruled { rulings, revision, panics: unread_panics, reviews })
    }

    /// Writes a panic that begins, unless rulings have changed since `was`.
    #[must_use]
    pub fn panic_step(panic: Panic, was: Revision) -> Step {
        const DOING: &str = "wrote a panic";
        Step::new(move |change| {
            Box::pin(async move {
                revisions::move_on(change, Of::Rulings, Some(was)).await?;
                let scope = key(&panic.scope)?;
                let document = serde_json::to_string(&panic);
                let document = document.map_err(|error| StoreError::damaged(scope.clone(), error))?;
                let row = panic::ActiveModel { scope: Set(scope), document: Set(document) };
                changed_if_there(panic::Entity::insert(row).exec_without_returning(change).await, DOING)
                    .map(drop)
            })
        })
    }

    /// Writes what is known of a group's reviews, unless rulings have changed since `was`.
    #[must_use]
    pub fn group_review_step(group: AccessGroupName, review: GroupReview, was: Revision) -> Step {
        const DOING: &str = "wrote a review of a group";
        Step::new(move |change| {
            Box::pin(async move {
                revisions::move_on(change, Of::Rulings, Some(was)).await?;
                let document = serde_json::to_string(&review);
                let document = document.map_err(|error| StoreError::damaged(group.to_string(), error))?;
                let row = review::ActiveModel { group_name: Set(group.to_string()), document: Set(document) };
                let known = OnConflict::column(review::Column::GroupName)
                    .update_column(review::Column::Document)
                    .to_owned();
                let written = review::Entity::insert(row).on_conflict(known);
                written.exec_without_returning(change).await.doing(DOING).map(drop)
            })
        })
    }

    /// Removes a panic, unless rulings have changed since `was`.
    #[must_use]
    pub fn panic_lift_step(scope: PanicScope, was: Revision) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                revisions::move_on(change, Of::Rulings, Some(was)).await?;
                let gone = panic::Entity::delete_by_id(key(&scope)?).exec(change).await;
                gone.doing("lifted a panic").map(drop)
            })
        })
    }
}
