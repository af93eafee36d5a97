//! When each gate was heard of last, and whose session another gate was asked to end.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, string_null};

/// What gates that share a store know of each other.
pub(super) struct Heard;

impl MigrationName for Heard {
    fn name(&self) -> &'static str {
        "m0016_heard"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Heard {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let heard = Table::alter().table("gate").add_column(big_integer_null("heard_millis")).to_owned();
        manager.alter_table(heard).await?;
        let end = Table::alter().table("session").add_column(string_null("end_by")).to_owned();
        manager.alter_table(end).await?;
        let known = "INSERT INTO revision (what, number) VALUES ('sessions', 0)";
        manager.get_connection().execute_unprepared(known).await.map(drop)
    }
}
