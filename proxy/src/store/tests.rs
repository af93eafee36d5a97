//! Opening a store, whatever it finds.

use std::time::Duration;

use sea_orm::ConnectionTrait as _;

use super::testing::{Temporary, gate, on_both, server};
use super::*;
use crate::testing::until;

#[tokio::test]
async fn the_file_is_its_owners_only_and_opens_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let temporary = Temporary::new().await;
    let mode = std::fs::metadata(temporary.directory().join("t.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    temporary.store.clone().close().await.unwrap();
    assert!(Store::open(&temporary.url(), &gate("gate2")).await.is_ok());
}

#[tokio::test]
async fn a_store_in_a_directory_that_is_not_there_says_so() {
    let error = Store::open(&"sqlite:/nonexistent/t.db".parse().unwrap(), &gate("gate1"))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nonexistent/t.db cannot be opened"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_away_or_lets_nobody_in_is_told_at_once_with_its_address_and_no_password() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = format!("postgres://gate:secret@127.0.0.1:{port}/tidegate");
    let error = Store::open(&away.parse().unwrap(), &gate("gate1")).await.unwrap_err().to_string();
    let start = format!("the database postgres://gate@127.0.0.1:{port}/tidegate cannot be opened: ");
    assert!(error.starts_with(&start) && error.contains("refused") && !error.contains("secret"), "{error}");
    let unknown = server().url("nobody_made_it").parse().unwrap();
    let error = Store::open(&unknown, &gate("gate1")).await.unwrap_err().to_string();
    assert!(error.contains("database \"nobody_made_it\" does not exist"), "{error}");
}

async fn a_store_that_a_newer_version_has_used_is_refused_and_left_alone() {
    let temporary = Temporary::new().await;
    let later = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_later', 0)";
    temporary.store.writer.execute_unprepared(later).await.unwrap();
    let error = Store::open(&temporary.url(), &gate("gate2")).await.unwrap_err().to_string();
    assert!(error.contains("a newer version of Tidegate (its schema has the step m9999_later)"), "{error}");
    // The twin that differs in that step.
    temporary
        .store
        .writer
        .execute_unprepared("DELETE FROM seaql_migrations WHERE version = 'm9999_later'")
        .await
        .unwrap();
    assert!(Store::open(&temporary.url(), &gate("gate2")).await.is_ok());
}

#[tokio::test]
async fn of_gates_that_open_an_empty_database_at_once_one_makes_its_schema() {
    let url = server().database().unwrap().parse().unwrap();
    let opened = futures::future::join_all((0..6).map(|number| {
        let url = &url;
        async move { Store::open(url, &gate(&format!("gate{}", number % 3))).await }
    }))
    .await;
    for store in &opened {
        assert_eq!(store.as_ref().unwrap().gates().await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn what_holds_a_statement_up_for_too_long_is_told_as_a_database_that_is_away() {
    let url = server().database().unwrap();
    let open = |bound: &str| {
        let url = format!("{url}&options[{bound}]=300ms").parse().unwrap();
        async move { Store::open(&url, &gate("gate1")).await.unwrap() }
    };
    let step =
        |store: Store| async move { store.audit_append_all(Vec::new(), Some(Store::stopped_step())).await };
    let (holder, waiter) = (open("statement_timeout").await, open("lock_timeout").await);
    let held = holder.writer.begin().await.unwrap();
    let lock = "INSERT INTO revision (what, number) VALUES ('resources', 7) \
                ON CONFLICT (what) DO UPDATE SET number = 7";
    held.execute_unprepared(lock).await.unwrap();
    let lock = step(waiter).await;
    held.rollback().await.unwrap();
    let statement = holder.writer.execute_unprepared("SELECT pg_sleep(60)").await.map(drop).doing("slept");
    let resting = open("idle_in_transaction_session_timeout").await;
    let rests = resting.writer.begin().await.unwrap();
    rests.execute_unprepared("SELECT 1").await.unwrap();
    let gone = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = \
                current_database()";
    let database = url.split(['/', '?']).nth(3).unwrap();
    until("nothing rests", async || (server().sql(database, gone).unwrap() == "0").then_some(())).await;
    let rest = rests.execute_unprepared("SELECT 1").await.map(drop).doing("went on");
    for (what, held_up) in [("lock", lock), ("statement", statement), ("rest", rest)] {
        let error = held_up.unwrap_err();
        assert!(matches!(error, StoreError::Away { .. }), "{what}: {error}");
    }
}

/// The certificate of a CA of this name and one that it signed for localhost, with its key, all in PEM.
fn certificate(of: &str) -> (String, String, String) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, of);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::from_ca_cert_der(ca.der(), key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (ca.pem(), leaf.pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_server_is_reached_by_tls_that_is_verified_to_its_name_and_its_own_ca() {
    let (ca, leaf, key) = certificate("one CA");
    let server = testing::postgres::Server::with_tls(&leaf, &key).unwrap();
    let directory = std::env::temp_dir().join(format!("tidegate-tls-{:032x}", rand::random::<u128>()));
    std::fs::create_dir(&directory).unwrap();
    let (right, wrong) = (directory.join("right.pem"), directory.join("wrong.pem"));
    std::fs::write(&right, ca).unwrap();
    std::fs::write(&wrong, certificate("another CA").0).unwrap();
    let open = async |host: &str, more: &str| {
        let url = format!("postgres://tidegate@{host}:{}/postgres?sslmode=verify-full{more}", server.port());
        Store::open(&url.parse().unwrap(), &gate("gate1")).await
    };
    let by = |ca: &std::path::Path| format!("&sslrootcert={}", ca.display());
    let store = open("localhost", &by(&right)).await.unwrap();
    let ask = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let ask = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, ask);
    let answer = store.writer.query_one_raw(ask).await.unwrap().unwrap();
    assert_eq!(answer.try_get::<String>("", "version").unwrap(), "TLSv1.3");
    store.close().await.unwrap();
    let unknown =
        "its certificate is signed by no CA that the gate was told of; name the file of the right one";
    for (host, more, why) in [
        ("localhost", by(&wrong), unknown),
        ("localhost", String::new(), unknown),
        ("127.0.0.1", by(&right), "its certificate is for another name than 127.0.0.1"),
    ] {
        let error = open(host, &more).await.unwrap_err().to_string();
        assert!(error.contains("cannot be opened: ") && error.contains(why), "{host} {more}: {error}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_away_after_a_bound() {
    let most = Duration::from_secs(10);
    let error = within::<()>(most, "waited", std::future::pending()).await.unwrap_err();
    assert!(matches!(error, StoreError::Away { .. }), "{error}");
    assert!(error.to_string().contains("it did not answer within 10 s"), "{error}");
}

on_both! {
    a_store_that_a_newer_version_has_used_is_refused_and_left_alone,
}
