//! Agents: which certificate speaks for a device, one-time tokens (hashed), and
//! the host keys that an agent vouched for.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, QueryOrder as _, TransactionTrait as _};
use tidegate_common::name::DeviceName;
use tidegate_common::secret::Secret;

use super::{Doing as _, Store, StoreError};

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
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

mod token {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "agent_token")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hash: String,
        pub device: String,
        pub created: i64,
        pub expires: i64,
        pub used: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

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
}

/// What is kept of a token's secret.
fn digest(secret: &Secret) -> String {
    blake3::derive_key("tidegate agent token, version 1", secret.reveal().as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A token as it is known now; its secret is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The device it enrols.
    pub device: DeviceName,
    /// When it was made.
    pub created: Timestamp,
    /// When it can no longer be used.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

fn device(name: &str) -> Result<DeviceName, StoreError> {
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
    })
}

impl Store {
    /// Keeps a token, hashed; earlier unused ones of the device can no longer be used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_minted(
        &self,
        device: &DeviceName,
        secret: &Secret,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        const DOING: &str = "wrote a token";
        let change = self.writer.begin().await.doing(DOING)?;
        let earlier = token::Entity::delete_many()
            .filter(token::Column::Device.eq(device.as_str()))
            .filter(token::Column::Used.is_null());
        earlier.exec(&change).await.doing(DOING)?;
        let row = token::ActiveModel {
            hash: Set(digest(secret)),
            device: Set(device.to_string()),
            created: Set(now.as_millisecond()),
            expires: Set(expires.as_millisecond()),
            used: Set(None),
        };
        token::Entity::insert(row).exec_without_returning(&change).await.doing(DOING)?;
        change.commit().await.doing(DOING)
    }

    /// Uses a token up: its device, if the token is known, unused and not expired. Of
    /// two callers at once, one gets it. What was revoked for the device before may
    /// enrol again by it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_redeem(
        &self,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<Option<DeviceName>, StoreError> {
        const DOING: &str = "used a token";
        let hash = digest(secret);
        let change = self.writer.begin().await.doing(DOING)?;
        let taken = token::Entity::update_many()
            .col_expr(token::Column::Used, Expr::value(now.as_millisecond()))
            .filter(token::Column::Hash.eq(&hash))
            .filter(token::Column::Used.is_null())
            .filter(token::Column::Expires.gt(now.as_millisecond()))
            .exec(&change)
            .await
            .doing(DOING)?;
        let row = token::Entity::find_by_id(hash).one(&change).await.doing(DOING)?;
        let Some(row) = row.filter(|_| taken.rows_affected == 1) else {
            return Ok(None);
        };
        let again = Entity::update_many()
            .col_expr(Column::Revoked, Expr::value(false))
            .filter(Column::Device.eq(&row.device));
        again.exec(&change).await.doing(DOING)?;
        change.commit().await.doing(DOING)?;
        device(&row.device).map(Some)
    }

    /// Tokens, of every device; the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let rows = token::Entity::find().order_by_desc(token::Column::Created).all(&self.readers).await;
        let read = |row: token::Model| {
            let (created, expires, used) = (at(row.created), at(row.expires), row.used.map(at));
            Ok(TokenRow { device: device(&row.device)?, created, expires, used })
        };
        rows.doing("read tokens")?.into_iter().map(read).collect()
    }

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
    use super::*;
    use crate::store::testing::Temporary;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn db01() -> DeviceName {
        "db01".parse().unwrap()
    }

    #[tokio::test]
    async fn a_token_is_good_once_and_only_until_it_expires() {
        let temporary = Temporary::new().await;
        let mint = async |secret: &str| {
            let secret = Secret::new(secret.to_owned());
            temporary.store.token_minted(&db01(), &secret, second(0), second(60)).await.unwrap();
        };
        let redeem = async |secret: &str, at| {
            temporary.store.token_redeem(&Secret::new(secret.to_owned()), second(at)).await.unwrap()
        };
        mint("a").await;
        assert_eq!(redeem("b", 1).await, None);
        assert_eq!(redeem("a", 60).await, None);
        assert_eq!(redeem("a", 59).await, Some(db01()));
        assert_eq!(redeem("a", 59).await, None);
        mint("c").await;
        mint("d").await;
        assert_eq!(redeem("c", 1).await, None, "a newer token replaces it");
        assert_eq!(temporary.store.tokens().await.unwrap().len(), 2);
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
    async fn host_keys_are_replaced_as_a_whole_and_keep_their_order() {
        let temporary = Temporary::new().await;
        for lines in [vec!["b".to_owned(), "a".to_owned()], vec!["c".to_owned()], vec![]] {
            temporary.store.set_host_keys(&db01(), &lines).await.unwrap();
            assert_eq!(temporary.store.host_keys(&db01()).await.unwrap(), lines);
        }
    }
}
