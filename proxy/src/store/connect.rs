//! Connecting, and bringing the schema up to date.

use std::path::Path;
use std::time::Duration;

use rustls::CertificateError;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions as _, Connection as _};
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, sqlx,
};
use sea_orm_migration::MigratorTrait as _;

use super::migration::Migrator;
use tidegate_common::name::GateName;

use super::{Doing as _, GateId, Pool, StoreError, StoreUrl, gates};

const READERS: u32 = 4;
/// How long a writer of another process may hold an SQLite file.
const BUSY: Duration = Duration::from_secs(10);
/// How long a server may take to answer a new connection.
const ANSWER: Duration = Duration::from_secs(5);
/// A connection that was idle for so long is tried before it is used.
const IDLE: Duration = Duration::from_secs(1);
/// What the server keeps: one gate that stops or dies in the middle of a step holds up the others
/// for as long as its transaction may rest, or until the kernel knows that its machine is gone.
const BOUNDS: [(&str, &str); 7] = [
    ("idle_in_transaction_session_timeout", "4s"),
    ("lock_timeout", "8s"),
    ("statement_timeout", "30s"),
    ("tcp_keepalives_idle", "5s"),
    ("tcp_keepalives_interval", "2s"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10s"),
];
/// The same for who waits until another gate has changed the schema, and then does.
const UNBOUNDED: &str = "SET LOCAL lock_timeout = '120s'; SET LOCAL statement_timeout = 0; \
                         SET LOCAL idle_in_transaction_session_timeout = 0";
/// The advisory lock of who changes the schema: "tidegate", as a number.
const SCHEMA_LOCK: i64 = 0x7469_6465_6761_7465;

/// One connection that writes, and some that read.
pub(super) struct Connections {
    pub writer: Pool,
    pub readers: Pool,
}

/// Connects, with the schema up to date.
pub(super) async fn open(url: &StoreUrl) -> Result<Connections, StoreError> {
    let file = |source| match url {
        StoreUrl::Sqlite(path) => StoreError::File { path: path.clone(), source },
        StoreUrl::Postgres(_) => StoreError::Absent { at: url.to_string(), why: source.to_string() },
    };
    match url {
        StoreUrl::Sqlite(path) => make(path).map_err(file)?,
        StoreUrl::Postgres(options) => {
            answers(options).await.map_err(|why| StoreError::Absent { at: url.to_string(), why })?
        }
    }
    let writer = connect(url, 1).await?.into();
    up_to_date(url, &writer).await?;
    let readers = connect(url, READERS).await?.into();
    Ok(Connections { writer, readers })
}

/// Makes the file for its owner only; SQLite gives the WAL beside it the same mode.
pub(super) fn make(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}

/// Whether the server lets us in: a pool would try again and again, and not say why it cannot.
async fn answers(options: &PgConnectOptions) -> Result<(), String> {
    let tried = async {
        let connection = options.connect().await?;
        connection.close().await
    };
    match tokio::time::timeout(ANSWER, tried).await {
        Ok(answered) => {
            answered.map_err(|error| certificate(&error, options).unwrap_or_else(|| error.to_string()))
        }
        Err(_) => Err(format!("it did not answer within {} s", ANSWER.as_secs())),
    }
}

/// What is wrong with the server's certificate, if that is why it was not taken, and what to do.
fn certificate(error: &sqlx::Error, options: &PgConnectOptions) -> Option<String> {
    let sqlx::Error::Io(error) = error else { return None };
    let Some(rustls::Error::InvalidCertificate(why)) = error.get_ref()?.downcast_ref() else { return None };
    Some(match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is signed by no CA that the gate was told of; \
                                            name the file of the right one in the url (sslrootcert=/etc/…)"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "its certificate is for another name than {}; name it in the url as its certificate does",
            options.get_host()
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; renew it".to_owned()
        }
        other => format!("its certificate does not hold ({other})"),
    })
}

pub(super) async fn connect(url: &StoreUrl, connections: u32) -> Result<DatabaseConnection, StoreError> {
    let options = match url {
        StoreUrl::Sqlite(path) => of_file(path, connections),
        StoreUrl::Postgres(postgres) => of_server(postgres, connections),
    };
    Database::connect(options).await.doing("connected")
}

fn of_file(path: &Path, connections: u32) -> ConnectOptions {
    let path = path.to_owned();
    // The path is set as it is: in a url, some of its characters would mean something else.
    let mut options = ConnectOptions::new("sqlite://");
    // All of them now and for good: each has a thread.
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
    options
}

fn of_server(postgres: &PgConnectOptions, connections: u32) -> ConnectOptions {
    let postgres = bounded(postgres);
    let mut options = ConnectOptions::new("postgres://");
    options.max_connections(connections).min_connections(1).acquire_timeout(ANSWER);
    options.idle_timeout(None).max_lifetime(None).sqlx_logging(false);
    options.test_before_acquire_if_idle_for(IDLE).map_sqlx_postgres_opts(move |_| postgres.clone());
    // sqlx waits for ever for what was given up to end.
    options.map_sqlx_postgres_pool_opts(|options| {
        options.after_release(|connection, _| {
            Box::pin(async move {
                let answered = tokio::time::timeout(ANSWER, connection.ping()).await;
                answered.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|()| true)
            })
        })
    });
    options
}

/// With the bounds that the server keeps, but for those that the url sets by itself.
fn bounded(postgres: &PgConnectOptions) -> PgConnectOptions {
    let set = postgres.get_options().unwrap_or_default();
    let missing = BOUNDS.into_iter().filter(|(name, _)| !set.contains(&format!("{name}=")));
    postgres.clone().options(missing)
}

/// The number of the gate of this name.
pub(super) async fn number(url: &StoreUrl, writer: &Pool, gate: &GateName) -> Result<GateId, StoreError> {
    const DOING: &str = "wrote the gate's name";
    let change = writer.begin().await.doing(DOING)?;
    let alone = matches!(url, StoreUrl::Sqlite(_));
    if !alone {
        locked(&change).await.doing(DOING)?;
    }
    let number = gates::number(&change, gate, alone).await.doing(DOING)?;
    change.commit().await.doing(DOING)?;
    Ok(number)
}

/// Waits for whoever changes the schema or the gates' names.
async fn locked(change: &DatabaseTransaction) -> Result<(), DbErr> {
    unbounded(change).await?;
    let lock = format!("SELECT pg_advisory_xact_lock({SCHEMA_LOCK})");
    change.execute_unprepared(&lock).await.map(drop)
}

/// Lets a transaction take as long as it takes.
pub(super) async fn unbounded(change: &DatabaseTransaction) -> Result<(), DbErr> {
    match change.get_database_backend() {
        DbBackend::Postgres => change.execute_unprepared(UNBOUNDED).await.map(drop),
        _ => Ok(()),
    }
}

/// Takes every step of the schema that is missing. Of several gates at once one does; on
/// PostgreSQL all steps are one transaction.
async fn up_to_date(url: &StoreUrl, writer: &Pool) -> Result<(), StoreError> {
    const DOING: &str = "brought its schema up to date";
    match url {
        StoreUrl::Sqlite(_) => {
            is_not_newer(writer.database()).await?;
            Migrator::up(writer.database(), None).await.doing(DOING)
        }
        StoreUrl::Postgres(_) => {
            let change = writer.begin().await.doing(DOING)?;
            locked(&change).await.doing(DOING)?;
            is_not_newer(&change).await?;
            Migrator::up(&change, None).await.doing(DOING)?;
            change.commit().await.doing(DOING)
        }
    }
}

/// Refuses a schema with steps that this program does not know.
async fn is_not_newer(database: &impl sea_orm::ConnectionTrait) -> Result<(), StoreError> {
    let taken = Migrator::get_migration_models(database).await.doing("read which schema it has")?;
    let steps = Migrator::migrations();
    let unknown = taken.into_iter().find(|taken| steps.iter().all(|step| step.name() != taken.version));
    match unknown {
        Some(unknown) => Err(StoreError::Newer { step: unknown.version }),
        None => Ok(()),
    }
}
