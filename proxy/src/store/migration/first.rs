//! The tables of the first release.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, integer, pk_auto, string, string_null, text,
};

use super::table;

pub(super) struct First;

impl MigrationName for First {
    fn name(&self) -> &'static str {
        "m0001_first"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for First {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let audit = table("audit")
            .col(big_integer("seq").primary_key())
            .col(big_integer("at_millis"))
            .col(text("body"))
            .col(ColumnDef::new("link").binary().not_null())
            .to_owned();
        // The id grows, so that it orders resources by age.
        let resource = table("resource")
            .col(pk_auto("id"))
            .col(string("kind"))
            .col(string("name"))
            .col(text("document"))
            .to_owned();
        let request = table("request")
            .col(big_integer("id").primary_key())
            .col(string("user_name"))
            .col(string("target"))
            .col(string("group_name"))
            .col(string("state"))
            .col(big_integer("created"))
            .col(text("document"))
            .to_owned();
        // The key lets a person have one vote in a request, whatever the code above does.
        let vote = table("vote")
            .col(big_integer("request_id"))
            .col(string("voter"))
            .col(integer("place"))
            .col(text("document"))
            .primary_key(Index::create().col("request_id").col("voter"))
            .foreign_key(ForeignKey::create().from("vote", "request_id").to("request", "id"))
            .to_owned();
        let session = table("session")
            .col(string("id").primary_key())
            .col(string("user_name"))
            .col(string("target"))
            .col(string("group_name"))
            .col(big_integer_null("request_id"))
            .col(boolean("emergency"))
            .col(string("origin"))
            .col(big_integer("started"))
            .col(big_integer_null("ended"))
            .col(string_null("outcome"))
            .foreign_key(ForeignKey::create().from("session", "request_id").to("request", "id"))
            .to_owned();
        let agent = table("agent")
            .col(string("device").primary_key())
            .col(string("certificate"))
            .col(big_integer("certified"))
            .col(big_integer_null("seen"))
            .col(string_null("version"))
            .col(boolean("revoked"))
            .to_owned();
        let token = table("agent_token")
            .col(string("hash").primary_key())
            .col(string("device"))
            .col(big_integer("created"))
            .col(big_integer("expires"))
            .col(big_integer_null("used"))
            .to_owned();
        let host_key = table("host_key")
            .col(string("device"))
            .col(integer("place"))
            .col(text("line"))
            .primary_key(Index::create().col("device").col("place"))
            .to_owned();
        for table in [audit, resource, request, vote, session, agent, token, host_key] {
            manager.create_table(table).await?;
        }
        let indexes = [
            Index::create()
                .name("resource_name")
                .table("resource")
                .col("kind")
                .col("name")
                .unique()
                .to_owned(),
            Index::create().name("request_user").table("request").col("user_name").col("target").to_owned(),
            Index::create().name("request_group").table("request").col("group_name").to_owned(),
            Index::create().name("request_state").table("request").col("state").to_owned(),
            Index::create().name("session_started").table("session").col("started").to_owned(),
            Index::create().name("token_device").table("agent_token").col("device").to_owned(),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
