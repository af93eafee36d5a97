//! How often what every gate must know of has changed: each step that changes it moves its
//! number in the same transaction. Who wants to write what they made of an earlier state
//! says which number that had, and is refused when it has moved meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{BinOper, ExprTrait as _};
use sea_orm::{ActiveValue::Set, DatabaseTransaction, DbBackend, Statement};

use tidegate_common::name::UserName;

use super::{Doing as _, MOST_NAMED, Store, StoreError, changed_if_there};

/// The channel on which PostgreSQL tells that some number has moved.
pub(super) const CHANNEL: &str = "tidegate";

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "revision")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub what: String,
    pub number: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A number that was read; it only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Revision(pub(super) i64);

impl Revision {
    /// Where a step moved it that was made of this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Revision {
    type Err = ParseIntError;
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// What has a number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of<'a> {
    Resources,
    Requests,
    /// What is ruled beside resources.
    Rulings,
    RemoteAccesses,
    /// Nothing that changes: who counts sessions at once holds it.
    SessionsAtOnce,
    /// What gates are asked to do with their sessions.
    Sessions,
    /// Whose host keys are.
    HostKeys,
    /// The requests that this user made.
    Requester(&'a str),
}

impl Of<'_> {
    fn key(self) -> String {
        match self {
            Self::Resources => "resources".to_owned(),
            Self::Requests => "requests".to_owned(),
            Self::Rulings => "rulings".to_owned(),
            Self::RemoteAccesses => "remote accesses".to_owned(),
            Self::SessionsAtOnce => "sessions at once".to_owned(),
            Self::Sessions => "sessions".to_owned(),
            Self::HostKeys => "host keys".to_owned(),
            Self::Requester(user) => format!("requester {user}"),
        }
    }
}

/// The numbers that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revisions {
    /// Of all resources.
    pub resources: Revision,
    /// Of all requests.
    pub requests: Revision,
    /// Of what is ruled beside resources.
    pub rulings: Revision,
    /// Of all remote accesses.
    pub remote_accesses: Revision,
    /// Of what gates are asked to do with their sessions.
    pub sessions: Revision,
}

/// Moves a number: from where it was read, or else the step is refused as [`StoreError::Changed`].
pub(super) async fn move_on(
    change: &DatabaseTransaction,
    of: Of<'_>,
    was: Option<Revision>,
) -> Result<(), StoreError> {
    const DOING: &str = "counted a change";
    let mut moved = Entity::update_many()
        .col_expr(Column::Number, Expr::col(Column::Number).binary(BinOper::Add, 1))
        .filter(Column::What.eq(of.key()));
    if let Some(Revision(was)) = was {
        moved = moved.filter(Column::Number.eq(was));
    }
    if moved.exec(change).await.doing(DOING)?.rows_affected == 0 {
        if was.is_some_and(|was| was != Revision::default()) {
            return Err(StoreError::Changed);
        }
        let first = ActiveModel { what: Set(of.key()), number: Set(1) };
        changed_if_there(Entity::insert(first).exec_without_returning(change).await, DOING)?;
    }
    if change.get_database_backend() == DbBackend::Postgres {
        // Told when the step is committed, and not if it is not.
        let tell = Statement::from_string(DbBackend::Postgres, format!("NOTIFY {CHANNEL}"));
        change.execute_raw(tell).await.doing(DOING)?;
    }
    Ok(())
}

/// Moves the number of each of these users' requests from where it was read, as [`move_on`] does for
/// one. A text may make thousands of users, of whom hardly any has made a request.
pub(super) async fn move_requesters(
    change: &DatabaseTransaction,
    were: &[(UserName, Revision)],
) -> Result<(), StoreError> {
    let (first, others): (Vec<_>, Vec<_>) = were.iter().partition(|(_, was)| *was == Revision::default());
    for (user, was) in others {
        move_on(change, Of::Requester(user.as_str()), Some(*was)).await?;
    }
    for some in first.chunks(MOST_NAMED) {
        let rows = some.iter().map(|(user, _)| ActiveModel { what: Set(requester(user)), number: Set(1) });
        let inserted = Entity::insert_many(rows).exec_without_returning(change).await;
        changed_if_there(inserted, "counted requests")?;
    }
    Ok(())
}

fn requester(user: &UserName) -> String {
    Of::Requester(user.as_str()).key()
}

/// A number within the transaction that has just moved it.
pub(super) async fn read_in(change: &DatabaseTransaction, of: Of<'_>) -> Result<Revision, StoreError> {
    let row = Entity::find_by_id(of.key()).one(change).await.doing("read what changed")?;
    Ok(row.map(|row| Revision(row.number)).unwrap_or_default())
}

/// Has whoever else holds the same wait until the transaction's end. Nobody looks because of it.
pub(super) async fn hold(change: &DatabaseTransaction, of: Of<'_>) -> Result<(), StoreError> {
    let held = Entity::update_many()
        .col_expr(Column::Number, Expr::col(Column::Number).binary(BinOper::Add, 1))
        .filter(Column::What.eq(of.key()));
    match held.exec(change).await.doing("held a number")?.rows_affected {
        0 => Err(StoreError::damaged("revision", format!("`{}` is not there", of.key()))),
        _ => Ok(()),
    }
}

impl Store {
    pub(super) async fn revision(&self, of: Of<'_>) -> Result<Revision, StoreError> {
        let row = Entity::find_by_id(of.key()).one(&self.readers).await.doing("read what changed")?;
        Ok(row.map(|row| Revision(row.number)).unwrap_or_default())
    }

    /// Of each of these users' requests, in their order.
    pub(super) async fn requester_revisions(&self, users: &[UserName]) -> Result<Vec<Revision>, StoreError> {
        let mut numbers = HashMap::new();
        for some in users.chunks(MOST_NAMED) {
            let named = Entity::find().filter(Column::What.is_in(some.iter().map(requester)));
            let rows = named.all(&self.readers).await.doing("read what changed")?;
            numbers.extend(rows.into_iter().map(|row| (row.what, Revision(row.number))));
        }
        Ok(users.iter().map(|user| numbers.get(&requester(user)).copied().unwrap_or_default()).collect())
    }

    /// The numbers that are watched, as they are now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revisions(&self) -> Result<Revisions, StoreError> {
        let keys = [Of::Resources, Of::Requests, Of::Rulings, Of::RemoteAccesses, Of::Sessions].map(Of::key);
        let rows = Entity::find().filter(Column::What.is_in(&keys)).all(&self.readers).await;
        let rows = rows.doing("read what changed")?;
        let number = |of: Of<'_>| {
            let row = rows.iter().find(|row| row.what == of.key());
            row.map(|row| Revision(row.number)).unwrap_or_default()
        };
        Ok(Revisions {
            resources: number(Of::Resources),
            requests: number(Of::Requests),
            rulings: number(Of::Rulings),
            remote_accesses: number(Of::RemoteAccesses),
            sessions: number(Of::Sessions),
        })
    }
}
