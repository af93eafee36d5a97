//! Opening a store, whatever it finds.

use sea_orm::ConnectionTrait as _;

use super::testing::{Temporary, gate, on_both, server};
use super::*;

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

on_both! {
    a_store_that_a_newer_version_has_used_is_refused_and_left_alone,
}
