//! Planned changes, and what came of the sessions under them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string, text};

use super::table;

pub(super) struct Changes;

impl MigrationName for Changes {
    fn name(&self) -> &'static str {
        "m0017_changes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Changes {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let change = table("planned_change")
            .col(string("id").primary_key())
            .col(string("group_name"))
            .col(string("state"))
            .col(big_integer("due"))
            .col(big_integer("created"))
            .col(text("document"))
            .col(big_integer("revision").default(0))
            .to_owned();
        manager.create_table(change).await?;
        let index = Index::create()
            .name("planned_change_open")
            .table("planned_change")
            .col("state")
            .col("due")
            .to_owned();
        manager.create_index(index).await?;
        let comparison = table("comparison")
            .col(string("session").primary_key())
            .col(string("change_id"))
            .col(text("document"))
            .to_owned();
        manager.create_table(comparison).await?;
        let index = Index::create().name("comparison_change").table("comparison").col("change_id").to_owned();
        manager.create_index(index).await
    }
}
