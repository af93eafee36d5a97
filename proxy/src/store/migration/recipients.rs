//! What waits for one recipient is counted at once, also behind ten thousand others.

use sea_orm_migration::prelude::*;

/// Indexes that have all that is counted by.
pub(super) struct Recipients;

impl MigrationName for Recipients {
    fn name(&self) -> &'static str {
        "m0015_notification_recipients"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Recipients {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, column) in [("notification_recipient", "user_name"), ("notification_address", "address")] {
            manager.drop_index(Index::drop().name(name).table("notification").to_owned()).await?;
            let whole = Index::create()
                .name(name)
                .table("notification")
                .col(column)
                .col("state")
                .col("channel")
                .col("kind")
                .to_owned();
            manager.create_index(whole).await?;
        }
        Ok(())
    }
}
