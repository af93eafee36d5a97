//! Agents: which certificate speaks for a device, when it was here last, what its
//! witness lost, and the host keys that it vouched for.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{BinOper, ExprTrait as _, OnConflict};
use sea_orm::{ActiveValue::Set, QueryOrder as _, TransactionTrait as _};
use tidegate_common::name::DeviceName;

use super::{Doing as _, MOST_NAMED, Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agent")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub device: String,
    pub certificate: String,
    pub certified: i64,
    pub seen: Option<i64>,
    pub version: Option<String>,
    pub revoked: bool,
    pub public_key: Option<String>,
    pub lost: i64,
    pub lost_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

mod host_key {
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

/// The agent of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// The device it speaks for.
    pub device: DeviceName,
    /// A digest of its newest certificate, as the caller writes it.
    pub certificate: String,
    /// When it got that.
    pub certified: Timestamp,
    /// When it was last linked.
    pub seen: Option<Timestamp>,
    /// Its program's version, as it said.
    pub version: Option<String>,
    /// Whether an administrator took it out.
    pub revoked: bool,
    /// A digest of the key it enrolled with, as the caller writes it. None where it
    /// enrolled before this was kept.
    pub public_key: Option<String>,
    /// How many records of its witness were lost on the way here, at least.
    pub lost: u64,
    /// When some were lost last.
    pub lost_at: Option<Timestamp>,
}

/// Lost records that one message adds, at most.
const MOST_LOST: i64 = 1 << 32;

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

pub(super) fn device(name: &str) -> Result<DeviceName, StoreError> {
    name.parse().map_err(|error| StoreError::damaged("agent", error))
}

fn read(row: Model) -> Result<AgentRow, StoreError> {
    Ok(AgentRow {
        device: device(&row.device)?,
        certificate: row.certificate,
        certified: at(row.certified),
        seen: row.seen.map(at),
        version: row.version,
        revoked: row.revoked,
        public_key: row.public_key,
        lost: u64::try_from(row.lost).unwrap_or_default(),
        lost_at: row.lost_at.map(at),
    })
}

impl Store {
    /// Keeps that the device's agent has a new certificate. One that was revoked stays so.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn agent_certified(
        &self,
        device: &DeviceName,
        certificate: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let row = ActiveModel {
            device: Set(device.to_string()),
            certificate: Set(certificate.to_owned()),
            certified: Set(now.as_millisecond()),
            seen: Set(None),
            version: Set(None),
            revoked: Set(false),
            public_key: Set(None),
            lost: Set(0),
            lost_at: Set(None),
        };
        let renew = OnConflict::column(Column::Device)
            .update_columns([Column::Certificate, Column::Certified])
            .to_owned();
        let put = Entity::insert(row).on_conflict(renew).exec_without_returning(&self.writer);
        put.await.doing("wrote an agent").map(drop)
    }

    /// Keeps the key that the device's agent has enrolled with; certificates for an
    /// earlier one are good no longer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn agent_enrolled(&self, device: &DeviceName, public_key: &str) -> Result<(), StoreError> {
        let enrolled = Entity::update_many()
            .col_expr(Column::PublicKey, Expr::value(public_key))
            .filter(Column::Device.eq(device.as_str()));
        enrolled.exec(&self.writer).await.doing("wrote an agent").map(drop)
    }

    /// The agent of a device.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn agent(&self, device: &DeviceName) -> Result<Option<AgentRow>, StoreError> {
        let row = Entity::find_by_id(device.as_str()).one(&self.readers).await.doing("read agents")?;
        row.map(read).transpose()
    }

    /// Every agent, by device.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        let rows =
            Entity::find().order_by_asc(Column::Device).all(&self.readers).await.doing("read agents")?;
        rows.into_iter().map(read).collect()
    }

    /// Takes an agent out; says whether it was in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_agent(&self, device: &DeviceName) -> Result<bool, StoreError> {
        let revoked = Entity::update_many()
            .col_expr(Column::Revoked, Expr::value(true))
            .filter(Column::Device.eq(device.as_str()))
            .filter(Column::Revoked.eq(false));
        Ok(revoked.exec(&self.writer).await.doing("revoked an agent")?.rows_affected > 0)
    }

    /// Writes that an agent is linked now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn agent_seen(
        &self,
        device: &DeviceName,
        version: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let version: String = version.chars().take(100).collect();
        let seen = Entity::update_many()
            .col_expr(Column::Seen, Expr::value(now.as_millisecond()))
            .col_expr(Column::Version, Expr::value(version))
            .filter(Column::Device.eq(device.as_str()));
        seen.exec(&self.writer).await.doing("wrote an agent").map(drop)
    }

    /// Writes that these devices' agents are linked now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn agents_seen(&self, devices: &[DeviceName], now: Timestamp) -> Result<(), StoreError> {
        for some in devices.chunks(MOST_NAMED) {
            let seen = Entity::update_many()
                .col_expr(Column::Seen, Expr::value(now.as_millisecond()))
                .filter(Column::Device.is_in(some.iter().map(DeviceName::as_str)));
            seen.exec(&self.writer).await.doing("wrote agents")?;
        }
        Ok(())
    }

    /// Adds to what a device's witness has lost, at most [`MOST_LOST`] at a time: a sum
    /// of what an agent makes up must never be more than the database counts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn agent_lost(&self, device: &DeviceName, lost: u64, now: Timestamp) -> Result<(), StoreError> {
        let lost = i64::try_from(lost).map_or(MOST_LOST, |lost| Ord::min(lost, MOST_LOST));
        let add = Entity::update_many()
            .col_expr(Column::Lost, Expr::col(Column::Lost).binary(BinOper::Add, lost))
            .col_expr(Column::LostAt, Expr::value(now.as_millisecond()))
            .filter(Column::Device.eq(device.as_str()));
        add.exec(&self.writer).await.doing("wrote an agent").map(drop)
    }

    /// The host keys that the device's agent vouched for last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_keys(&self, device: &DeviceName) -> Result<Vec<String>, StoreError> {
        let rows = host_key::Entity::find()
            .filter(host_key::Column::Device.eq(device.as_str()))
            .order_by_asc(host_key::Column::Place)
            .all(&self.readers);
        Ok(rows.await.doing("read host keys")?.into_iter().map(|row| row.line).collect())
    }

    /// Replaces the device's host keys.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_host_keys(&self, device: &DeviceName, lines: &[String]) -> Result<(), StoreError> {
        const DOING: &str = "wrote host keys";
        let change = self.writer.begin().await.doing(DOING)?;
        let of_device = host_key::Column::Device.eq(device.as_str());
        host_key::Entity::delete_many().filter(of_device).exec(&change).await.doing(DOING)?;
        for (place, line) in (0..).zip(lines) {
            let (device, line) = (Set(device.to_string()), Set(line.clone()));
            let row = host_key::ActiveModel { device, place: Set(place), line };
            host_key::Entity::insert(row).exec_without_returning(&change).await.doing(DOING)?;
        }
        change.commit().await.doing(DOING)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_common::secret::Secret;

    use super::*;
    use crate::store::testing::Temporary;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn db01() -> DeviceName {
        "db01".parse().unwrap()
    }

    #[tokio::test]
    async fn a_revoked_agent_stays_out_until_it_enrols_again() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        store.agent_certified(&db01(), "one", second(0)).await.unwrap();
        store.agent_seen(&db01(), "0.1.0", second(5)).await.unwrap();
        assert!(store.revoke_agent(&db01()).await.unwrap());
        assert!(!store.revoke_agent(&db01()).await.unwrap());
        store.agent_certified(&db01(), "two", second(6)).await.unwrap();
        let agent = store.agent(&db01()).await.unwrap().unwrap();
        assert!(agent.revoked && agent.certificate == "two", "a renewal does not bring it back: {agent:?}");
        let secret = Secret::new("x".to_owned());
        store.token_minted(&db01(), &secret, second(7), second(60)).await.unwrap();
        store.token_redeem(&secret, second(8)).await.unwrap();
        assert!(!store.agents().await.unwrap()[0].revoked);
    }

    #[tokio::test]
    async fn what_an_agent_lost_adds_up_and_a_renewal_forgets_nothing() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        store.agent_certified(&db01(), "one", second(0)).await.unwrap();
        store.agent_seen(&db01(), "0.1.0", second(5)).await.unwrap();
        for (lost, at) in [(2, 6), (5, 7)] {
            store.agent_lost(&db01(), lost, second(at)).await.unwrap();
        }
        store.agents_seen(&[db01(), "db02".parse().unwrap()], second(8)).await.unwrap();
        store.agent_certified(&db01(), "two", second(9)).await.unwrap();
        let [agent] = &store.agents().await.unwrap()[..] else { panic!("more than one") };
        assert_eq!((agent.lost, agent.lost_at), (7, Some(second(7))));
        assert_eq!((agent.seen, agent.version.as_deref()), (Some(second(8)), Some("0.1.0")));
    }

    #[tokio::test]
    async fn host_keys_are_replaced_as_a_whole_and_keep_their_order() {
        let temporary = Temporary::new().await;
        for lines in [vec!["b".to_owned(), "a".to_owned()], vec!["c".to_owned()], vec![]] {
            temporary.store.set_host_keys(&db01(), &lines).await.unwrap();
            assert_eq!(temporary.store.host_keys(&db01()).await.unwrap(), lines);
        }
    }
}
