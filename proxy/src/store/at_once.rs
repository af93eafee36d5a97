//! Bounds on sessions at once: those of all gates are counted in the transaction that writes one more.

use sea_orm::entity::prelude::*;
use sea_orm::{Condition, ConnectionTrait};
use tidegate_common::name::{CredentialName, UserName};
use tidegate_common::policy::{LiveSession, Permit};

use super::revisions::{self, Of};
use super::sessions::{Column, Entity, read};
use super::{Doing as _, Step, Store, StoreError};

/// Sessions of the user, and all to the credential, that live on any gate.
async fn live(
    database: &impl ConnectionTrait,
    user: &UserName,
    target: &CredentialName,
) -> Result<Vec<LiveSession>, StoreError> {
    let either =
        Condition::any().add(Column::UserName.eq(user.as_str())).add(Column::Target.eq(target.to_string()));
    let rows = Entity::find().filter(Column::Ended.is_null()).filter(either).all(database).await;
    let session = |row| {
        let session = read(row)?;
        let (id, since) = (session.id, session.started);
        Ok(LiveSession { id, user: session.user, target: session.target, group: session.group, since })
    };
    rows.doing("counted sessions")?.into_iter().map(session).collect()
}

/// Refuses one more session than the permit's access group allows. Two that begin at once, on
/// whichever gates, are counted one after the other.
pub(super) fn room(permit: Permit) -> Step {
    Step::new(move |change| {
        Box::pin(async move {
            revisions::hold(change, Of::SessionsAtOnce).await?;
            permit.room(&live(change, permit.user(), permit.target()).await?).map_err(StoreError::Full)
        })
    })
}

impl Store {
    /// Sessions of the user, and all to the credential, that live on any gate.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn sessions_at_once(
        &self,
        user: &UserName,
        target: &CredentialName,
    ) -> Result<Vec<LiveSession>, StoreError> {
        live(&self.readers, user, target).await
    }
}
