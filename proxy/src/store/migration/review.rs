//! Which requests wait for a review.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_null;

/// Which emergencies nobody has looked at; those of before are among them.
pub(super) struct Review;

impl MigrationName for Review {
    fn name(&self) -> &'static str {
        "m0008_review"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Review {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let review = Table::alter().table("request").add_column(string_null("review")).to_owned();
        manager.alter_table(review).await?;
        let index = Index::create().name("request_review").table("request").col("review").to_owned();
        manager.create_index(index).await?;
        // PostgreSQL came later, and has no request of before.
        if manager.get_database_backend() != DbBackend::Sqlite {
            return Ok(());
        }
        let due = "UPDATE request SET review = 'due' \
                   WHERE json_extract(document, '$.claims.emergency') IS NOT NULL";
        manager.get_connection().execute_unprepared(due).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
