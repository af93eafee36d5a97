//! Requests for several credentials and for so many sessions.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string};

use super::table;

/// Which credentials a request is for, and how many sessions were begun on it; those of before
/// are for the one that stands in their row.
pub(super) struct Targets;

impl MigrationName for Targets {
    fn name(&self) -> &'static str {
        "m0011_request_targets"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Targets {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let target = table("request_target")
            .col(big_integer("request_id"))
            .col(string("target"))
            .primary_key(Index::create().col("request_id").col("target"))
            .to_owned();
        manager.create_table(target).await?;
        let by_target =
            Index::create().name("request_target_name").table("request_target").col("target").to_owned();
        manager.create_index(by_target).await?;
        let of_request =
            Index::create().name("session_request").table("session").col("request_id").to_owned();
        manager.create_index(of_request).await?;
        let used = Table::alter().table("request").add_column(big_integer("used").default(0)).to_owned();
        manager.alter_table(used).await?;
        let change = manager.get_connection();
        let known = "INSERT INTO request_target (request_id, target) SELECT id, target FROM request";
        change.execute_unprepared(known).await?;
        let begun = "UPDATE request SET used = \
                     (SELECT count(*) FROM session WHERE session.request_id = request.id)";
        change.execute_unprepared(begun).await.map(drop)
    }
}
