//! What came with the devices' reports: transfers, an agent's key, what was left behind, the fleet.

use sea_orm::{EntityTrait as _, QueryOrder as _};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, boolean, integer, string, string_null, text,
};

use super::super::host_keys::{self, owned, vouched};
use super::table;

pub(super) struct Transfers;

impl MigrationName for Transfers {
    fn name(&self) -> &'static str {
        "m0002_transfers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Transfers {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The id grows, so that it orders a session's transfers.
        let transfer = table("transfer")
            .col(big_pk_auto("id"))
            .col(string("session_id"))
            .col(big_integer("at_millis"))
            .col(text("document"))
            .to_owned();
        manager.create_table(transfer).await?;
        let by_session =
            Index::create().name("transfer_session").table("transfer").col("session_id").to_owned();
        manager.create_index(by_session).await
    }
}

/// The key that an agent enrolled with; none for those that enrolled before this step.
pub(super) struct AgentKey;

impl MigrationName for AgentKey {
    fn name(&self) -> &'static str {
        "m0003_agent_key"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for AgentKey {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let agent = Table::alter().table("agent").add_column(string_null("public_key")).to_owned();
        manager.alter_table(agent).await
    }
}

/// What sessions left behind on their hosts.
pub(super) struct LeftBehind;

impl MigrationName for LeftBehind {
    fn name(&self) -> &'static str {
        "m0004_residue"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for LeftBehind {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let residue = table("residue").col(string("session").primary_key()).col(text("document")).to_owned();
        manager.create_table(residue).await
    }
}

/// What agents told of their hosts: what stands, drift, what their witnesses lost.
pub(super) struct Fleet;

impl MigrationName for Fleet {
    fn name(&self) -> &'static str {
        "m0005_fleet"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Fleet {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let standing = table("standing")
            .col(string("device"))
            .col(integer("place"))
            .col(text("document"))
            .primary_key(Index::create().col("device").col("place"))
            .to_owned();
        // The id grows, so that the last of a device is the one that was told last.
        let drift = table("drift")
            .col(big_pk_auto("id"))
            .col(string("device"))
            .col(string("session_id"))
            .col(big_integer("at_millis"))
            .col(text("document"))
            .to_owned();
        for table in [standing, drift] {
            manager.create_table(table).await?;
        }
        for column in ["device", "session_id"] {
            let index = Index::create().name(format!("drift_{column}")).table("drift").col(column).to_owned();
            manager.create_index(index).await?;
        }
        let lost = Table::alter().table("agent").add_column(big_integer("lost").default(0)).to_owned();
        manager.alter_table(lost).await?;
        let lost_at = Table::alter().table("agent").add_column(big_integer_null("lost_at")).to_owned();
        manager.alter_table(lost_at).await
    }
}

/// Whose each host key is, and which devices take certificates for themselves only.
pub(super) struct HostKeyOwner;

impl MigrationName for HostKeyOwner {
    fn name(&self) -> &'static str {
        "m0006_host_key_owner"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for HostKeyOwner {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let owner = table("host_key_owner")
            .col(text("key").primary_key())
            .col(string("device"))
            .col(big_integer("at_millis"))
            .to_owned();
        manager.create_table(owner).await?;
        let of_device =
            Index::create().name("host_key_owner_device").table("host_key_owner").col("device").to_owned();
        manager.create_index(of_device).await?;
        let bound = Table::alter().table("agent").add_column(boolean("bound").default(false)).to_owned();
        manager.alter_table(bound).await?;
        // What is vouched for already is its device's; the first by name has what two vouch for.
        let change = manager.get_connection();
        let rows = vouched::Entity::find().order_by_asc(vouched::Column::Device).all(change).await?;
        for row in rows {
            let key: Vec<&str> = row.line.split_whitespace().take(2).collect();
            let first = OnConflict::column(owned::Column::Key).do_nothing().to_owned();
            let insert = owned::Entity::insert(host_keys::own(key.join(" "), &row.device, 0));
            insert.on_conflict(first).exec_without_returning(change).await?;
        }
        Ok(())
    }
}

/// What agents had to tell beyond their budgets.
pub(super) struct SummedUp;

impl MigrationName for SummedUp {
    fn name(&self) -> &'static str {
        "m0007_agent_summed_up"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for SummedUp {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let count = Table::alter().table("agent").add_column(big_integer("summed").default(0)).to_owned();
        manager.alter_table(count).await?;
        let at = Table::alter().table("agent").add_column(big_integer_null("summed_at")).to_owned();
        manager.alter_table(at).await
    }
}
