//! What people are to be told.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, integer, string, string_null, text, text_null,
};

use super::table;

/// The outbox.
pub(super) struct Notifications;

impl MigrationName for Notifications {
    fn name(&self) -> &'static str {
        "m0010_notifications"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Notifications {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let notification = table("notification")
            .col(big_pk_auto("id"))
            .col(string("kind"))
            .col(string_null("user_name"))
            .col(string_null("address"))
            .col(string("channel"))
            .col(text("body"))
            .col(string_null("secret"))
            .col(string("state"))
            .col(integer("attempts"))
            .col(big_integer("next_try"))
            .col(big_integer_null("claim"))
            .col(big_integer("created"))
            .col(big_integer("expires"))
            .col(big_integer_null("settled"))
            .col(text_null("reason"))
            .to_owned();
        manager.create_table(notification).await?;
        let of = |name: &str| {
            Index::create().name(format!("notification_{name}")).table("notification").to_owned()
        };
        for index in [
            of("due").col("state").col("channel").col("next_try").to_owned(),
            of("recipient").col("user_name").col("state").to_owned(),
            of("address").col("address").col("state").to_owned(),
            of("settled").col("settled").to_owned(),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
