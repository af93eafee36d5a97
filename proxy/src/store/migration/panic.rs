//! What is stopped.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{string, text};

use super::table;

/// Panics that stand, and the number of all that is ruled beside resources.
pub(super) struct Panics;

impl MigrationName for Panics {
    fn name(&self) -> &'static str {
        "m0012_panics"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Panics {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let panic = table("panic").col(string("scope").primary_key()).col(text("document")).to_owned();
        manager.create_table(panic).await?;
        let known = "INSERT INTO revision (what, number) VALUES ('rulings', 0)";
        manager.get_connection().execute_unprepared(known).await.map(drop)
    }
}
