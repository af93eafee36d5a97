//! What gates hold that count sessions at once.

use sea_orm_migration::prelude::*;

/// The row that is held, and where live sessions are found.
pub(super) struct AtOnce;

impl MigrationName for AtOnce {
    fn name(&self) -> &'static str {
        "m0014_sessions_at_once"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for AtOnce {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let held = "INSERT INTO revision (what, number) VALUES ('sessions at once', 0)";
        manager.get_connection().execute_unprepared(held).await?;
        let index =
            Index::create().name("session_ended").table("session").col("ended").col("target").to_owned();
        manager.create_index(index).await
    }
}
