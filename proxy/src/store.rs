//! What must survive a restart: resources, requests with their votes, sessions
//! and their transfers, agents with their tokens and host keys, and the audit log's records.
//!
//! SQLite by default, in WAL mode with `synchronous = FULL` and foreign keys; PostgreSQL
//! where `store.url` names a database of it. What a call returned for is on the disk. One
//! connection writes, so writers of this process queue here (and on SQLite never meet
//! `SQLITE_BUSY`); a few others read beside it. Everything goes through SeaORM without SQL
//! of one dialect, so that both are one code; where they differ is in `connect`.
//!
//! A write that fails (a full disk, a failing one) leaves nothing open that a later
//! one would become a part of: a connection whose transaction did not end is closed.

mod agents;
mod audit;
mod connect;
mod fleet;
mod host_keys;
mod migration;
mod requests;
mod residue;
mod resources;
mod sessions;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;
mod transfers;
mod url;

pub use agents::{AgentRow, Enrolled};
pub use audit::AuditRow;
pub use fleet::Drifts;
pub use requests::RequestFilter;
pub use sessions::{SessionFilter, SessionRow};
pub use url::StoreUrl;

use std::path::PathBuf;

use connect::Connections;
use futures::future::BoxFuture;
use sea_orm::{ConnAcquireErr, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, sqlx};

/// Rows that one statement names, at most; databases bound it.
const MOST_NAMED: usize = 500;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be made or opened.
    #[error("the store {path} cannot be opened: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The server cannot be reached, or lets nobody in.
    #[error(
        "the database {at} cannot be opened: {why}; see that its server runs and lets the gate in, or change `store.url`"
    )]
    Absent {
        /// Its url, without a password.
        at: String,
        /// Why not.
        why: String,
    },
    /// The server went away.
    #[error("the store's database is away while it {doing} ({source}); nothing new begins until it is back")]
    Away {
        /// What was going on.
        doing: &'static str,
        /// What was seen of it.
        source: DbErr,
    },
    /// The schema has a step of a later version.
    #[error(
        "the store was used by a newer version of Tidegate (its schema has the step {step}); upgrade this gate"
    )]
    Newer {
        /// The first step that is not known.
        step: String,
    },
    /// The database said no.
    #[error("the store failed while it {doing}: {source}")]
    Database {
        /// What was going on.
        doing: &'static str,
        /// What it said.
        source: DbErr,
    },
    /// A row is not what was once written.
    #[error("the store holds a damaged {what}: {why}")]
    Damaged {
        /// Which row.
        what: String,
        /// Why it cannot be read.
        why: String,
    },
}

impl StoreError {
    pub(crate) fn damaged(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Damaged { what: what.into(), why: why.to_string() }
    }
}

/// Says what was going on when the database failed.
trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, DbErr> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| match is_away(&source) {
            true => StoreError::Away { doing, source },
            false => StoreError::Database { doing, source },
        })
    }
}

/// Whether an error tells of a server that is gone, going, or out of reach.
fn is_away(error: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return matches!(error, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout));
    };
    match &**error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut => true,
        // Class 08: connection; 53300: too many; 57P01 to 57P03: it shuts down or starts.
        sqlx::Error::Database(said) => {
            let code = said.code().unwrap_or_default();
            code.starts_with("08") || code == "53300" || code.starts_with("57P0")
        }
        _ => false,
    }
}

/// What is written together with the audit log's records that tell of it, or not at all
/// ([`crate::audit_log::AuditLog::step`]).
pub struct Step(Box<dyn for<'a> FnOnce(&'a DatabaseTransaction) -> Written<'a> + Send>);

type Written<'a> = BoxFuture<'a, Result<(), StoreError>>;

impl Step {
    fn new(write: impl for<'a> FnOnce(&'a DatabaseTransaction) -> Written<'a> + Send + 'static) -> Self {
        Self(Box::new(write))
    }

    async fn write(self, transaction: &DatabaseTransaction) -> Result<(), StoreError> {
        (self.0)(transaction).await
    }
}

/// The store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    writer: DatabaseConnection,
    readers: DatabaseConnection,
}

impl Store {
    /// Opens or makes the database and brings its schema up to date.
    ///
    /// # Errors
    /// When the file or the server cannot be opened, or the schema is newer or cannot be brought up to date.
    pub async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        let Connections { writer, readers } = connect::open(url).await?;
        Ok(Self { writer, readers })
    }

    /// Closes every connection, after which the file is complete without its WAL.
    ///
    /// # Errors
    /// When the database cannot close.
    pub async fn close(self) -> Result<(), StoreError> {
        self.readers.close().await.doing("closed")?;
        self.writer.close().await.doing("closed")
    }
}

#[cfg(test)]
mod tests;
