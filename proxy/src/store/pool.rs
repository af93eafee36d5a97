//! The store's connections. A statement to a server ends within a bound, whatever becomes of the
//! server, its machine or the network between: who waits hears that the database is away.

use std::future::Future;
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, IsolationLevel,
    QueryResult, RuntimeErr, Statement, TransactionTrait as _, sqlx,
};
use sea_orm_migration::prelude::async_trait;

use super::{Doing as _, StoreError};

/// How long a statement may take. The server ends one before.
const MOST: Duration = Duration::from_secs(40);

/// Some connections to one database.
#[derive(Clone, Debug)]
pub(super) struct Pool(DatabaseConnection);

impl From<DatabaseConnection> for Pool {
    fn from(connections: DatabaseConnection) -> Self {
        Self(connections)
    }
}

impl Pool {
    /// Without the bound, for what takes as long as it takes.
    pub fn database(&self) -> &DatabaseConnection {
        &self.0
    }

    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.within(self.0.begin()).await
    }

    pub async fn begin_with(&self, isolation: Option<IsolationLevel>) -> Result<DatabaseTransaction, DbErr> {
        self.within(self.0.begin_with_config(isolation, None)).await
    }

    pub async fn close(self) -> Result<(), DbErr> {
        self.within(self.0.clone().close()).await
    }

    /// A file has no end of its own that could go away.
    async fn within<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        match self.0.get_database_backend() {
            DbBackend::Postgres => bounded(MOST, work).await,
            _ => work.await,
        }
    }
}

/// Work on a server's database that is given up after so long.
pub async fn within<T>(
    most: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    bounded(most, async { Ok(work.await) }).await.doing(doing)?
}

async fn bounded<T>(most: Duration, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    match tokio::time::timeout(most, work).await {
        Ok(done) => done,
        Err(_) => {
            let why = format!("it did not answer within {} s", most.as_secs());
            let error = sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, why));
            Err(DbErr::Conn(RuntimeErr::SqlxError(error.into())))
        }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.within(self.0.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.within(self.0.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.within(self.0.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.within(self.0.query_all_raw(statement)).await
    }
}
