//! What is open of the requests of users who go, or of whom others have the name now.

use sea_orm::QueryOrder as _;
use sea_orm::entity::prelude::*;
use tidegate_common::model::Request;
use tidegate_common::name::UserName;

use super::super::revisions::{self, Of, Revision};
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

    /// Writes nothing, and is refused if this user made a request since `was`
    /// ([`Self::requester`]); one that is being made is refused and looked at again.
    #[must_use]
    pub fn no_request_made(user: UserName, was: Revision) -> Step {
        Step::new(move |change| {
            Box::pin(async move { revisions::move_on(change, Of::Requester(user.as_str()), Some(was)).await })
        })
    }
}
