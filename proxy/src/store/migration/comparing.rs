//! Which sessions under changes are compared now.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::integer_null;

/// On which gate each session is compared that nobody has a report of yet. Those of before have none.
pub(super) struct Comparing;

impl MigrationName for Comparing {
    fn name(&self) -> &'static str {
        "m0022_comparing"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Comparing {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let gate = Table::alter().table("comparison").add_column(integer_null("compared_on")).to_owned();
        manager.alter_table(gate).await
    }
}
