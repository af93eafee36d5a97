//! Remote accesses of users who come from outside.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, integer, string, text};

use super::table;

/// A table of them, and one of the codes that lead to them.
pub(super) struct RemoteAccesses;

impl MigrationName for RemoteAccesses {
    fn name(&self) -> &'static str {
        "m0013_remote_accesses"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for RemoteAccesses {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let access = table("remote_access")
            .col(big_integer("id").primary_key())
            .col(big_integer_null("batch"))
            .col(string("user_name"))
            .col(string("group_name"))
            .col(string("state"))
            .col(big_integer("starts"))
            .col(big_integer("ends"))
            .col(big_integer("created"))
            .col(integer("used"))
            .col(big_integer("written"))
            .col(text("document"))
            .to_owned();
        manager.create_table(access).await?;
        let code = table("entry_code")
            .col(string("hash").primary_key())
            .col(big_integer("access"))
            .col(string("user_name"))
            .col(big_integer("created"))
            .col(big_integer("expires"))
            .col(big_integer_null("used"))
            .to_owned();
        manager.create_table(code).await?;
        for column in ["user_name", "written"] {
            let name = format!("remote_access_{column}");
            let index = Index::create().name(name).table("remote_access").col(column).to_owned();
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
