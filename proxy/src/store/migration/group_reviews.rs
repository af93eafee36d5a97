//! What is known of reviews of groups.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{string, text};

use super::table;

/// When each group's users were confirmed last.
pub(super) struct GroupReviews;

impl MigrationName for GroupReviews {
    fn name(&self) -> &'static str {
        "m0019_group_reviews"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for GroupReviews {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut review = table("group_review");
        review.col(string("group_name").primary_key()).col(text("document"));
        manager.create_table(review).await
    }
}
