//! The schema, one step after the other; a step that was released is never changed.

mod at_once;
mod changes;
mod comparing;
mod devices;
mod edits;
mod first;
mod gates;
mod group_reviews;
mod heard;
mod notifications;
mod panic;
mod recipients;
mod remote_accesses;
mod review;
mod secrets;
mod targets;
mod wrong_codes;

use sea_orm_migration::prelude::*;

use at_once::AtOnce;
use changes::Changes;
use comparing::Comparing;
use devices::{AgentKey, Fleet, HostKeyOwner, LeftBehind, SummedUp, Transfers};
use edits::Edits;
use first::First;
use gates::Gates;
use group_reviews::GroupReviews;
use heard::Heard;
use notifications::Notifications;
use panic::Panics;
use recipients::Recipients;
use remote_accesses::RemoteAccesses;
use review::Review;
use secrets::Secrets;
use targets::Targets;
use wrong_codes::WrongCodes;

/// Every step, in order.
pub(super) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(First),
            Box::new(Transfers),
            Box::new(AgentKey),
            Box::new(LeftBehind),
            Box::new(Fleet),
            Box::new(HostKeyOwner),
            Box::new(SummedUp),
            Box::new(Review),
            Box::new(Gates),
            Box::new(Notifications),
            Box::new(Targets),
            Box::new(Panics),
            Box::new(RemoteAccesses),
            Box::new(AtOnce),
            Box::new(Recipients),
            Box::new(Heard),
            Box::new(Changes),
            Box::new(Secrets),
            Box::new(GroupReviews),
            Box::new(WrongCodes),
            Box::new(Edits),
            Box::new(Comparing),
        ]
    }
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).to_owned()
}
