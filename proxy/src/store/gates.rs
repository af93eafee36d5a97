//! The gates that share the store.

use jiff::{SignedDuration, Timestamp};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, QueryOrder as _, QuerySelect as _};
use tidegate_common::name::GateName;

use super::{Doing as _, Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "gate")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i32,
    pub name: String,
    /// When it was heard of last, by the database's clock.
    pub heard_millis: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A gate's number in the store; it stays when the gate gets another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GateId(pub(super) i32);

#[cfg(test)]
impl GateId {
    /// Of the first gate that used a store.
    pub const FIRST: Self = Self(1);
}

/// A gate that has used the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Its number.
    pub id: GateId,
    /// Its name, which no other has.
    pub name: GateName,
    /// When it was heard of last; a gate that has its store alone is not heard of.
    pub heard: Option<Timestamp>,
    /// Whether that is too long ago for it to run.
    pub away: bool,
}

/// A gate that was not heard of for so long does not run, or reaches its database no more. It
/// says that it does far more often ([`super::watch`]).
const AWAY: SignedDuration = SignedDuration::from_secs(15);

/// A gate that was not heard of for so long is taken for dead: what it had begun counts for no bound.
/// Not sooner, because one whose database is away for an hour lets its sessions go on.
const DEAD: SignedDuration = SignedDuration::from_hours(1);

/// The numbers of other gates that are taken for dead. One that has never said that it runs is
/// none: it may have the store for itself.
pub(super) async fn dead(
    database: &impl ConnectionTrait,
    own: GateId,
    now: Timestamp,
) -> Result<Vec<i32>, StoreError> {
    let heard = now.checked_sub(DEAD).unwrap_or(Timestamp::MIN).as_millisecond();
    let dead = Entity::find().filter(Column::HeardMillis.lt(heard)).filter(Column::Id.ne(own.0));
    dead.select_only().column(Column::Id).into_tuple().all(database).await.doing("read gates")
}

/// The number of the gate of this name, which is given one where it is new. A file is one
/// gate's: what stands in it stays its own under another name.
pub(super) async fn number(
    change: &DatabaseTransaction,
    name: &GateName,
    alone: bool,
) -> Result<GateId, DbErr> {
    let known = Entity::find().filter(Column::Name.eq(name.as_str())).one(change).await?;
    if let Some(known) = known {
        return Ok(GateId(known.id));
    }
    let mut others = Entity::find().all(change).await?;
    // The name of who used it before there were names is empty.
    let same = match (others.pop(), others.is_empty()) {
        (Some(one), true) if alone || one.name.is_empty() => Some(one.id),
        _ => None,
    };
    let row = ActiveModel { name: Set(name.to_string()), ..Default::default() };
    match same {
        Some(id) => {
            Entity::update(ActiveModel { id: Set(id), ..row }).exec(change).await.map(|row| GateId(row.id))
        }
        None => Entity::insert(row).exec(change).await.map(|inserted| GateId(inserted.last_insert_id)),
    }
}

impl Store {
    /// The number of this gate.
    #[must_use]
    pub fn own_gate(&self) -> GateId {
        self.gate
    }

    /// Every gate that has used the store, by number.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn gates(&self) -> Result<Vec<Gate>, StoreError> {
        let rows = Entity::find().order_by_asc(Column::Id).all(&self.readers).await.doing("read gates")?;
        let now = self.database_now();
        let read = |row: Model| {
            let name = row.name.parse().map_err(|why| StoreError::damaged("gate", why))?;
            let heard = row.heard_millis.and_then(|at| Timestamp::from_millisecond(at).ok());
            let id = GateId(row.id);
            let silent = heard.is_none_or(|heard| now.duration_since(heard) > AWAY);
            Ok(Gate { id, name, heard, away: id != self.gate && silent })
        };
        rows.into_iter().map(read).collect()
    }
}
