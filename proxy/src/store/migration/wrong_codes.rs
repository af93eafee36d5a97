//! Wrong codes of links.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer, string};

use super::table;

/// How many each user typed from each source.
pub(super) struct WrongCodes;

impl MigrationName for WrongCodes {
    fn name(&self) -> &'static str {
        "m0020_wrong_codes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for WrongCodes {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let wrong = table("wrong_code")
            .col(string("user_name"))
            .col(string("source"))
            .col(integer("wrong"))
            .col(big_integer("since"))
            .primary_key(Index::create().col("user_name").col("source"))
            .to_owned();
        manager.create_table(wrong).await
    }
}
