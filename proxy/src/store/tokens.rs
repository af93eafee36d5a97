//! One-time tokens with which agents enrol; of their secrets only a digest is kept.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, QueryOrder as _, TransactionTrait as _};
use tidegate_common::name::DeviceName;
use tidegate_common::secret::Secret;

use super::agents::{self, at, device};
use super::{Doing as _, Store, StoreError};

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
        let earlier =
            Entity::delete_many().filter(Column::Device.eq(device.as_str())).filter(Column::Used.is_null());
        earlier.exec(&change).await.doing(DOING)?;
        let row = ActiveModel {
            hash: Set(digest(secret)),
            device: Set(device.to_string()),
            created: Set(now.as_millisecond()),
            expires: Set(expires.as_millisecond()),
            used: Set(None),
        };
        Entity::insert(row).exec_without_returning(&change).await.doing(DOING)?;
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
        let taken = Entity::update_many()
            .col_expr(Column::Used, Expr::value(now.as_millisecond()))
            .filter(Column::Hash.eq(&hash))
            .filter(Column::Used.is_null())
            .filter(Column::Expires.gt(now.as_millisecond()))
            .exec(&change)
            .await
            .doing(DOING)?;
        let row = Entity::find_by_id(hash).one(&change).await.doing(DOING)?;
        let Some(row) = row.filter(|_| taken.rows_affected == 1) else {
            return Ok(None);
        };
        let again = agents::Entity::update_many()
            .col_expr(agents::Column::Revoked, Expr::value(false))
            .filter(agents::Column::Device.eq(&row.device));
        again.exec(&change).await.doing(DOING)?;
        change.commit().await.doing(DOING)?;
        device(&row.device).map(Some)
    }

    /// Tokens, of every device; the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let rows = Entity::find().order_by_desc(Column::Created).all(&self.readers).await;
        let read = |row: Model| {
            let (created, expires, used) = (at(row.created), at(row.expires), row.used.map(at));
            Ok(TokenRow { device: device(&row.device)?, created, expires, used })
        };
        rows.doing("read tokens")?.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Temporary;

    #[tokio::test]
    async fn a_token_is_good_once_and_only_until_it_expires() {
        let temporary = Temporary::new().await;
        let db01: DeviceName = "db01".parse().unwrap();
        let second = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let mint = async |secret: &str| {
            let secret = Secret::new(secret.to_owned());
            temporary.store.token_minted(&db01, &secret, second(0), second(60)).await.unwrap();
        };
        let redeem = async |secret: &str, at| {
            temporary.store.token_redeem(&Secret::new(secret.to_owned()), second(at)).await.unwrap()
        };
        mint("a").await;
        assert_eq!(redeem("b", 1).await, None);
        assert_eq!(redeem("a", 60).await, None);
        assert_eq!(redeem("a", 59).await, Some(db01.clone()));
        assert_eq!(redeem("a", 59).await, None);
        mint("c").await;
        mint("d").await;
        assert_eq!(redeem("c", 1).await, None, "a newer token replaces it");
        assert_eq!(temporary.store.tokens().await.unwrap().len(), 2);
    }
}
