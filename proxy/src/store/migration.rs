//! The schema, one step after the other; a step that was released is never changed.

use sea_orm::{DbBackend, EntityTrait as _, QueryOrder as _};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, boolean, integer, pk_auto, string, string_null, text,
};

use super::host_keys::{self, owned, vouched};

/// Every step, in order.
pub(super) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(First),
            Box::new(Transfers),
            Box::new(AgentKey),
            Box::new(LeftBehind),
            Box::new(Fleet),
            Box::new(HostKeyOwner),
            Box::new(SummedUp),
            Box::new(Review),
            Box::new(Gates),
        ]
    }
}

struct First;

impl MigrationName for First {
    fn name(&self) -> &'static str {
        "m0001_first"
    }
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for First {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let audit = table("audit")
            .col(big_integer("seq").primary_key())
            .col(big_integer("at_millis"))
            .col(text("body"))
            .col(ColumnDef::new("link").binary().not_null())
            .to_owned();
        // The id grows, so that it orders resources by age.
        let resource = table("resource")
            .col(pk_auto("id"))
            .col(string("kind"))
            .col(string("name"))
            .col(text("document"))
            .to_owned();
        let request = table("request")
            .col(big_integer("id").primary_key())
            .col(string("user_name"))
            .col(string("target"))
            .col(string("group_name"))
            .col(string("state"))
            .col(big_integer("created"))
            .col(text("document"))
            .to_owned();
        // The key lets a person have one vote in a request, whatever the code above does.
        let vote = table("vote")
            .col(big_integer("request_id"))
            .col(string("voter"))
            .col(integer("place"))
            .col(text("document"))
            .primary_key(Index::create().col("request_id").col("voter"))
            .foreign_key(ForeignKey::create().from("vote", "request_id").to("request", "id"))
            .to_owned();
        let session = table("session")
            .col(string("id").primary_key())
            .col(string("user_name"))
            .col(string("target"))
            .col(string("group_name"))
            .col(big_integer_null("request_id"))
            .col(boolean("emergency"))
            .col(string("origin"))
            .col(big_integer("started"))
            .col(big_integer_null("ended"))
            .col(string_null("outcome"))
            .foreign_key(ForeignKey::create().from("session", "request_id").to("request", "id"))
            .to_owned();
        let agent = table("agent")
            .col(string("device").primary_key())
            .col(string("certificate"))
            .col(big_integer("certified"))
            .col(big_integer_null("seen"))
            .col(string_null("version"))
            .col(boolean("revoked"))
            .to_owned();
        let token = table("agent_token")
            .col(string("hash").primary_key())
            .col(string("device"))
            .col(big_integer("created"))
            .col(big_integer("expires"))
            .col(big_integer_null("used"))
            .to_owned();
        let host_key = table("host_key")
            .col(string("device"))
            .col(integer("place"))
            .col(text("line"))
            .primary_key(Index::create().col("device").col("place"))
            .to_owned();
        for table in [audit, resource, request, vote, session, agent, token, host_key] {
            manager.create_table(table).await?;
        }
        let indexes = [
            Index::create()
                .name("resource_name")
                .table("resource")
                .col("kind")
                .col("name")
                .unique()
                .to_owned(),
            Index::create().name("request_user").table("request").col("user_name").col("target").to_owned(),
            Index::create().name("request_group").table("request").col("group_name").to_owned(),
            Index::create().name("request_state").table("request").col("state").to_owned(),
            Index::create().name("session_started").table("session").col("started").to_owned(),
            Index::create().name("token_device").table("agent_token").col("device").to_owned(),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

struct Transfers;

impl MigrationName for Transfers {
    fn name(&self) -> &'static str {
        "m0002_transfers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Transfers {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The id grows, so that it orders a session's transfers.
        let transfer = table("transfer")
            .col(big_pk_auto("id"))
            .col(string("session_id"))
            .col(big_integer("at_millis"))
            .col(text("document"))
            .to_owned();
        manager.create_table(transfer).await?;
        let by_session =
            Index::create().name("transfer_session").table("transfer").col("session_id").to_owned();
        manager.create_index(by_session).await
    }
}

/// The key that an agent enrolled with; none for those that enrolled before this step.
struct AgentKey;

impl MigrationName for AgentKey {
    fn name(&self) -> &'static str {
        "m0003_agent_key"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for AgentKey {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let agent = Table::alter().table("agent").add_column(string_null("public_key")).to_owned();
        manager.alter_table(agent).await
    }
}

/// What sessions left behind on their hosts.
struct LeftBehind;

impl MigrationName for LeftBehind {
    fn name(&self) -> &'static str {
        "m0004_residue"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for LeftBehind {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let residue = table("residue").col(string("session").primary_key()).col(text("document")).to_owned();
        manager.create_table(residue).await
    }
}

/// What agents told of their hosts: what stands, drift, what their witnesses lost.
struct Fleet;

impl MigrationName for Fleet {
    fn name(&self) -> &'static str {
        "m0005_fleet"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Fleet {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let standing = table("standing")
            .col(string("device"))
            .col(integer("place"))
            .col(text("document"))
            .primary_key(Index::create().col("device").col("place"))
            .to_owned();
        // The id grows, so that the last of a device is the one that was told last.
        let drift = table("drift")
            .col(big_pk_auto("id"))
            .col(string("device"))
            .col(string("session_id"))
            .col(big_integer("at_millis"))
            .col(text("document"))
            .to_owned();
        for table in [standing, drift] {
            manager.create_table(table).await?;
        }
        for column in ["device", "session_id"] {
            let index = Index::create().name(format!("drift_{column}")).table("drift").col(column).to_owned();
            manager.create_index(index).await?;
        }
        let lost = Table::alter().table("agent").add_column(big_integer("lost").default(0)).to_owned();
        manager.alter_table(lost).await?;
        let lost_at = Table::alter().table("agent").add_column(big_integer_null("lost_at")).to_owned();
        manager.alter_table(lost_at).await
    }
}

/// Whose each host key is, and which devices take certificates for themselves only.
struct HostKeyOwner;

impl MigrationName for HostKeyOwner {
    fn name(&self) -> &'static str {
        "m0006_host_key_owner"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for HostKeyOwner {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let owner = table("host_key_owner")
            .col(text("key").primary_key())
            .col(string("device"))
            .col(big_integer("at_millis"))
            .to_owned();
        manager.create_table(owner).await?;
        let of_device =
            Index::create().name("host_key_owner_device").table("host_key_owner").col("device").to_owned();
        manager.create_index(of_device).await?;
        let bound = Table::alter().table("agent").add_column(boolean("bound").default(false)).to_owned();
        manager.alter_table(bound).await?;
        // What is vouched for already is its device's; the first by name has what two vouch for.
        let change = manager.get_connection();
        let rows = vouched::Entity::find().order_by_asc(vouched::Column::Device).all(change).await?;
        for row in rows {
            let key: Vec<&str> = row.line.split_whitespace().take(2).collect();
            let first = OnConflict::column(owned::Column::Key).do_nothing().to_owned();
            let insert = owned::Entity::insert(host_keys::own(key.join(" "), &row.device, 0));
            insert.on_conflict(first).exec_without_returning(change).await?;
        }
        Ok(())
    }
}

/// What agents had to tell beyond their budgets.
struct SummedUp;

impl MigrationName for SummedUp {
    fn name(&self) -> &'static str {
        "m0007_agent_summed_up"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for SummedUp {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let count = Table::alter().table("agent").add_column(big_integer("summed").default(0)).to_owned();
        manager.alter_table(count).await?;
        let at = Table::alter().table("agent").add_column(big_integer_null("summed_at")).to_owned();
        manager.alter_table(at).await
    }
}

/// Which emergencies nobody has looked at; those of before are among them.
struct Review;

impl MigrationName for Review {
    fn name(&self) -> &'static str {
        "m0008_review"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Review {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let review = Table::alter().table("request").add_column(string_null("review")).to_owned();
        manager.alter_table(review).await?;
        let index = Index::create().name("request_review").table("request").col("review").to_owned();
        manager.create_index(index).await?;
        // PostgreSQL came later, and has no request of before.
        if manager.get_database_backend() != DbBackend::Sqlite {
            return Ok(());
        }
        let due = "UPDATE request SET review = 'due' \
                   WHERE json_extract(document, '$.claims.emergency') IS NOT NULL";
        manager.get_connection().execute_unprepared(due).await.map(drop)
    }
}

/// Several gates on one store: whose each session and each audit record is, which session a
/// record names, and how often what all gates must know of has changed.
struct Gates;

impl MigrationName for Gates {
    fn name(&self) -> &'static str {
        "m0009_gates"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Gates {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let change = manager.get_connection();
        let gate = table("gate").col(pk_auto("id")).col(string("name").unique_key()).to_owned();
        manager.create_table(gate).await?;
        // What is there is the gate's that opens the store next, and gives it its name.
        let before = "INSERT INTO gate (name) SELECT '' WHERE EXISTS (SELECT 1 FROM audit) \
                      OR EXISTS (SELECT 1 FROM session)";
        change.execute_unprepared(before).await?;
        let own = Table::alter().table("session").add_column(integer("gate").default(1)).to_owned();
        manager.alter_table(own).await?;
        by_gate(manager).await?;

        let read = Table::alter().table("request").add_column(big_integer("revision").default(0)).to_owned();
        manager.alter_table(read).await?;
        let revision =
            table("revision").col(string("what").primary_key()).col(big_integer("number")).to_owned();
        manager.create_table(revision).await?;
        let known = "INSERT INTO revision (what, number) VALUES ('resources', 0), ('requests', 0)";
        change.execute_unprepared(known).await.map(drop)
    }
}

/// Each gate has a chain of audit records of its own: their key is the gate and the place.
async fn by_gate(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let change = manager.get_connection();
    let audit = table("audit_by_gate")
        .col(integer("gate"))
        .col(big_integer("seq"))
        .col(big_integer("at_millis"))
        .col(text("body"))
        .col(ColumnDef::new("link").binary().not_null())
        .col(string_null("session"))
        .primary_key(Index::create().col("gate").col("seq"))
        .foreign_key(ForeignKey::create().from("audit_by_gate", "gate").to("gate", "id"))
        .to_owned();
    manager.create_table(audit).await?;
    // PostgreSQL came later, and has no records of before.
    let session = match manager.get_database_backend() {
        DbBackend::Sqlite => "CASE WHEN json_valid(body) THEN json_extract(body, '$.event.session') END",
        _ => "NULL",
    };
    let copy = format!(
        "INSERT INTO audit_by_gate (gate, seq, at_millis, body, link, session) \
         SELECT 1, seq, at_millis, body, link, {session} FROM audit"
    );
    change.execute_unprepared(&copy).await?;
    manager.drop_table(Table::drop().table("audit").to_owned()).await?;
    manager.rename_table(Table::rename().table("audit_by_gate", "audit").to_owned()).await?;
    for column in ["session", "at_millis"] {
        let index = Index::create().name(format!("audit_{column}")).table("audit").col(column).to_owned();
        manager.create_index(index).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Temporary, gate};
    use crate::store::{RequestFilter, Store, connect};

    #[tokio::test]
    async fn an_emergency_of_before_there_were_reviews_waits_for_one() {
        let temporary = Temporary::new().await;
        let path = temporary.directory().join("old.db");
        let url = crate::store::StoreUrl::Sqlite(path.clone());
        connect::make(&path).unwrap();
        let old = connect::connect(&url, 1).await.unwrap();
        let before = Migrator::migrations().iter().position(|step| step.name() == "m0008_review").unwrap();
        Migrator::up(&old, Some(before.try_into().unwrap())).await.unwrap();
        for (id, claims) in [(1, r#"{"justification":"\"emergency\":1"}"#), (2, r#"{"emergency":"fire"}"#)] {
            let document = format!(
                r#"{{"id":{id},"user":"operator","target":"ops@db01","action":"session","claims":{claims},
                "group":"dba","wish":{{}},"created":"2026-01-01T00:00:00Z","expires":"2026-01-02T00:00:00Z",
                "origin":null,"state":{{"state":"expired","at":"2026-01-02T00:00:00Z"}},"votes":[]}}"#
            );
            let row = format!(
                "INSERT INTO request (id, user_name, target, group_name, state, created, document) \
                 VALUES ({id}, 'operator', 'ops@db01', 'dba', 'expired', 0, '{document}')"
            );
            old.execute_unprepared(&row).await.unwrap();
        }
        old.close().await.unwrap();
        let store = Store::open(&url, &gate("gate1")).await;
        let due = RequestFilter { to_review: true, ..RequestFilter::default() };
        let due = store.unwrap().requests(&due).await.unwrap();
        assert_eq!(due.iter().map(|request| request.id.0).collect::<Vec<_>>(), [2]);
        assert!(due[0].wants_review());
    }
}
