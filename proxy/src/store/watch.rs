//! The connection by which a gate holds its name on a shared database, and hears at once that
//! something has changed. A hint is only a hint: what changed is read from its revision.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement, sqlx};

use super::{Doing as _, Store, StoreError, connect, revisions, within};

/// The first key of the advisory locks of gates' names: "gate", as a number. The second is
/// the gate's.
const NAMES: i32 = 0x6761_7465;

/// How long an earlier process of the gate may still hold its name.
const RELEASED: Duration = Duration::from_secs(10);

/// How often the connection is tried: one that has gone without a word has lost the name with it.
const TRIED: Duration = Duration::from_secs(3);

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// So much may the clocks of a gate and its database differ.
const MOST_APART: Duration = Duration::from_secs(30);

/// Holds the gate's name until it is dropped, and listens.
pub struct Watch {
    store: Store,
    pool: DatabaseConnection,
    listener: Option<PgListener>,
    tried: Instant,
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

    /// Takes the gate's name for this process where the store is shared; nobody else uses a file.
    ///
    /// # Errors
    /// When another process has it, or the database fails.
    pub async fn watch(&self) -> Result<Option<Watch>, StoreError> {
        if !self.is_shared() {
            return Ok(None);
        }
        let pool = connect::connect(&self.url, 1).await?;
        let mut watch = Watch { store: self.clone(), pool, listener: None, tried: Instant::now() };
        let taken = async {
            while !watch.listen().await? {
                watch.listener = None;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok(())
        };
        match tokio::time::timeout(RELEASED, taken).await {
            Ok(taken) => taken.map(|()| Some(watch)),
            Err(_) => {
                let name =
                    self.gates().await?.into_iter().find(|gate| gate.id == self.gate).map(|gate| gate.name);
                Err(StoreError::Taken { gate: name.map(|name| name.to_string()).unwrap_or_default() })
            }
        }
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

    /// Refuses what is to happen while the gate's clock is wrong: windows, expiries and the
    /// order of what several gates write rest on it.
    ///
    /// # Errors
    /// When it is too far from the database's.
    pub fn clock_is_right(&self) -> Result<(), StoreError> {
        self.apart.check()
    }
}

/// Refuses a shared store that a gate uses now.
pub(super) async fn nobody_uses(store: &Store) -> Result<(), StoreError> {
    const DOING: &str = "looked for gates";
    if !store.is_shared() {
        return Ok(());
    }
    for gate in store.gates().await? {
        let ask = format!("SELECT pg_try_advisory_xact_lock({NAMES}, {}) AS free", gate.id.0);
        let answer = store.writer.query_one_raw(Statement::from_string(DbBackend::Postgres, ask));
        let free = answer.await.doing(DOING)?.map(|row| row.try_get("", "free")).transpose().doing(DOING)?;
        if free != Some(true) {
            return Err(StoreError::InUse { gate: gate.name.to_string(), at: store.url.to_string() });
        }
    }
    Ok(())
}

impl Watch {
    /// Connects where it is not, and says whether the name is this process's.
    async fn listen(&mut self) -> Result<bool, StoreError> {
        const DOING: &str = "took the gate's name";
        let pool = self.pool.get_postgres_connection_pool();
        let gate = self.store.gate.0;
        let listening = async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.listen(revisions::CHANNEL).await?;
            let lock = sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)").bind(NAMES).bind(gate);
            let held: bool = lock.fetch_one(&mut listener).await?;
            Ok((listener, held))
        };
        let (listener, held) =
            within(ANSWER, DOING, async { listening.await.map_err(failed).doing(DOING) }).await?;
        (self.listener, self.tried) = (Some(listener), Instant::now());
        Ok(held)
    }

    /// Waits for a hint, and no longer than `most`.
    pub async fn hint(&mut self, most: Duration) {
        if self.tried.elapsed() >= TRIED {
            self.try_out().await;
        }
        let Some(listener) = &mut self.listener else {
            tokio::time::sleep(most).await;
            match self.listen().await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::error!("another process uses this gate's name on the database; end one of them")
                }
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

    /// Lets go of a connection that does not answer.
    async fn try_out(&mut self) {
        let Some(listener) = &mut self.listener else { return };
        let answer = tokio::time::timeout(ANSWER, sqlx::query("SELECT 1").execute(listener)).await;
        self.tried = Instant::now();
        if !matches!(answer, Ok(Ok(_))) {
            self.listener = None;
        }
    }
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}
