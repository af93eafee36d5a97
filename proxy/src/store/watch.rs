//! How a gate holds its store for as long as it runs: a file by a lock of its own, a shared
//! database by the connection that holds the gate's name there, and on which it hears at once that
//! something has changed. A hint is only a hint: what changed is read from its revision.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr, Statement,
    sqlx,
};

use super::{Doing as _, Store, StoreError, StoreUrl, connect, revisions, within};

/// The first key of the advisory locks of gates' names: "gate", as a number. The second is
/// the gate's.
const NAMES: i32 = 0x6761_7465;

/// The second key of the lock that all gates share, and that a copy has alone.
const ALL: i32 = 0;

/// How long an earlier process of the gate may still hold its name.
const RELEASED: Duration = Duration::from_secs(10);

/// How often the gate says on the connection that it runs. One that has gone without a word has
/// lost the name with it.
const TRIED: Duration = Duration::from_secs(3);

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// So much may the clocks of a gate and its database differ.
const MOST_APART: Duration = Duration::from_secs(30);

/// Holds the store until it is dropped.
pub enum Watch {
    /// A file, which nobody else uses.
    Alone(FileLock),
    /// A shared database.
    Shared(Box<Listening>),
}

/// The lock of a store that is a file.
#[derive(Debug)]
pub struct FileLock(#[expect(dead_code, reason = "the lock goes when the file closes")] File);

/// Holds the gate's name and listens.
pub struct Listening {
    store: Store,
    pool: DatabaseConnection,
    listener: Option<PgListener>,
    tried: Instant,
}

/// What became of the gate's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// It is this process's.
    Ours,
    /// Another process has it.
    Taken,
    /// The store is being copied.
    Copied,
}

/// How far this gate's clock is from the database's, in milliseconds, as it was seen last.
#[derive(Debug, Default)]
pub(super) struct Apart(AtomicI64);

impl Apart {
    /// Refuses what would rest on a clock that is wrong.
    pub fn check(&self) -> Result<(), StoreError> {
        let millis = self.0.load(Ordering::Relaxed);
        let apart = Duration::from_millis(millis.unsigned_abs());
        if apart <= MOST_APART {
            return Ok(());
        }
        Err(StoreError::Clock {
            seconds: apart.as_secs(),
            way: if millis > 0 { "ahead of" } else { "behind" },
        })
    }
}

impl Store {
    /// Whether other gates may use it too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.writer.get_database_backend() == DbBackend::Postgres
    }

    /// Takes the store for this process: a file as a whole, of a shared database the gate's name.
    ///
    /// # Errors
    /// When another process has it, or the database fails.
    pub async fn watch(&self) -> Result<Watch, StoreError> {
        if let Some(lock) = self.lock_file()? {
            return Ok(Watch::Alone(lock));
        }
        let mut watch = self.listening().await?;
        let taken = async {
            loop {
                match watch.listen().await? {
                    Name::Ours => return Ok(Name::Ours),
                    Name::Copied => return Ok(Name::Copied),
                    // An earlier process of the gate may be about to end.
                    Name::Taken => watch.listener = None,
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        match tokio::time::timeout(RELEASED, taken).await.unwrap_or(Ok(Name::Taken))? {
            Name::Ours => Ok(Watch::Shared(Box::new(watch))),
            Name::Copied => Err(self.busy()),
            Name::Taken => {
                let name =
                    self.gates().await?.into_iter().find(|gate| gate.id == self.gate).map(|gate| gate.name);
                Err(StoreError::Taken { gate: name.map(|name| name.to_string()).unwrap_or_default() })
            }
        }
    }

    pub(super) async fn listening(&self) -> Result<Listening, StoreError> {
        let pool = connect::connect(&self.url, 1).await?;
        Ok(Listening { store: self.clone(), pool, listener: None, tried: Instant::now() })
    }

    /// Locks a store that is a file, by one beside it: to open and close the store's own would
    /// let go of SQLite's locks.
    pub(super) fn lock_file(&self) -> Result<Option<FileLock>, StoreError> {
        let StoreUrl::Sqlite(path) = &self.url else { return Ok(None) };
        let mut beside = path.clone().into_os_string();
        beside.push("-lock");
        let path = PathBuf::from(beside);
        let failed = |source| StoreError::File { path: path.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FileLock(file))),
            Err(TryLockError::WouldBlock) => Err(self.busy()),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    fn busy(&self) -> StoreError {
        StoreError::Busy { at: self.url.to_string() }
    }

    /// Reads the database's clock, where there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn compare_clocks(&self) -> Result<(), StoreError> {
        const DOING: &str = "read the database's clock";
        if !self.is_shared() {
            return Ok(());
        }
        let ask = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now";
        let before = Timestamp::now().as_millisecond();
        let answer = self.readers.query_one_raw(Statement::from_string(DbBackend::Postgres, ask));
        let theirs: i64 = match answer.await.doing(DOING)? {
            Some(row) => row.try_get("", "now").doing(DOING)?,
            None => return Ok(()),
        };
        let after = Timestamp::now().as_millisecond();
        // Theirs was read in between; a slow answer tells nothing.
        let apart = if theirs < before { before - theirs } else { (after - theirs).min(0) };
        self.apart.0.store(apart, Ordering::Relaxed);
        Ok(())
    }

    /// What the database's clock says, as far as is known.
    pub(super) fn database_now(&self) -> Timestamp {
        let apart = SignedDuration::from_millis(self.apart.0.load(Ordering::Relaxed));
        Timestamp::now().saturating_sub(apart).unwrap_or_default()
    }

    /// Refuses what is to happen while the gate's clock is wrong: windows, expiries and the
    /// order of what several gates write rest on it.
    ///
    /// # Errors
    /// When it is too far from the database's.
    pub fn clock_is_right(&self) -> Result<(), StoreError> {
        self.apart.check()
    }
}

/// Keeps every gate out of a shared store until the transaction ends.
pub(super) async fn keep_out(store: &Store, change: &DatabaseTransaction) -> Result<(), StoreError> {
    const DOING: &str = "looked for gates";
    if !store.is_shared() {
        return Ok(());
    }
    let free = async |key: i32| {
        let ask = format!("SELECT pg_try_advisory_xact_lock({NAMES}, {key}) AS free");
        let answer = change.query_one_raw(Statement::from_string(DbBackend::Postgres, ask));
        answer.await?.map(|row| row.try_get("", "free")).transpose()
    };
    // Gates of before have only their names.
    for gate in store.gates().await? {
        if free(gate.id.0).await.doing(DOING)? != Some(true) {
            return Err(StoreError::InUse { gate: gate.name.to_string(), at: store.url.to_string() });
        }
    }
    if free(ALL).await.doing(DOING)? != Some(true) { Err(store.busy()) } else { Ok(()) }
}

impl Listening {
    /// Connects where it is not, and says whether the name is this process's.
    pub(super) async fn listen(&mut self) -> Result<Name, StoreError> {
        const DOING: &str = "took the gate's name";
        let pool = self.pool.get_postgres_connection_pool();
        let gate = self.store.gate.0;
        let listening = async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.listen(revisions::CHANNEL).await?;
            let all = sqlx::query_scalar("SELECT pg_try_advisory_lock_shared($1, $2)").bind(NAMES).bind(ALL);
            if !all.fetch_one(&mut listener).await? {
                return Ok((listener, Name::Copied));
            }
            let own = sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)").bind(NAMES).bind(gate);
            let name = if own.fetch_one(&mut listener).await? { Name::Ours } else { Name::Taken };
            if name == Name::Ours {
                say_that_it_runs(&mut listener, gate).await?;
            }
            Ok((listener, name))
        };
        let listening = async { listening.await.map_err(failed).doing(DOING) };
        let (listener, name) = within(ANSWER, DOING, listening).await?;
        (self.listener, self.tried) = (Some(listener), Instant::now());
        Ok(name)
    }

    /// Waits for a hint, and no longer than `most`.
    pub async fn hint(&mut self, most: Duration) {
        if self.tried.elapsed() >= TRIED {
            self.say_that_it_runs().await;
        }
        let Some(listener) = &mut self.listener else {
            tokio::time::sleep(most).await;
            match self.listen().await {
                Ok(Name::Ours) => {}
                Ok(Name::Taken) => {
                    tracing::error!("another process uses this gate's name on the database; end one of them")
                }
                Ok(Name::Copied) => tracing::error!("the store is being copied while this gate uses it"),
                // Whoever reads the store meanwhile says so.
                Err(error) => tracing::debug!(%error, "no hints from the database"),
            }
            return;
        };
        match tokio::time::timeout(most, listener.try_recv()).await {
            Ok(Ok(Some(_))) | Err(_) => {}
            Ok(Ok(None) | Err(_)) => self.listener = None,
        }
    }

    /// Has the other gates know that this one runs, and lets go of a connection that does not answer.
    async fn say_that_it_runs(&mut self) {
        let Some(listener) = &mut self.listener else { return };
        let answer = tokio::time::timeout(ANSWER, say_that_it_runs(listener, self.store.gate.0)).await;
        self.tried = Instant::now();
        if !matches!(answer, Ok(Ok(()))) {
            self.listener = None;
        }
    }
}

async fn say_that_it_runs(listener: &mut PgListener, gate: i32) -> Result<(), sqlx::Error> {
    let heard = "UPDATE gate SET heard_millis = (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
                 WHERE id = $1";
    sqlx::query(heard).bind(gate).execute(listener).await.map(drop)
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}
