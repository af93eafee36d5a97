//! What agents told of their hosts, kept beyond their links: what stands there, and
//! what somebody else had changed when a grant was undone.

use std::collections::HashMap;

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, Condition, QueryOrder as _, QuerySelect as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_common::grant::{Drift, Standing};
use tidegate_common::id::SessionId;
use tidegate_common::name::DeviceName;

use super::{Doing as _, Step, Store, StoreError};

pub(super) mod standing {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "standing")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub device: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub place: i32,
        #[sea_orm(column_type = "Text")]
        pub document: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod drift {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "drift")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub device: String,
        pub session_id: String,
        pub at_millis: i64,
        #[sea_orm(column_type = "Text")]
        pub document: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The drift that was found on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drifts {
    /// How often, in all sessions so far.
    pub count: u64,
    /// When it was told last.
    pub at: Timestamp,
    /// In which session.
    pub session: SessionId,
    /// What was found then.
    #[serde(flatten)]
    pub last: Drift,
}

fn damaged(what: &str, why: impl std::fmt::Display) -> StoreError {
    StoreError::damaged(what, why)
}

fn document<T: Serialize>(what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|why| damaged(what, why))
}

fn value<T: DeserializeOwned>(what: &str, document: &str) -> Result<T, StoreError> {
    serde_json::from_str(document).map_err(|why| damaged(what, why))
}

impl Store {
    /// Replaces what is known to stand on a device.
    #[must_use]
    pub fn standing_step(device: DeviceName, standing: Vec<Standing>) -> Step {
        const DOING: &str = "wrote what stands";
        Step::new(move |change| {
            Box::pin(async move {
                let of_device = standing::Column::Device.eq(device.as_str());
                standing::Entity::delete_many().filter(of_device).exec(change).await.doing(DOING)?;
                for (place, one) in (0..).zip(&standing) {
                    let (device, document) =
                        (Set(device.to_string()), Set(document("standing privilege", one)?));
                    let row = standing::ActiveModel { device, place: Set(place), document };
                    standing::Entity::insert(row).exec_without_returning(change).await.doing(DOING)?;
                }
                Ok(())
            })
        })
    }

    /// What stood on each device, or on one, when its agent was heard last, by device.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn standing(
        &self,
        device: Option<&DeviceName>,
    ) -> Result<Vec<(DeviceName, Standing)>, StoreError> {
        let on = device.map(|device| standing::Column::Device.eq(device.as_str()));
        let rows = standing::Entity::find()
            .filter(Condition::all().add_option(on))
            .order_by_asc(standing::Column::Device)
            .order_by_asc(standing::Column::Place)
            .all(&self.readers);
        let read = |row: standing::Model| {
            let device = row.device.parse().map_err(|why| damaged("standing privilege", why))?;
            Ok((device, value("standing privilege", &row.document)?))
        };
        rows.await.doing("read what stands")?.into_iter().map(read).collect()
    }

    /// Keeps the drift that a session's end has found so far. An agent tells it again
    /// while something stands, each time with what came to it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_drift(
        &self,
        device: &DeviceName,
        session: SessionId,
        found: &[Drift],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const DOING: &str = "wrote drift";
        let change = self.writer.begin().await.doing(DOING)?;
        let of_session = drift::Column::SessionId.eq(session.to_string());
        let known = drift::Entity::find().filter(of_session).count(&change).await.doing(DOING)?;
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        for one in found.iter().skip(known) {
            let row = drift::ActiveModel {
                device: Set(device.to_string()),
                session_id: Set(session.to_string()),
                at_millis: Set(now.as_millisecond()),
                document: Set(document("drift", one)?),
                ..Default::default()
            };
            drift::Entity::insert(row).exec_without_returning(&change).await.doing(DOING)?;
        }
        change.commit().await.doing(DOING)
    }

    /// The drift of each device that had any.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn drifts(&self) -> Result<HashMap<DeviceName, Drifts>, StoreError> {
        const DOING: &str = "read drift";
        let counted: Vec<(i64, i64)> = drift::Entity::find()
            .select_only()
            .column_as(drift::Column::Id.count(), "count")
            .column_as(drift::Column::Id.max(), "last")
            .group_by(drift::Column::Device)
            .into_tuple()
            .all(&self.readers)
            .await
            .doing(DOING)?;
        let counts: HashMap<i64, i64> = counted.into_iter().map(|(count, last)| (last, count)).collect();
        let last = drift::Column::Id.is_in(counts.keys().copied());
        let rows = drift::Entity::find().filter(last).all(&self.readers).await.doing(DOING)?;
        let read = |row: drift::Model| {
            let device = row.device.parse().map_err(|why| damaged("drift", why))?;
            let drifts = Drifts {
                count: counts.get(&row.id).and_then(|count| u64::try_from(*count).ok()).unwrap_or_default(),
                at: Timestamp::from_millisecond(row.at_millis).unwrap_or_default(),
                session: row.session_id.parse().map_err(|why| damaged("drift", why))?,
                last: value("drift", &row.document)?,
            };
            Ok((device, drifts))
        };
        rows.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Temporary, on_both};
    use tidegate_common::grant::PrivilegeKind;

    fn device(name: &str) -> DeviceName {
        name.parse().unwrap()
    }

    async fn what_stands_is_replaced_as_a_whole_and_only_on_its_device() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        let one = |what: &str| Standing {
            session: Some(SessionId::new(1, 1)),
            account: "ops".parse().unwrap(),
            kind: PrivilegeKind::Groups,
            what: what.into(),
            why: "read-only file system".into(),
        };
        store.set_standing(&device("db02"), &[one("a")]).await.unwrap();
        store.set_standing(&device("db01"), &[one("b"), one("c")]).await.unwrap();
        store.set_standing(&device("db01"), &[one("c")]).await.unwrap();
        let all = [(device("db01"), one("c")), (device("db02"), one("a"))];
        assert_eq!(store.standing(None).await.unwrap(), all);
        assert_eq!(store.standing(Some(&device("db02"))).await.unwrap(), all[1..]);
        store.set_standing(&device("db01"), &[]).await.unwrap();
        assert_eq!(store.standing(None).await.unwrap(), all[1..]);
    }

    async fn drift_is_counted_once_however_often_it_is_told_and_the_last_is_known() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        let found = |what: &str| Drift { kind: PrivilegeKind::Sudo, found: what.to_owned() };
        let (first, second) = (SessionId::new(1, 1), SessionId::new(2, 2));
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(store.drifts().await.unwrap().is_empty());
        for _ in 0..2 {
            store.set_drift(&device("db01"), first, &[found("a")], at(1)).await.unwrap();
        }
        store.set_drift(&device("db01"), second, &[found("b")], at(2)).await.unwrap();
        store.set_drift(&device("db02"), SessionId::new(3, 3), &[found("z")], at(9)).await.unwrap();
        store.set_drift(&device("db01"), first, &[found("a"), found("c")], at(3)).await.unwrap();
        let drifts = store.drifts().await.unwrap();
        let expected = Drifts { count: 3, at: at(3), session: first, last: found("c") };
        assert_eq!((drifts.len(), &drifts[&device("db01")]), (2, &expected));
    }

    on_both! {
        what_stands_is_replaced_as_a_whole_and_only_on_its_device,
        drift_is_counted_once_however_often_it_is_told_and_the_last_is_known,
    }
}
