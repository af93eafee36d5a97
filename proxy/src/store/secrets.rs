//! Secrets of credentials, sealed; the store sees nothing of them but whose they are, what kind, and under
//! which master key.

use jiff::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, QueryOrder as _, QuerySelect as _};
use serde::Serialize;
use tidegate_common::audit::SecretKind;
use tidegate_common::model::Kind;
use tidegate_common::name::CredentialName;
use tidegate_common::policy::Permit;

use super::agents::at;
use super::{Doing as _, Step, Store, StoreError, changed_if_there, resources};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "secret")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub credential: String,
    pub kind: String,
    pub set_at: i64,
    pub set_by: String,
    /// How often it was set.
    pub version: i64,
    /// The id of the master key that the data key is under.
    pub master_key: String,
    pub data_key: Vec<u8>,
    pub sealed: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What may be seen of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretSeen {
    /// Whose it is.
    pub credential: CredentialName,
    /// What it is.
    pub kind: SecretKind,
    /// When it was set.
    pub set: Timestamp,
    /// By whom.
    pub by: String,
    /// The id of the master key that it is under.
    pub key: String,
}

/// One secret, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// What may be seen of it.
    pub seen: SecretSeen,
    /// How often it was set.
    pub version: i64,
    /// Its data key, sealed under the master key.
    pub data_key: Vec<u8>,
    /// It, sealed under the data key.
    pub secret: Vec<u8>,
}

/// A secret whose data key is under another master key.
#[derive(Debug, Clone)]
pub struct Rewrapped {
    /// Whose it is.
    pub credential: CredentialName,
    /// Which one of theirs.
    pub version: i64,
    /// The id of the master key that it was under.
    pub was: String,
    /// Of the one that it is under now.
    pub key: String,
    /// Its data key, sealed under that.
    pub data_key: Vec<u8>,
}

/// As a row has it.
fn word(kind: SecretKind) -> &'static str {
    match kind {
        SecretKind::Password => "password",
        SecretKind::PrivateKey => "private-key",
    }
}

fn seen(
    (credential, kind, set_at, by, key): (String, String, i64, String, String),
) -> Result<SecretSeen, StoreError> {
    let unread = |why: &dyn std::fmt::Display| StoreError::unread(format!("secret of `{credential}`"), why);
    let kinds = [SecretKind::Password, SecretKind::PrivateKey];
    let known = kinds.into_iter().find(|known| word(*known) == kind);
    let kind = known.ok_or_else(|| unread(&"it is of a kind that is not known"))?;
    let credential = credential.parse().map_err(|error| unread(&error))?;
    Ok(SecretSeen { credential, kind, set: at(set_at), by, key })
}

fn read(row: Model) -> Result<SecretRow, StoreError> {
    let Model { credential, kind, set_at, set_by, version, master_key, data_key, sealed } = row;
    let seen = seen((credential, kind, set_at, set_by, master_key))?;
    Ok(SecretRow { seen, version, data_key, secret: sealed })
}

/// One writing of a credential's secret.
fn of(credential: &CredentialName, version: i64) -> sea_orm::Condition {
    let of = Column::Credential.eq(credential.to_string());
    sea_orm::Condition::all().add(of).add(Column::Version.eq(version))
}

fn one(rows: u64) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(StoreError::Changed) }
}

/// Takes the secrets of credentials away that are no more.
pub(super) async fn forget(change: &DatabaseTransaction, credential: &str) -> Result<(), StoreError> {
    let gone = Entity::delete_many().filter(Column::Credential.eq(credential)).exec(change).await;
    gone.doing("forgot a secret").map(drop)
}

impl Store {
    /// Writes a secret, if the credential is there and nobody has written its secret since version `was`.
    #[must_use]
    pub fn secret_set_step(row: SecretRow, was: Option<i64>) -> Step {
        const DOING: &str = "wrote a secret";
        Step::new(move |change| {
            Box::pin(async move {
                let SecretRow { seen, version, data_key, secret } = row;
                let name = seen.credential.to_string();
                // Held, so that it is not deleted meanwhile, with all secrets but this.
                let there = resources::Entity::find()
                    .filter(resources::Column::Kind.eq(Kind::Credential.key()))
                    .filter(resources::Column::Name.eq(&name))
                    .lock_shared();
                if there.one(change).await.doing(DOING)?.is_none() {
                    return Err(StoreError::Changed);
                }
                let written = ActiveModel {
                    credential: Set(name),
                    kind: Set(word(seen.kind).to_owned()),
                    set_at: Set(seen.set.as_millisecond()),
                    set_by: Set(seen.by),
                    version: Set(version),
                    master_key: Set(seen.key),
                    data_key: Set(data_key),
                    sealed: Set(secret),
                };
                let Some(was) = was else {
                    let first = Entity::insert(written).exec_without_returning(change).await;
                    return changed_if_there(first, DOING).map(drop);
                };
                let another = Entity::update_many().set(written).filter(of(&seen.credential, was));
                one(another.exec(change).await.doing(DOING)?.rows_affected)
            })
        })
    }

    /// Takes a secret away, if nobody has written it since version `was`.
    #[must_use]
    pub fn secret_forgotten_step(credential: CredentialName, was: i64) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                let gone = Entity::delete_many().filter(of(&credential, was)).exec(change).await;
                one(gone.doing("forgot a secret")?.rows_affected)
            })
        })
    }

    /// Puts data keys under another master key, if nobody has written any of these secrets meanwhile.
    #[must_use]
    pub fn secrets_rewrapped_step(all: Vec<Rewrapped>) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                for Rewrapped { credential, version, was, key, data_key } in all {
                    let moved = Entity::update_many()
                        .col_expr(Column::MasterKey, Expr::value(key))
                        .col_expr(Column::DataKey, Expr::value(data_key))
                        .filter(of(&credential, version).add(Column::MasterKey.eq(was)));
                    one(moved.exec(change).await.doing("moved a data key")?.rows_affected)?;
                }
                Ok(())
            })
        })
    }

    /// Counts a view of a password where what permits it bounds how often it is used.
    #[must_use]
    pub fn password_viewed_step(permit: &Permit) -> Step {
        let mut step = Step::new(|_| Box::pin(std::future::ready(Ok(()))));
        if let Some(request) = permit.request() {
            step = step.and(Self::session_counted(request, permit.sessions()));
        }
        if let Some((access, most)) = permit.counted() {
            step = step.and(Self::remote_access_used(access, most));
        }
        step
    }

    /// A credential's secret.
    ///
    /// # Errors
    /// When the database fails or the row cannot be read.
    pub async fn secret(&self, credential: &CredentialName) -> Result<Option<SecretRow>, StoreError> {
        let row = Entity::find_by_id(credential.to_string()).one(&self.readers).await;
        row.doing("read a secret")?.map(read).transpose()
    }

    /// What may be seen of all secrets, by the names of their credentials.
    ///
    /// # Errors
    /// When the database fails or a row cannot be read.
    pub async fn secrets(&self) -> Result<Vec<SecretSeen>, StoreError> {
        let columns = [Column::Credential, Column::Kind, Column::SetAt, Column::SetBy, Column::MasterKey];
        let rows = Entity::find().select_only().columns(columns).order_by_asc(Column::Credential);
        let rows = rows.into_tuple().all(&self.readers).await.doing("read secrets")?;
        rows.into_iter().map(seen).collect()
    }

    /// At most so many secrets that are not under this master key, by the names of their credentials, from
    /// behind `after` on.
    ///
    /// # Errors
    /// When the database fails or a row cannot be read.
    pub async fn secrets_not_under(
        &self,
        key: &str,
        after: Option<&CredentialName>,
        limit: u64,
    ) -> Result<Vec<SecretRow>, StoreError> {
        let mut rows = Entity::find().filter(Column::MasterKey.ne(key)).order_by_asc(Column::Credential);
        if let Some(after) = after {
            rows = rows.filter(Column::Credential.gt(after.to_string()));
        }
        let rows = rows.limit(limit).all(&self.readers).await.doing("read secrets")?;
        rows.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests;
