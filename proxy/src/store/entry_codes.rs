//! Single-use codes with which users enter from outside; of each only a digest is kept.

use jiff::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use tidegate_common::id::RemoteAccessId;
use tidegate_common::name::UserName;
use tidegate_common::secret::Secret;

use super::agents::at;
use super::{Doing as _, Step, Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "entry_code")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    pub access: i64,
    pub user_name: String,
    pub created: i64,
    pub expires: i64,
    pub used: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A code as it is known now; its text is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryCodeRow {
    /// The remote access it leads to.
    pub access: RemoteAccessId,
    /// Whom it was sent to.
    pub user: UserName,
    /// When it can no longer be used.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
}

/// What is kept of a code.
fn digest(code: &Secret) -> String {
    blake3::derive_key("tidegate entry code, version 1", code.reveal().as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn number(id: RemoteAccessId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

/// Unused codes of a remote access.
fn unused(access: RemoteAccessId) -> sea_orm::DeleteMany<Entity> {
    Entity::delete_many().filter(Column::Access.eq(number(access))).filter(Column::Used.is_null())
}

impl Store {
    /// Keeps a code, hashed; earlier unused ones of the remote access can no longer be used.
    #[must_use]
    pub fn entry_code_given(
        access: RemoteAccessId,
        user: &UserName,
        code: &Secret,
        now: Timestamp,
        expires: Timestamp,
    ) -> Step {
        const DOING: &str = "wrote a code";
        let row = ActiveModel {
            hash: Set(digest(code)),
            access: Set(number(access)),
            user_name: Set(user.to_string()),
            created: Set(now.as_millisecond()),
            expires: Set(expires.as_millisecond()),
            used: Set(None),
        };
        Step::new(move |change| {
            Box::pin(async move {
                unused(access).exec(change).await.doing(DOING)?;
                Entity::insert(row).exec_without_returning(change).await.doing(DOING).map(drop)
            })
        })
    }

    /// Takes every unused code of a remote access away.
    #[must_use]
    pub fn entry_codes_revoked(access: RemoteAccessId) -> Step {
        Step::new(move |change| {
            Box::pin(async move { unused(access).exec(change).await.doing("took codes away").map(drop) })
        })
    }

    /// Uses a code up. Of two that do so at once, one has it, and the other's step is refused.
    #[must_use]
    pub fn entry_code_used(code: &Secret, user: &UserName, now: Timestamp) -> Step {
        let one = Entity::update_many()
            .col_expr(Column::Used, Expr::value(now.as_millisecond()))
            .filter(Column::Hash.eq(digest(code)))
            .filter(Column::UserName.eq(user.as_str()))
            .filter(Column::Used.is_null())
            .filter(Column::Expires.gt(now.as_millisecond()));
        Step::new(move |change| {
            Box::pin(async move {
                match one.exec(change).await.doing("used a code")?.rows_affected {
                    1 => Ok(()),
                    _ => Err(StoreError::Changed),
                }
            })
        })
    }

    /// What a code is.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn entry_code(&self, code: &Secret) -> Result<Option<EntryCodeRow>, StoreError> {
        let row = Entity::find_by_id(digest(code)).one(&self.readers).await.doing("read codes")?;
        let read = |row: Model| {
            let damaged = |error| StoreError::damaged("code", error);
            Ok(EntryCodeRow {
                access: RemoteAccessId(u64::try_from(row.access).unwrap_or_default()),
                user: row.user_name.parse().map_err(damaged)?,
                expires: at(row.expires),
                used: row.used.map(at),
            })
        };
        row.map(read).transpose()
    }
}
