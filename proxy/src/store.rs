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
mod at_once;
mod audit;
mod changes;
mod connect;
mod copy;
mod edits;
mod entry_codes;
mod fleet;
mod gates;
mod host_keys;
mod migration;
mod outbox;
mod pool;
mod remote_accesses;
mod requests;
mod residue;
mod resources;
mod revisions;
mod rulings;
mod secrets;
mod sessions;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;
mod transfers;
mod url;
mod watch;
mod wrong_codes;

pub use agents::{AgentRow, Enrolled};
pub use audit::AuditRow;
pub use changes::ChangeFilter;
pub use changes::comparisons::{Comparison, CutOff};
pub use copy::copy;
pub use edits::Edit;
pub use fleet::Drifts;
pub use gates::{Gate, GateId};
pub(crate) use outbox::with_notifications;
pub use outbox::{Claimed, Claims, NotificationFilter, NotificationRow, NotificationState, Tried, Unread};
pub use pool::within;
pub use remote_accesses::RemoteAccessFilter;
pub use requests::{Concern, RequestFilter};
pub use revisions::{Revision, Revisions};
pub use rulings::{Ruled, UnreadPanic};
pub use secrets::{Rewrapped, SecretRow, SecretSeen};
pub use sessions::{SessionFilter, SessionRow};
pub use url::StoreUrl;
pub use watch::Watch;
pub use wrong_codes::WrongCodes;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use connect::Connections;
use futures::future::BoxFuture;
use pool::Pool;
use sea_orm::{ConnAcquireErr, DatabaseTransaction, DbErr, RuntimeErr, SqlErr, sqlx};
use tidegate_common::id::RequestId;
use tidegate_common::name::GateName;
use tidegate_common::policy::Full;

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
    /// What is to be copied, or where to, is in use.
    #[error("gate `{gate}` uses {at}; stop it first (systemctl stop tidegate-proxy)")]
    InUse {
        /// Which gate.
        gate: String,
        /// The store's url, without a password.
        at: String,
    },
    /// A file has one gate, and a copy nobody beside it.
    #[error(
        "another process uses {at}, a gate or a copy; end it (systemctl stop tidegate-proxy) or wait for it"
    )]
    Busy {
        /// The store's url, without a password.
        at: String,
    },
    /// A copy would be mixed with what is there.
    #[error(
        "the target is not empty: its table `{table}` has rows; give an empty database, or a file that is not there"
    )]
    NotEmpty {
        /// The first table with rows.
        table: String,
    },
    /// Another process has the gate's name.
    #[error(
        "another gate named `{gate}` uses the database; end it, or give this one a name of its own (`gate.name`)"
    )]
    Taken {
        /// The name.
        gate: String,
    },
    /// The gate's clock is not the database's.
    #[error(
        "this gate's clock is {seconds} s {way} the database's, so nothing new begins; set the clock that is wrong"
    )]
    Clock {
        /// How far.
        seconds: u64,
        /// Which way.
        way: &'static str,
    },
    /// There are as many sessions at once as there may be. Nothing was written.
    #[error(transparent)]
    Full(Full),
    /// Somebody else wrote what this step rests on, after it was read. Nothing was written.
    #[error("somebody else changed it at the same moment, so nothing was changed; try again")]
    Changed,
    /// As many sessions as a request is for were begun. Nothing was written.
    #[error("the sessions of request {0} are used up; `request create` asks for more")]
    Spent(RequestId),
    /// The database said no.
    #[error("the store failed while it {doing}: {source}")]
    Database {
        /// What was going on.
        doing: &'static str,
        /// What it said.
        source: DbErr,
    },
    /// A row of a kind that newer gates may write in another way.
    #[error(
        "the store holds {what}, which it cannot read ({why}); if a newer gate wrote it, upgrade this one"
    )]
    Unread {
        /// Which row.
        what: String,
        /// Why it cannot be read.
        why: String,
    },
    /// The same of a request that is over, as its row says: nothing rests on it any more.
    #[error(
        "request {request} is over, and the store holds it as it cannot be read ({why}); if a newer gate wrote it, upgrade this one"
    )]
    Over {
        /// Which.
        request: RequestId,
        /// Why it cannot be read.
        why: String,
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
    /// Whether the same would be refused again, whatever becomes of the disk or the server.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::Changed | Self::Unread { .. } | Self::Over { .. } | Self::Damaged { .. } => true,
            Self::Database { source, .. } => source.sql_err().is_some(),
            _ => false,
        }
    }

    fn unread(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Unread { what: what.into(), why: why.to_string() }
    }

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
        self.map_err(|source| doing_failed(source, doing))
    }
}

/// A row that is there already was written by somebody else after it was looked for.
fn changed_if_there<T>(done: Result<T, DbErr>, doing: &'static str) -> Result<T, StoreError> {
    done.map_err(|error| match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => StoreError::Changed,
        _ => doing_failed(error, doing),
    })
}

fn doing_failed(source: DbErr, doing: &'static str) -> StoreError {
    match code(&source) {
        // Two steps had waited for each other, or met.
        Some(code) if ["40001", "40P01"].contains(&code.as_ref()) => StoreError::Changed,
        code if is_away(&source, code.as_deref()) => StoreError::Away { doing, source },
        _ => StoreError::Database { doing, source },
    }
}

/// What the driver says.
fn said(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// The server's code for what went wrong (SQLSTATE, PostgreSQL's appendix A).
fn code(error: &DbErr) -> Option<Cow<'_, str>> {
    said(error)?.as_database_error()?.code()
}

/// Whether an error tells of a server that is gone, going, out of reach, or held up by somebody
/// else for longer than anybody shall wait.
fn is_away(error: &DbErr, code: Option<&str>) -> bool {
    match (said(error), code) {
        (Some(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut), _) => true,
        // Class 08: connection; 53300: too many; 57P01 to 57P05: it shuts down, starts or lets go;
        // 55P03: a lock took too long; 57014: a statement did; 25P03: a transaction rested too long.
        (_, Some(code)) => {
            ["08", "57P0"].iter().any(|class| code.starts_with(class))
                || ["53300", "55P03", "57014", "25P03"].contains(&code)
        }
        _ => matches!(error, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
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

    /// This, and then the other, both or neither.
    pub fn and(self, other: Self) -> Self {
        Self::new(move |change| {
            Box::pin(async move {
                self.write(change).await?;
                other.write(change).await
            })
        })
    }

    /// All of these one after the other, or none.
    pub fn all(steps: Vec<Self>) -> Self {
        Self::new(move |change| {
            Box::pin(async move {
                for step in steps {
                    step.write(change).await?;
                }
                Ok(())
            })
        })
    }

    async fn write(self, transaction: &DatabaseTransaction) -> Result<(), StoreError> {
        (self.0)(transaction).await
    }
}

/// A step that is taken anew until the store takes it, because it tells of what has happened. It may
/// be taken twice where nobody knows whether it was ([`crate::audit_log::AuditLog::tell_step`]).
#[derive(Clone)]
pub struct LastingStep(Arc<dyn Fn() -> Step + Send + Sync>);

impl LastingStep {
    /// Of a step that is made again for each time.
    pub fn new(step: impl Fn() -> Step + Send + Sync + 'static) -> Self {
        Self(Arc::new(step))
    }

    /// One time.
    #[must_use]
    pub fn step(&self) -> Step {
        (self.0)()
    }
}

/// The store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    writer: Pool,
    readers: Pool,
    gate: GateId,
    url: StoreUrl,
    apart: Arc<watch::Apart>,
}

impl Store {
    /// Opens or makes the database for the gate of this name and brings its schema up to date.
    ///
    /// # Errors
    /// When the file or the server cannot be opened, or the schema is newer or cannot be brought up to date.
    pub async fn open(url: &StoreUrl, gate: &GateName) -> Result<Self, StoreError> {
        let Connections { writer, readers } = connect::open(url).await?;
        let gate = connect::number(url, &writer, gate).await?;
        let store = Self { writer, readers, gate, url: url.clone(), apart: Arc::default() };
        store.compare_clocks().await?;
        Ok(store)
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
