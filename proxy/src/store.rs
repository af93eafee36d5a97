//! What must survive a restart: resources, requests with their votes, sessions
//! and their transfers, agents with their tokens and host keys, and the audit log's records.
//!
//! SQLite in WAL mode with `synchronous = FULL` and foreign keys: what a call
//! returned for is on the disk. One connection writes, so writers queue here and
//! never meet `SQLITE_BUSY`; a few others read beside it. Everything goes through
//! SeaORM without SQL of one dialect, so that Postgres can follow.
//!
//! A write that fails (a full disk, a failing one) leaves nothing open that a later
//! one would become a part of: a connection whose transaction did not end is closed.

mod agents;
mod audit;
mod fleet;
mod host_keys;
mod migration;
mod requests;
mod residue;
mod resources;
mod sessions;
mod tokens;
mod transfers;

pub use agents::{AgentRow, Enrolled};
pub use audit::AuditRow;
pub use fleet::Drifts;
pub use requests::RequestFilter;
pub use sessions::{SessionFilter, SessionRow};

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;
use sea_orm::sqlx::Connection as _;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbErr};
use sea_orm_migration::MigratorTrait as _;

const READERS: u32 = 4;
/// Rows that one statement names, at most; databases bound it.
const MOST_NAMED: usize = 500;
const BUSY: Duration = Duration::from_secs(10);

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not `sqlite:<path>`.
    #[error("the store's url `{0}` is not known; write it as sqlite:/var/lib/tidegate/tidegate.db")]
    Url(String),
    /// The file cannot be made or opened.
    #[error("the store {path} cannot be opened: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
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
        self.map_err(|source| StoreError::Database { doing, source })
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
    /// When the url is not known, the file cannot be opened, or the schema cannot be brought up to date.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let path = file(url).ok_or_else(|| StoreError::Url(url.chars().take(200).collect()))?;
        make(&path).map_err(|source| StoreError::File { path: path.clone(), source })?;
        let writer = connect(&path, 1).await?;
        migration::Migrator::up(&writer, None).await.doing("brought its schema up to date")?;
        let readers = connect(&path, READERS).await?;
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

fn file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let usable = !path.is_empty() && !path.starts_with(':') && !path.contains(['?', '\0']);
    usable.then(|| PathBuf::from(path))
}

/// Makes the file for its owner only; SQLite gives the WAL beside it the same mode.
fn make(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}

async fn connect(path: &Path, connections: u32) -> Result<DatabaseConnection, StoreError> {
    let path = path.to_owned();
    // The path is set as it is: in a url, some of its characters would mean something else.
    let mut options = ConnectOptions::new("sqlite://");
    // All of them now and for good: each has a thread, which would be a lane's when a lane
    // asks for it.
    options.max_connections(connections).min_connections(connections);
    options.idle_timeout(None).max_lifetime(None).sqlx_logging(false).map_sqlx_sqlite_opts(move |options| {
        options
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY)
    });
    // SQLite rolls back by itself when the disk is full, and sqlx counts that transaction
    // as open for ever: what came after would be nested in one that nobody commits.
    options.map_sqlx_sqlite_pool_opts(|options| {
        options.after_release(|connection, _| {
            Box::pin(async move {
                // After the rollback of a transaction that was dropped.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
    });
    Database::connect(options).await.doing("connected")
}

#[cfg(test)]
pub(crate) mod testing {
    use super::{Enrolled, Store, agents};

    impl Store {
        /// The device's agent has this key now, and a certificate of the same name.
        pub async fn enrol(
            &self,
            device: &tidegate_common::name::DeviceName,
            key: &str,
            now: jiff::Timestamp,
        ) {
            let enrolled = Enrolled { device, certificate: key, public_key: key };
            agents::enrol(&self.writer, &enrolled, now).await.unwrap();
        }
    }

    /// A store in a directory of its own, removed when this goes.
    pub struct Temporary {
        pub store: Store,
        directory: std::path::PathBuf,
    }

    impl Temporary {
        pub async fn new() -> Self {
            let directory =
                std::env::temp_dir().join(format!("tidegate store %41-{:032x}", rand::random::<u128>()));
            std::fs::create_dir(&directory).unwrap();
            let store = Store::open(&format!("sqlite:{}", directory.join("t.db").display())).await.unwrap();
            Self { store, directory }
        }

        pub fn directory(&self) -> &std::path::Path {
            &self.directory
        }

        pub fn url(&self) -> String {
            format!("sqlite:{}", self.directory.join("t.db").display())
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Temporary;
    use super::*;

    #[test]
    fn only_the_url_of_a_file_is_taken() {
        assert_eq!(file("sqlite:/a/b.db"), Some("/a/b.db".into()));
        assert_eq!(file("sqlite:///a/b.db"), Some("/a/b.db".into()));
        for url in ["sqlite::memory:", "postgres://x", "sqlite:", "sqlite:/a?mode=ro", "/a/b.db"] {
            assert_eq!(file(url), None, "{url}");
        }
    }

    #[tokio::test]
    async fn the_file_is_its_owners_only_and_opens_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let temporary = Temporary::new().await;
        let mode = std::fs::metadata(temporary.directory().join("t.db")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        temporary.store.clone().close().await.unwrap();
        assert!(Store::open(&temporary.url()).await.is_ok());
    }

    #[tokio::test]
    async fn a_store_in_a_directory_that_is_not_there_says_so() {
        let error = Store::open("sqlite:/nonexistent/t.db").await.unwrap_err().to_string();
        assert!(error.contains("/nonexistent/t.db cannot be opened"), "{error}");
    }
}
