//! The whole store into another, empty one: from a file into PostgreSQL, and back.

use sea_orm::ActiveModelTrait as _;
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, EntityTrait, IntoActiveModel as _, IsolationLevel,
    PaginatorTrait as _, Statement,
};

use super::{
    Doing as _, GateId, Store, StoreError, StoreUrl, agents, audit, changes, connect, edits, entry_codes,
    fleet, gates, host_keys, outbox, remote_accesses, requests, residue, resources, revisions, rulings,
    secrets, sessions, tokens, transfers, watch, wrong_codes,
};

/// Rows copied at a time.
const PAGE: u64 = 500;

const DOING: &str = "copied";

/// Tables whose rows are numbered by the database.
const NUMBERED: [&str; 5] = ["gate", "resource", "transfer", "drift", "notification"];

/// Copies every row, with every gate kept out of both until it is done; returns the copy and how
/// many rows there are. Of a failure nothing stays.
///
/// # Errors
/// When a gate uses one of them, the target is not empty, or a database fails.
pub async fn copy(from: &StoreUrl, to: &StoreUrl) -> Result<(Store, u64), StoreError> {
    let (source, target) = (unnamed(from).await?, unnamed(to).await?);
    let _files = (source.lock_file()?, target.lock_file()?);
    let begin = async |store: &Store| {
        let change = store.writer.begin().await.doing(DOING)?;
        connect::unbounded(&change).await.doing(DOING)?;
        watch::keep_out(store, &change).await?;
        Ok::<_, StoreError>(change)
    };
    let (held, write) = (begin(&source).await?, begin(&target).await?);
    // One moment of it, when nobody writes any more.
    let isolation = source.is_shared().then_some(IsolationLevel::RepeatableRead);
    let read = source.readers.begin_with(isolation).await.doing(DOING)?;
    connect::unbounded(&read).await.doing(DOING)?;
    let rows = every_table(&read, &write).await?;
    if write.get_database_backend() == DbBackend::Postgres {
        for table in NUMBERED {
            let next = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), \
                 (SELECT coalesce(max(id), 0) + 1 FROM {table}), false)"
            );
            write.query_one_raw(Statement::from_string(DbBackend::Postgres, next)).await.doing(DOING)?;
        }
    }
    write.commit().await.doing(DOING)?;
    read.rollback().await.doing(DOING)?;
    held.rollback().await.doing(DOING)?;
    source.close().await?;
    Ok((target, rows))
}

/// A store that is no gate's.
async fn unnamed(url: &StoreUrl) -> Result<Store, StoreError> {
    let connect::Connections { writer, readers } = connect::open(url).await?;
    Ok(Store { writer, readers, gate: GateId(0), url: url.clone(), apart: Default::default() })
}

/// Copies the rows of one table after the other, in the order of their keys.
macro_rules! tables {
    ($read:expr, $write:expr, $($entity:ty: $key:expr => |$row:ident| $after:expr;)+) => {{
        let mut all = 0u64;
        $({
            is_empty::<$entity>($write).await?;
            let mut after = None;
            loop {
                let mut rows = <$entity>::find().cursor_by($key);
                if let Some(after) = after.take() {
                    rows.after(after);
                }
                let rows = rows.first(PAGE).all($read).await.doing(DOING)?;
                let Some($row) = rows.last() else { break };
                after = Some($after);
                all = all.saturating_add(u64::try_from(rows.len()).unwrap_or_default());
                let rows = rows.into_iter().map(|row| row.into_active_model().reset_all());
                <$entity>::insert_many(rows).exec_without_returning($write).await.doing(DOING)?;
            }
        })+
        all
    }};
}

async fn every_table(read: &DatabaseTransaction, write: &DatabaseTransaction) -> Result<u64, StoreError> {
    // The schema begins with numbers of its own.
    let counted = revisions::Entity::find().all(write).await.doing(DOING)?;
    if counted.iter().any(|row| row.number != 0) {
        return Err(StoreError::NotEmpty { table: "revision".to_owned() });
    }
    revisions::Entity::delete_many().exec(write).await.doing(DOING)?;
    let rows = tables! { read, write,
        gates::Entity: gates::Column::Id => |row| row.id;
        audit::Entity: (audit::Column::Gate, audit::Column::Seq) => |row| (row.gate, row.seq);
        resources::Entity: resources::Column::Id => |row| row.id;
        edits::Entity: (edits::Column::Kind, edits::Column::Name) => |row| (row.kind.clone(), row.name.clone());
        requests::Entity: requests::Column::Id => |row| row.id;
        requests::vote::Entity: (requests::vote::Column::RequestId, requests::vote::Column::Voter)
            => |row| (row.request_id, row.voter.clone());
        requests::target::Entity: (requests::target::Column::RequestId, requests::target::Column::Target)
            => |row| (row.request_id, row.target.clone());
        entry_codes::Entity: entry_codes::Column::Hash => |row| row.hash.clone();
        wrong_codes::Entity: (wrong_codes::Column::UserName, wrong_codes::Column::Source)
            => |row| (row.user_name.clone(), row.source.clone());
        remote_accesses::Entity: remote_accesses::Column::Id => |row| row.id;
        sessions::Entity: sessions::Column::Id => |row| row.id.clone();
        changes::Entity: changes::Column::Id => |row| row.id.clone();
        changes::comparisons::Entity: changes::comparisons::Column::Session => |row| row.session.clone();
        agents::Entity: agents::Column::Device => |row| row.device.clone();
        tokens::Entity: tokens::Column::Hash => |row| row.hash.clone();
        host_keys::vouched::Entity: (host_keys::vouched::Column::Device, host_keys::vouched::Column::Place)
            => |row| (row.device.clone(), row.place);
        host_keys::owned::Entity: host_keys::owned::Column::Key => |row| row.key.clone();
        transfers::Entity: transfers::Column::Id => |row| row.id;
        residue::Entity: residue::Column::Session => |row| row.session.clone();
        fleet::standing::Entity: (fleet::standing::Column::Device, fleet::standing::Column::Place)
            => |row| (row.device.clone(), row.place);
        fleet::drift::Entity: fleet::drift::Column::Id => |row| row.id;
        outbox::Entity: outbox::Column::Id => |row| row.id;
        secrets::Entity: secrets::Column::Credential => |row| row.credential.clone();
        rulings::review::Entity: rulings::review::Column::GroupName => |row| row.group_name.clone();
        rulings::panic::Entity: rulings::panic::Column::Scope => |row| row.scope.clone();
        revisions::Entity: revisions::Column::What => |row| row.what.clone();
    };
    Ok(rows)
}

async fn is_empty<E>(write: &DatabaseTransaction) -> Result<(), StoreError>
where
    E: EntityTrait<Model: Send + Sync>,
{
    match E::find().count(write).await.doing(DOING)? {
        0 => Ok(()),
        _ => Err(StoreError::NotEmpty { table: E::default().table_name().to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Pool;
    use crate::store::testing::{Temporary, gate, server};

    /// Every row of every table, as text.
    async fn dump(database: &Pool) -> Vec<String> {
        let ask = |sql: String| database.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql));
        let tables =
            ask("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND \
             name <> 'seaql_migrations' ORDER BY name"
                .to_owned());
        let mut all = Vec::new();
        for table in tables.await.unwrap() {
            let table: String = table.try_get("", "name").unwrap();
            let columns = ask(format!("SELECT name FROM pragma_table_info('{table}')")).await.unwrap();
            let columns: Vec<String> = columns
                .iter()
                .map(|row| format!("quote({})", row.try_get::<String>("", "name").unwrap()))
                .collect();
            let rows =
                ask(format!("SELECT {} AS row FROM {table} ORDER BY row", columns.join(" || ',' || ")));
            let rows = rows.await.unwrap();
            all.push(format!("{table}: {} rows", rows.len()));
            all.extend(rows.iter().map(|row| row.try_get::<String>("", "row").unwrap()));
        }
        all
    }

    /// Some rows in every table.
    const ROWS: &str = "
        INSERT INTO audit (gate, seq, at_millis, body, link) VALUES (1, 1, 5, '{\"ä\":\"''\"}', x'00ff');
        INSERT INTO resource (kind, name, document) VALUES ('user', 'a', '{}'), ('user', 'b', '{}');
        DELETE FROM resource WHERE name = 'a';
        INSERT INTO resource_edit VALUES ('user', 'a', 2, 5, 'root', 1), ('user', 'b', 1, 4, 'root', 0);
        INSERT INTO request (id, user_name, target, group_name, state, created, document, review)
            VALUES (7, 'a', 'b@c', 'd', 'pending', 1, '{}', NULL);
        INSERT INTO request_target VALUES (7, 'b@c');
        INSERT INTO vote VALUES (7, 'z', 0, '{}'), (7, 'y', 1, '{}');
        INSERT INTO session VALUES ('01', 'a', 'b@c', 'd', 7, 1, '::1', 5, NULL, NULL, 1, NULL);
        INSERT INTO agent (device, certificate, certified, revoked) VALUES ('c', 'x', 1, 0);
        INSERT INTO agent_token VALUES ('h', 'c', 1, 2, NULL);
        INSERT INTO host_key VALUES ('c', 0, 'k'), ('c', 1, 'l');
        INSERT INTO host_key_owner VALUES ('k', 'c', 3);
        INSERT INTO transfer (session_id, at_millis, document) VALUES ('01', 3, '{}');
        INSERT INTO residue VALUES ('01', '{}');
        INSERT INTO standing VALUES ('c', 0, '{}');
        INSERT INTO drift (device, session_id, at_millis, document) VALUES ('c', '01', 3, '{}');
        INSERT INTO notification (kind, user_name, channel, body, state, attempts, next_try, created, expires)
            VALUES ('test', 'a', 'mail', '{}', 'waiting', 0, 3, 3, 9);
        INSERT INTO panic VALUES ('s', '{}');
        INSERT INTO group_review VALUES ('d', '{}');
        INSERT INTO secret VALUES ('b@c', 'password', 3, 'a', 1, 'k', x'0001', x'fe00');
        INSERT INTO remote_access VALUES (3, NULL, 'a', 'g', 'active', 1, 9, 1, 0, 4, '{}');
        INSERT INTO entry_code VALUES ('h', 3, 'a', 1, 2, NULL);
        INSERT INTO wrong_code VALUES ('a', '::1', 2, 3);
        INSERT INTO planned_change VALUES ('CHG-1', 'd', 'approved', 5, 3, '{}', 2);
        INSERT INTO comparison VALUES ('01', 'CHG-1', '{}', 1);
        UPDATE revision SET number = 9 WHERE what = 'requests';
    ";

    #[tokio::test]
    async fn every_row_of_every_table_goes_to_postgresql_and_comes_back_as_it_was() {
        let (first, last) = (Temporary::new().await, Temporary::new().await);
        first.store.writer.execute_unprepared(ROWS).await.unwrap();
        for number in 0..2 * PAGE {
            let row =
                format!("INSERT INTO transfer (session_id, at_millis, document) VALUES ('02', {number}, '')");
            first.store.writer.execute_unprepared(&row).await.unwrap();
        }
        let before = dump(&first.store.writer).await;
        assert!(before.iter().all(|line| !line.ends_with(": 0 rows")), "{before:?}");
        let between = server().database().unwrap().parse().unwrap();
        let (copied, rows) = copy(&first.url(), &between).await.unwrap();
        assert!(rows > 2 * PAGE);
        // What is numbered goes on behind what is there.
        let next = "INSERT INTO transfer (session_id, at_millis, document) VALUES ('03', 1, '')";
        copied.writer.execute_unprepared(next).await.unwrap();
        copied.writer.execute_unprepared("DELETE FROM transfer WHERE session_id = '03'").await.unwrap();
        copied.close().await.unwrap();

        let fresh = StoreUrl::Sqlite(last.directory().join("fresh.db"));
        let (back, again) = copy(&between, &fresh).await.unwrap();
        assert_eq!(again, rows);
        assert_eq!(dump(&back.writer).await, before);
        back.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_target_that_is_not_empty_or_in_use_is_refused_and_left_as_it_is() {
        let (first, second) = (Temporary::new().await, Temporary::new().await);
        let before = dump(&second.store.writer).await;
        let refused = copy(&first.url(), &second.url()).await.err().unwrap().to_string();
        assert!(refused.contains("is not empty: its table `gate` has rows"), "{refused}");
        assert_eq!(dump(&second.store.writer).await, before);
        let url = server().database().unwrap().parse().unwrap();
        let used = Store::open(&url, &gate("gate1")).await.unwrap();
        let held = used.watch().await.unwrap();
        let refused =
            copy(&url, &StoreUrl::Sqlite(first.directory().join("to.db"))).await.err().unwrap().to_string();
        assert!(refused.contains("gate `gate1` uses"), "{refused}");
        drop(held);
    }

    #[tokio::test]
    async fn no_gate_begins_on_a_store_while_it_is_copied() {
        let url = server().database().unwrap().parse().unwrap();
        let (used, other) = (Store::open(&url, &gate("gate1")).await.unwrap(), unnamed(&url).await.unwrap());
        let copying = other.writer.begin().await.unwrap();
        watch::keep_out(&other, &copying).await.unwrap();
        let mut late = used.listening().await.unwrap();
        assert_eq!(late.listen().await.unwrap(), watch::Name::Copied);
        let refused = used.watch().await.err().unwrap().to_string();
        assert!(refused.contains("another process uses") && refused.contains("or a copy"), "{refused}");
        copying.rollback().await.unwrap();
        assert!(used.watch().await.is_ok());

        let (file, to) = (Temporary::new().await, Temporary::new().await);
        let fresh = StoreUrl::Sqlite(to.directory().join("fresh.db"));
        let running = file.store.watch().await.unwrap();
        for refused in [copy(&file.url(), &fresh).await.err(), file.store.watch().await.err()] {
            let refused = refused.unwrap().to_string();
            assert!(refused.contains("another process uses sqlite:"), "{refused}");
        }
        drop(running);
        copy(&file.url(), &fresh).await.unwrap();
    }
}
