//! Who edited resources.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, string};

use super::table;

/// Who wrote or deleted each resource last, and at which revision.
pub(super) struct Edits;

impl MigrationName for Edits {
    fn name(&self) -> &'static str {
        "m0021_resource_edits"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Edits {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let edit = table("resource_edit")
            .col(string("kind"))
            .col(string("name"))
            .col(big_integer("revision"))
            .col(big_integer("at_millis"))
            .col(string("editor"))
            .col(boolean("deleted"))
            .primary_key(Index::create().col("kind").col("name"))
            .to_owned();
        manager.create_table(edit).await
    }
}
