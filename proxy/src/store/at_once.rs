//! Bounds on sessions at once: those of all gates are counted in the transaction that writes one more.
//! Those of a gate that is taken for dead are not: it cannot write that they ended.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, ConnectionTrait};
use tidegate_common::name::{CredentialName, UserName};
use tidegate_common::policy::{LiveSession, Permit};

use super::revisions::{self, Of};
use super::sessions::{Column, Entity, read};
use super::{Doing as _, GateId, Step, Store, StoreError, gates};

/// Sessions of the user, and all to the credential, that live on any gate; `asks` is this one.
async fn live(
    database: &impl ConnectionTrait,
    user: &UserName,
    target: &CredentialName,
    (asks, now): (GateId, Timestamp),
) -> Result<Vec<LiveSession>, StoreError> {
    let dead = gates::dead(database, asks, now).await?;
    let either =
        Condition::any().add(Column::UserName.eq(user.as_str())).add(Column::Target.eq(target.to_string()));
    let rows =
        Entity::find().filter(Column::Ended.is_null()).filter(Column::Gate.is_not_in(dead)).filter(either);
    let rows = rows.all(database).await;
    let session = |row| {
        let session = read(row)?;
        let (id, since) = (session.id, session.started);
        Ok(LiveSession { id, user: session.user, target: session.target, group: session.group, since })
    };
    rows.doing("counted sessions")?.into_iter().map(session).collect()
}

/// Refuses one more session than the permit's access group allows. Two that begin at once, on
/// whichever gates, are counted one after the other.
pub(super) fn fits(permit: Permit, asks: (GateId, Timestamp)) -> Step {
    Step::new(move |change| {
        Box::pin(async move {
            revisions::hold(change, Of::SessionsAtOnce).await?;
            let live = live(change, permit.user(), permit.target(), asks).await?;
            permit.fits(&live).map_err(StoreError::Full)
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
        live(&self.readers, user, target, (self.gate, self.database_now())).await
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::store::SessionRow;
    use crate::store::testing::{Temporary, on_both, session};
    use crate::testing::permit;

    async fn sessions_of_a_gate_that_is_silent_for_an_hour_count_no_more_and_of_all_others_do() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        let now = Timestamp::now();
        let permit = permit("{}\nconditions = { sessions_at_once = { per_user = 1 } }");
        let begins = async |number| {
            let id = session(number).id;
            store
                .session_begin(
                    id,
                    &permit,
                    permit.origin().unwrap_or(std::net::Ipv4Addr::LOCALHOST.into()),
                    now,
                )
                .await
        };
        let on =
            async |number, gate| store.session_put(&SessionRow { gate, ..session(number) }).await.unwrap();
        let ago = |minutes| now - SignedDuration::from_mins(minutes);
        let dead = store.other_gate("gate2", ago(61)).await;
        on(1, dead).await;
        assert_eq!(store.sessions_at_once(permit.user(), permit.target()).await.unwrap(), []);
        begins(2).await.unwrap();
        let counted = store.sessions_at_once(permit.user(), permit.target()).await.unwrap();
        assert_eq!(counted.iter().map(|one| one.id).collect::<Vec<_>>(), [session(2).id]);
        assert!(matches!(begins(3).await, Err(StoreError::Full(_))), "its own counts");
        store.session_end(session(2).id, tidegate_common::audit::EndCause::User, now).await.unwrap();
        // One that may be back at any moment keeps its place.
        let silent = store.other_gate("gate3", ago(59)).await;
        on(4, silent).await;
        assert!(matches!(begins(5).await, Err(StoreError::Full(_))), "it is away for a while only");
        // The dead one is a gate again once it says so.
        store.session_end(session(4).id, tidegate_common::audit::EndCause::User, now).await.unwrap();
        store.hear_of(dead, now).await;
        assert!(matches!(begins(6).await, Err(StoreError::Full(_))), "it runs again");
    }

    on_both! {
        sessions_of_a_gate_that_is_silent_for_an_hour_count_no_more_and_of_all_others_do,
    }
}
