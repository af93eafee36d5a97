//! Secrets of credentials.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, blob, string};

use super::table;

/// Sealed secrets, and the master keys that they are under.
pub(super) struct Secrets;

impl MigrationName for Secrets {
    fn name(&self) -> &'static str {
        "m0018_secrets"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Secrets {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let secret = table("secret")
            .col(string("credential").primary_key())
            .col(string("kind"))
            .col(big_integer("set_at"))
            .col(string("set_by"))
            .col(big_integer("version"))
            .col(string("master_key"))
            .col(blob("data_key"))
            .col(blob("sealed"))
            .to_owned();
        manager.create_table(secret).await
    }
}
