//! One-time tokens with which agents enrol; of their secrets only a digest is kept.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, QueryOrder as _};
use tidegate_common::name::DeviceName;
use tidegate_common::secret::Secret;

use super::agents::{self, Enrolled, at, device};
use super::{Doing as _, Step, Store, StoreError};

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

/// Of tokens, the one of this digest, if it can be used now.
fn good<Q: QueryFilter>(of: Q, hash: &str, now: Timestamp) -> Q {
    of.filter(Column::Hash.eq(hash))
        .filter(Column::Used.is_null())
        .filter(Column::Expires.gt(now.as_millisecond()))
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
    #[must_use]
    pub fn token_minted(device: &DeviceName, secret: &Secret, now: Timestamp, expires: Timestamp) -> Step {
        const DOING: &str = "wrote a token";
        let row = ActiveModel {
            hash: Set(digest(secret)),
            device: Set(device.to_string()),
            created: Set(now.as_millisecond()),
            expires: Set(expires.as_millisecond()),
            used: Set(None),
        };
        let earlier =
            Entity::delete_many().filter(Column::Device.eq(device.as_str())).filter(Column::Used.is_null());
        Step::new(move |change| {
            Box::pin(async move {
                earlier.exec(change).await.doing(DOING)?;
                Entity::insert(row).exec_without_returning(change).await.doing(DOING).map(drop)
            })
        })
    }

    /// The device that a token enrols, if the token is known, unused and not expired.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_device(
        &self,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<Option<DeviceName>, StoreError> {
        let good = good(Entity::find(), &digest(secret), now);
        let row = good.one(&self.readers).await.doing("read tokens")?;
        row.map(|row| device(&row.device)).transpose()
    }

    /// Uses a token up for a certificate of its device, in one step: until then what was
    /// revoked stays so, from then on only the new key is good. Of two that do so at once, one
    /// has it, and the other's step is refused as [`StoreError::Changed`].
    #[must_use]
    pub fn token_redeemed(secret: &Secret, enrolled: &Enrolled<'_>, now: Timestamp) -> Step {
        const DOING: &str = "used a token";
        let used = Entity::update_many().col_expr(Column::Used, Expr::value(now.as_millisecond()));
        let of_device = good(used, &digest(secret), now).filter(Column::Device.eq(enrolled.device.as_str()));
        let enrol = agents::enrol(enrolled, now);
        Step::new(move |change| {
            Box::pin(async move {
                if of_device.exec(change).await.doing(DOING)?.rows_affected != 1 {
                    return Err(StoreError::Changed);
                }
                enrol.exec_without_returning(change).await.doing(DOING).map(drop)
            })
        })
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
    use crate::store::testing::{Temporary, on_both};

    async fn a_token_is_good_once_and_only_until_it_expires() {
        let temporary = Temporary::new().await;
        let db01: DeviceName = "db01".parse().unwrap();
        let second = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let mint = async |secret: &str| {
            let secret = Secret::new(secret.to_owned());
            assert!(temporary.store.takes(Store::token_minted(&db01, &secret, second(0), second(60))).await);
        };
        let redeem = async |secret: &str, at| {
            let (store, secret) = (&temporary.store, Secret::new(secret.to_owned()));
            let known = store.token_device(&secret, second(at)).await.unwrap();
            let enrolled = Enrolled { device: &db01, certificate: "one", public_key: "key" };
            let redeemed = store.takes(Store::token_redeemed(&secret, &enrolled, second(at))).await;
            assert_eq!(known.as_ref(), redeemed.then_some(&db01));
            redeemed
        };
        mint("a").await;
        assert!(!redeem("b", 1).await);
        assert!(!redeem("a", 60).await);
        assert!(temporary.store.agents().await.unwrap().is_empty());
        assert!(redeem("a", 59).await);
        assert!(!redeem("a", 59).await);
        mint("c").await;
        mint("d").await;
        assert!(!redeem("c", 1).await, "a newer token replaces it");
        assert_eq!(temporary.store.tokens().await.unwrap().len(), 2);
    }

    async fn a_token_of_one_device_enrols_no_other() {
        let temporary = Temporary::new().await;
        let (db01, db02): (DeviceName, DeviceName) = ("db01".parse().unwrap(), "db02".parse().unwrap());
        let (secret, now) = (Secret::new("a".to_owned()), Timestamp::UNIX_EPOCH);
        let later = now + std::time::Duration::from_secs(60);
        assert!(temporary.store.takes(Store::token_minted(&db01, &secret, now, later)).await);
        let enrolled = |device| Enrolled { device, certificate: "one", public_key: "key" };
        assert!(!temporary.store.takes(Store::token_redeemed(&secret, &enrolled(&db02), now)).await);
        assert!(temporary.store.agents().await.unwrap().is_empty());
        assert!(temporary.store.takes(Store::token_redeemed(&secret, &enrolled(&db01), now)).await);
    }

    on_both! {
        a_token_is_good_once_and_only_until_it_expires,
        a_token_of_one_device_enrols_no_other,
    }
}
