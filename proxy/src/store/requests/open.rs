//! What is open of the requests of users who go, or of whom others have the name now.

use sea_orm::QueryOrder as _;
use sea_orm::entity::prelude::*;
use tidegate_common::model::Request;
use tidegate_common::name::UserName;

use super::super::revisions::{self, Revision};
use super::super::{Doing as _, MOST_NAMED, Step, Store, StoreError};
use super::{Column, Entity};

impl Store {
    /// Every request of these users that waits or was approved, each with its writing, the oldest first.
    ///
    /// # Errors
    /// When the database fails or a request is damaged.
    pub async fn open_requests_of(&self, users: &[UserName]) -> Result<Vec<(Request, Revision)>, StoreError> {
        let mut all = Vec::new();
        for some in users.chunks(MOST_NAMED) {
            let rows = Entity::find()
                .filter(Column::UserName.is_in(some.iter().map(UserName::as_str)))
                .filter(Column::State.is_in(["pending", "approved"]))
                .order_by_asc(Column::Id)
                .all(&self.readers);
            let rows = rows.await.doing("read requests")?;
            for some in rows.chunks(MOST_NAMED) {
                // Votes that came since a row was read are of a later writing.
                let written: Vec<_> = some.iter().map(|row| Revision(row.revision)).collect();
                let requests = self.with_votes(some.to_vec()).await?;
                all.extend(requests.into_iter().zip(written));
            }
        }
        Ok(all)
    }

    /// How often each of these users has made requests, as [`Self::requester`] says of one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn requesters(&self, users: &[UserName]) -> Result<Vec<(UserName, Revision)>, StoreError> {
        let numbers = self.requester_revisions(users).await?;
        Ok(users.iter().cloned().zip(numbers).collect())
    }

    /// Writes no request, and is refused if one of these users made any since they were read
    /// ([`Self::requesters`]); one that is being made is refused and looked at again.
    #[must_use]
    pub fn no_requests_made(were: Vec<(UserName, Revision)>) -> Step {
        Step::new(move |change| Box::pin(async move { revisions::move_requesters(change, &were).await }))
    }
}
