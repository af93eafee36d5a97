//! Several gates on one store: whose session and whose chain of records it is.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer, pk_auto, string, string_null, text};

use super::table;

/// Several gates on one store: whose each session and each audit record is, which session a
/// record names, and how often what all gates must know of has changed.
pub(super) struct Gates;

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
