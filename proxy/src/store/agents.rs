//! Agents: which certificate speaks for a device, one-time tokens (hashed), and
//! the host keys that an agent vouched for.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, QueryOrder as _, TransactionTrait as _};
use tidegate_common::name::DeviceName;

use super::{Doing as _, Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agent")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub device: String,
    pub certificate: String,
    pub enrolled: i64,
    pub expires: i64,
    pub seen: Option<i64>,
    pub version: Option<String>,
    pub revoked: bool,
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
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub line: String,
        pub seen: i64,
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
    /// A digest of the one certificate that is accepted, as the caller writes it.
    pub certificate: String,
    /// When it enrolled.
    pub enrolled: Timestamp,
    /// When its certificate expires.
    pub expires: Timestamp,
    /// When it was last linked.
    pub seen: Option<Timestamp>,
    /// Its program's version, as it said.
    pub version: Option<String>,
    /// Whether an administrator took it out.
    pub revoked: bool,
}

/// A token about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// A digest of its secret.
    pub hash: String,
    /// The device it enrols.
    pub device: DeviceName,
    /// When it was made.
    pub created: Timestamp,
    /// When it can no longer be used.
    pub expires: Timestamp,
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
        enrolled: at(row.enrolled),
        expires: at(row.expires),
        seen: row.seen.map(at),
        version: row.version,
        revoked: row.revoked,
    })
}

impl Store {
    /// Writes a token; earlier unused ones of the device can no longer be used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_token(&self, new: &NewToken) -> Result<(), StoreError> {
        const DOING: &str = "wrote a token";
        let change = self.writer.begin().await.doing(DOING)?;
        let earlier = token::Entity::delete_many()
            .filter(token::Column::Device.eq(new.device.as_str()))
            .filter(token::Column::Used.is_null());
        earlier.exec(&change).await.doing(DOING)?;
        let row = token::ActiveModel {
            hash: Set(new.hash.clone()),
            device: Set(new.device.to_string()),
            created: Set(new.created.as_millisecond()),
            expires: Set(new.expires.as_millisecond()),
            used: Set(None),
        };
        token::Entity::insert(row).exec_without_returning(&change).await.doing(DOING)?;
        change.commit().await.doing(DOING)
    }

    /// Uses a token up: its device, if it was there, unused and not expired. Of two
    /// callers at once, one gets it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_token(&self, hash: &str, now: Timestamp) -> Result<Option<DeviceName>, StoreError> {
        const DOING: &str = "used a token";
        let change = self.writer.begin().await.doing(DOING)?;
        let taken = token::Entity::update_many()
            .col_expr(token::Column::Used, Expr::value(now.as_millisecond()))
            .filter(token::Column::Hash.eq(hash))
            .filter(token::Column::Used.is_null())
            .filter(token::Column::Expires.gt(now.as_millisecond()))
            .exec(&change)
            .await
            .doing(DOING)?;
        let row = token::Entity::find_by_id(hash).one(&change).await.doing(DOING)?;
        change.commit().await.doing(DOING)?;
        match row {
            Some(row) if taken.rows_affected == 1 => device(&row.device).map(Some),
            _ => Ok(None),
        }
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

    /// Writes an agent, in place of the device's earlier one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_agent(&self, agent: &AgentRow) -> Result<(), StoreError> {
        let row = ActiveModel {
            device: Set(agent.device.to_string()),
            certificate: Set(agent.certificate.clone()),
            enrolled: Set(agent.enrolled.as_millisecond()),
            expires: Set(agent.expires.as_millisecond()),
            seen: Set(agent.seen.map(Timestamp::as_millisecond)),
            version: Set(agent.version.clone()),
            revoked: Set(agent.revoked),
        };
        let replace = OnConflict::column(Column::Device)
            .update_columns([
                Column::Certificate,
                Column::Enrolled,
                Column::Expires,
                Column::Seen,
                Column::Version,
                Column::Revoked,
            ])
            .to_owned();
        let put = Entity::insert(row).on_conflict(replace).exec_without_returning(&self.writer);
        put.await.doing("wrote an agent").map(drop)
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

    /// The host keys that the device's agent vouched for last, sorted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_keys(&self, device: &DeviceName) -> Result<Vec<String>, StoreError> {
        let rows = host_key::Entity::find()
            .filter(host_key::Column::Device.eq(device.as_str()))
            .order_by_asc(host_key::Column::Line)
            .all(&self.readers);
        Ok(rows.await.doing("read host keys")?.into_iter().map(|row| row.line).collect())
    }

    /// Replaces the device's host keys; gives those it had.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_host_keys(
        &self,
        device: &DeviceName,
        lines: &[String],
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        const DOING: &str = "wrote host keys";
        let change = self.writer.begin().await.doing(DOING)?;
        let of_device = host_key::Column::Device.eq(device.as_str());
        let before = host_key::Entity::find().filter(of_device.clone()).order_by_asc(host_key::Column::Line);
        let before = before.all(&change).await.doing(DOING)?;
        host_key::Entity::delete_many().filter(of_device).exec(&change).await.doing(DOING)?;
        let unique: std::collections::BTreeSet<_> = lines.iter().collect();
        for line in unique {
            let (device, line) = (Set(device.to_string()), Set(line.clone()));
            let row = host_key::ActiveModel { device, line, seen: Set(now.as_millisecond()) };
            host_key::Entity::insert(row).exec_without_returning(&change).await.doing(DOING)?;
        }
        change.commit().await.doing(DOING)?;
        Ok(before.into_iter().map(|row| row.line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Temporary;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn token(hash: &str) -> NewToken {
        let device = "db01".parse().unwrap();
        NewToken { hash: hash.to_owned(), device, created: second(0), expires: second(60) }
    }

    #[tokio::test]
    async fn a_token_is_good_once_and_only_until_it_expires() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        store.put_token(&token("a")).await.unwrap();
        assert_eq!(store.take_token("b", second(1)).await.unwrap(), None);
        assert_eq!(store.take_token("a", second(60)).await.unwrap(), None);
        assert_eq!(store.take_token("a", second(59)).await.unwrap(), Some("db01".parse().unwrap()));
        assert_eq!(store.take_token("a", second(59)).await.unwrap(), None);
        store.put_token(&token("c")).await.unwrap();
        store.put_token(&token("d")).await.unwrap();
        assert_eq!(store.take_token("c", second(1)).await.unwrap(), None, "a newer token replaces it");
        assert_eq!(store.tokens().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_agent_is_replaced_by_its_next_enrolment_and_revoked_once() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        let agent = AgentRow {
            device: "db01".parse().unwrap(),
            certificate: "one".to_owned(),
            enrolled: second(0),
            expires: second(60),
            seen: None,
            version: None,
            revoked: false,
        };
        store.put_agent(&agent).await.unwrap();
        store.agent_seen(&agent.device, "0.1.0", second(5)).await.unwrap();
        assert!(store.revoke_agent(&agent.device).await.unwrap());
        assert!(!store.revoke_agent(&agent.device).await.unwrap());
        let next = AgentRow { certificate: "two".to_owned(), ..agent };
        store.put_agent(&next).await.unwrap();
        assert_eq!(store.agents().await.unwrap(), [next]);
    }

    #[tokio::test]
    async fn host_keys_are_replaced_as_a_whole_and_the_earlier_ones_are_told() {
        let temporary = Temporary::new().await;
        let db01 = "db01".parse().unwrap();
        let put = async |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
            temporary.store.put_host_keys(&db01, &lines, second(0)).await.unwrap()
        };
        assert_eq!(put(&["b", "a", "a"]).await, Vec::<String>::new());
        assert_eq!(put(&["c"]).await, ["a", "b"]);
        assert_eq!(temporary.store.host_keys(&db01).await.unwrap(), ["c"]);
    }
}
