//! Host keys: which ones each device's agent vouched for last, and whose each one is.
//!
//! A key is one device's. It stays that device's when its agent vouches for others, so
//! that nobody else takes an earlier one over.

use std::collections::HashMap;

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, QueryOrder as _, QuerySelect as _};
use tidegate_common::name::DeviceName;

use super::agents::device;
use super::revisions::{self, Of, Revision};
use super::{Doing as _, Step, Store, StoreError};

/// Keys that are remembered as one device's, at most; the oldest are forgotten.
const MOST_OWNED: u64 = 64;

pub(super) mod vouched {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "host_key")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub device: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub place: i32,
        #[sea_orm(column_type = "Text")]
        pub line: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod owned {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "host_key_owner")]
    pub struct Model {
        /// Its kind and its base64, as in an OpenSSH line.
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub key: String,
        pub device: String,
        pub at_millis: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A device has this key now.
pub(super) fn own(key: String, device: &str, millis: i64) -> owned::ActiveModel {
    owned::ActiveModel { key: Set(key), device: Set(device.to_owned()), at_millis: Set(millis) }
}

impl Store {
    /// The host keys that the device's agent vouched for last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_keys(&self, device: &DeviceName) -> Result<Vec<String>, StoreError> {
        let rows = vouched::Entity::find()
            .filter(vouched::Column::Device.eq(device.as_str()))
            .order_by_asc(vouched::Column::Place)
            .all(&self.readers);
        Ok(rows.await.doing("read host keys")?.into_iter().map(|row| row.line).collect())
    }

    /// Whose these keys are, of those that are some device's.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn host_key_owners(&self, keys: &[String]) -> Result<HashMap<String, DeviceName>, StoreError> {
        let rows = owned::Entity::find().filter(owned::Column::Key.is_in(keys)).all(&self.readers);
        let read = |row: owned::Model| Ok((row.key, device(&row.device)?));
        rows.await.doing("read host keys")?.into_iter().map(read).collect()
    }

    /// How often host keys became some device's: whoever decides whose one is reads this first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_keys_revision(&self) -> Result<Revision, StoreError> {
        self.revision(Of::HostKeys).await
    }

    /// Replaces the device's host keys, which are its own from now on, whoever's they were, if
    /// none has become another's since `was`.
    #[must_use]
    pub fn host_keys_step(device: DeviceName, keys: Vec<String>, now: Timestamp, was: Revision) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                revisions::move_on(change, Of::HostKeys, Some(was)).await?;
                write(change, &device, &keys, now).await
            })
        })
    }
}

async fn write(
    change: &DatabaseTransaction,
    device: &DeviceName,
    keys: &[String],
    now: Timestamp,
) -> Result<(), StoreError> {
    const DOING: &str = "wrote host keys";
    let of_device = vouched::Column::Device.eq(device.as_str());
    vouched::Entity::delete_many().filter(of_device).exec(change).await.doing(DOING)?;
    for (place, key) in (0..).zip(keys) {
        let (device_name, line) = (Set(device.to_string()), Set(key.clone()));
        let row = vouched::ActiveModel { device: device_name, place: Set(place), line };
        vouched::Entity::insert(row).exec_without_returning(change).await.doing(DOING)?;
        let taken = OnConflict::column(owned::Column::Key)
            .update_columns([owned::Column::Device, owned::Column::AtMillis])
            .to_owned();
        let row = own(key.clone(), device.as_str(), now.as_millisecond());
        owned::Entity::insert(row).on_conflict(taken).exec_without_returning(change).await.doing(DOING)?;
    }
    let of_device = owned::Column::Device.eq(device.as_str());
    let oldest = owned::Entity::find()
        .filter(of_device)
        .order_by_desc(owned::Column::AtMillis)
        .order_by_asc(owned::Column::Key)
        .offset(MOST_OWNED)
        .limit(MOST_OWNED)
        .all(change);
    let oldest: Vec<String> = oldest.await.doing(DOING)?.into_iter().map(|row| row.key).collect();
    if !oldest.is_empty() {
        let forgotten = owned::Entity::delete_many().filter(owned::Column::Key.is_in(oldest));
        forgotten.exec(change).await.doing(DOING)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Temporary, on_both};

    fn name(name: &str) -> DeviceName {
        name.parse().unwrap()
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    async fn host_keys_are_replaced_as_a_whole_and_keep_their_order() {
        let temporary = Temporary::new().await;
        for lines in [vec!["b".to_owned(), "a".to_owned()], vec!["c".to_owned()], vec![]] {
            temporary.store.set_host_keys(&name("db01"), &lines, second(0)).await;
            assert_eq!(temporary.store.host_keys(&name("db01")).await.unwrap(), lines);
        }
    }

    async fn an_earlier_key_stays_its_devices_and_only_so_many_are_remembered() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        let key = |number: u32| format!("ssh-ed25519 {number:03}");
        store.set_host_keys(&name("db02"), &["other".to_owned()], second(0)).await;
        for number in 0..100 {
            store.set_host_keys(&name("db01"), &[key(number)], second(number.into())).await;
        }
        let all: Vec<String> = (0..100).map(key).chain(["other".to_owned()]).collect();
        let owners = store.host_key_owners(&all).await.unwrap();
        assert_eq!(owners.len(), 65, "{owners:?}");
        assert_eq!(owners.get("other"), Some(&name("db02")));
        assert_eq!((owners.get(&key(35)), owners.get(&key(36))), (None, Some(&name("db01"))));
    }

    on_both! {
        host_keys_are_replaced_as_a_whole_and_keep_their_order,
        an_earlier_key_stays_its_devices_and_only_so_many_are_remembered,
    }
}
