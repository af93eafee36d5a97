//! Agents: which certificate speaks for a device, when it was here last, and what its
//! witness lost.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{BinOper, ExprTrait as _, OnConflict};
use sea_orm::{ActiveValue::Set, Insert, QueryOrder as _, UpdateMany};
use tidegate_common::audit::Note;
use tidegate_common::name::DeviceName;

use super::{Doing as _, MOST_NAMED, Step, Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agent")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub device: String,
    pub certificate: String,
    pub certified: i64,
    pub seen: Option<i64>,
    pub version: Option<String>,
    pub revoked: bool,
    pub public_key: Option<String>,
    pub lost: i64,
    pub lost_at: Option<i64>,
    pub bound: bool,
    pub summed: i64,
    pub summed_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The agent of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// The device it speaks for.
    pub device: DeviceName,
    /// A digest of its newest certificate, as the caller writes it.
    pub certificate: String,
    /// When it got that.
    pub certified: Timestamp,
    /// When it was last linked.
    pub seen: Option<Timestamp>,
    /// Its program's version, as it said.
    pub version: Option<String>,
    /// Whether an administrator took it out.
    pub revoked: bool,
    /// A digest of the key it enrolled with, as the caller writes it. None where it
    /// enrolled before this was kept.
    pub public_key: Option<String>,
    /// How many records of its witness were lost on the way here, at least.
    pub lost: u64,
    /// When some were lost last.
    pub lost_at: Option<Timestamp>,
    /// Whether it has said since it enrolled that its sshd takes certificates for its
    /// device only.
    pub bound: bool,
    /// How much it had to tell beyond its budget, which was only counted.
    pub summed: u64,
    /// When that was told last.
    pub summed_at: Option<Timestamp>,
}

/// Who a certificate was signed for.
#[derive(Debug, Clone, Copy)]
pub struct Enrolled<'a> {
    /// The device.
    pub device: &'a DeviceName,
    /// A digest of the certificate, as the caller writes it.
    pub certificate: &'a str,
    /// A digest of its key, as the caller writes it.
    pub public_key: &'a str,
}

/// The device's agent is the one that has this key, and no other any more.
pub(super) fn enrol(enrolled: &Enrolled<'_>, now: Timestamp) -> Insert<ActiveModel> {
    let row = ActiveModel {
        device: Set(enrolled.device.to_string()),
        certificate: Set(enrolled.certificate.to_owned()),
        certified: Set(now.as_millisecond()),
        seen: Set(None),
        version: Set(None),
        revoked: Set(false),
        public_key: Set(Some(enrolled.public_key.to_owned())),
        lost: Set(0),
        lost_at: Set(None),
        bound: Set(false),
        summed: Set(0),
        summed_at: Set(None),
    };
    let again = OnConflict::column(Column::Device)
        .update_columns([
            Column::Certificate,
            Column::Certified,
            Column::Revoked,
            Column::PublicKey,
            Column::Bound,
        ])
        .to_owned();
    Entity::insert(row).on_conflict(again)
}

/// What is added to a count at a time, at most.
const MOST_ADDED: i64 = 1 << 32;

fn added(count: u64) -> i64 {
    i64::try_from(count).map_or(MOST_ADDED, |count| Ord::min(count, MOST_ADDED))
}

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

pub(super) fn device(name: &str) -> Result<DeviceName, StoreError> {
    name.parse().map_err(|error| StoreError::damaged("agent", error))
}

fn read(row: Model) -> Result<AgentRow, StoreError> {
    Ok(AgentRow {
        device: device(&row.device)?,
        certificate: row.certificate,
        certified: at(row.certified),
        seen: row.seen.map(at),
        // Earlier proxies kept it as it came.
        version: row.version.map(|version| Note::<64>::new(version).into()),
        revoked: row.revoked,
        public_key: row.public_key,
        lost: u64::try_from(row.lost).unwrap_or_default(),
        lost_at: row.lost_at.map(at),
        bound: row.bound,
        summed: u64::try_from(row.summed).unwrap_or_default(),
        summed_at: row.summed_at.map(at),
    })
}

/// A step that changes one row, or is refused.
fn one_changes(update: UpdateMany<Entity>) -> Step {
    Step::new(move |change| {
        Box::pin(async move {
            match update.exec(change).await.doing("wrote an agent")?.rows_affected {
                0 => Err(StoreError::Changed),
                _ => Ok(()),
            }
        })
    })
}

impl Store {
    /// Keeps that the device's agent has a new certificate for the key it enrolled with.
    /// Of one that was revoked, or enrolled with another key meanwhile, the step is refused as
    /// [`StoreError::Changed`].
    #[must_use]
    pub fn agent_renewed(renewed: &Enrolled<'_>, now: Timestamp) -> Step {
        let own = Column::PublicKey.eq(renewed.public_key).or(Column::PublicKey.is_null());
        let renew = Entity::update_many()
            .col_expr(Column::Certificate, Expr::value(renewed.certificate))
            .col_expr(Column::Certified, Expr::value(now.as_millisecond()))
            .col_expr(Column::PublicKey, Expr::value(renewed.public_key))
            .filter(Column::Device.eq(renewed.device.as_str()))
            .filter(Column::Revoked.eq(false))
            .filter(own);
        one_changes(renew)
    }

    /// The agent of a device.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn agent(&self, device: &DeviceName) -> Result<Option<AgentRow>, StoreError> {
        let row = Entity::find_by_id(device.as_str()).one(&self.readers).await.doing("read agents")?;
        row.map(read).transpose()
    }

    /// Every agent, by device.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        let rows =
            Entity::find().order_by_asc(Column::Device).all(&self.readers).await.doing("read agents")?;
        rows.into_iter().map(read).collect()
    }

    /// Takes an agent out. Of one that is out the step is refused as [`StoreError::Changed`].
    #[must_use]
    pub fn agent_revoked(device: &DeviceName) -> Step {
        let revoked = Entity::update_many()
            .col_expr(Column::Revoked, Expr::value(true))
            .filter(Column::Device.eq(device.as_str()))
            .filter(Column::Revoked.eq(false));
        one_changes(revoked)
    }

    /// Writes that an agent is linked now. That its sshd is `bound` to its device is never
    /// unsaid: only another enrolment does that.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn agent_seen(
        &self,
        device: &DeviceName,
        version: &str,
        bound: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut seen = Entity::update_many()
            .col_expr(Column::Seen, Expr::value(now.as_millisecond()))
            .col_expr(Column::Version, Expr::value(version))
            .filter(Column::Device.eq(device.as_str()));
        if bound {
            seen = seen.col_expr(Column::Bound, Expr::value(true));
        }
        seen.exec(&self.writer).await.doing("wrote an agent").map(drop)
    }

    /// Writes that these devices' agents are linked now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn agents_seen(&self, devices: &[DeviceName], now: Timestamp) -> Result<(), StoreError> {
        for some in devices.chunks(MOST_NAMED) {
            let seen = Entity::update_many()
                .col_expr(Column::Seen, Expr::value(now.as_millisecond()))
                .filter(Column::Device.is_in(some.iter().map(DeviceName::as_str)));
            seen.exec(&self.writer).await.doing("wrote agents")?;
        }
        Ok(())
    }

    /// Adds to what a device's witness has lost, at most [`MOST_ADDED`] at a time: a sum
    /// of what an agent makes up must never be more than the database counts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn agent_lost(&self, device: &DeviceName, lost: u64, now: Timestamp) -> Result<(), StoreError> {
        let add = Entity::update_many()
            .col_expr(Column::Lost, Expr::col(Column::Lost).binary(BinOper::Add, added(lost)))
            .col_expr(Column::LostAt, Expr::value(now.as_millisecond()))
            .filter(Column::Device.eq(device.as_str()));
        add.exec(&self.writer).await.doing("wrote an agent").map(drop)
    }

    /// Adds to what a device's agent had to tell beyond its budget.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn agent_summed(
        &self,
        device: &DeviceName,
        count: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let add = Entity::update_many()
            .col_expr(Column::Summed, Expr::col(Column::Summed).binary(BinOper::Add, added(count)))
            .col_expr(Column::SummedAt, Expr::value(now.as_millisecond()))
            .filter(Column::Device.eq(device.as_str()));
        add.exec(&self.writer).await.doing("wrote an agent").map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Temporary, on_both};

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn db01() -> DeviceName {
        "db01".parse().unwrap()
    }

    async fn a_revoked_agent_stays_out_until_it_enrols_again() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        store.enrol(&db01(), "one", second(0)).await;
        store.agent_seen(&db01(), "0.1.0", true, second(5)).await.unwrap();
        assert!(store.takes(Store::agent_revoked(&db01())).await);
        assert!(!store.takes(Store::agent_revoked(&db01())).await);
        let device = db01();
        let renewed = |public_key| Enrolled { device: &device, certificate: "two", public_key };
        assert!(!store.takes(Store::agent_renewed(&renewed("one"), second(6))).await);
        let agent = store.agent(&db01()).await.unwrap().unwrap();
        assert!(agent.revoked && agent.certificate == "one", "a renewal does not bring it back: {agent:?}");
        store.enrol(&db01(), "new", second(8)).await;
        let agent = store.agent(&db01()).await.unwrap().unwrap();
        assert!(!agent.revoked && !agent.bound && agent.public_key.as_deref() == Some("new"), "{agent:?}");
        assert!(!store.takes(Store::agent_renewed(&renewed("one"), second(9))).await, "an earlier key");
        assert!(store.takes(Store::agent_renewed(&renewed("new"), second(9))).await);
    }

    async fn an_sshd_that_was_bound_to_its_device_stays_so_until_the_device_enrols_again() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        store.enrol(&db01(), "one", second(0)).await;
        for (said, bound) in [(false, false), (true, true), (false, true)] {
            store.agent_seen(&db01(), "0.1.0", said, second(5)).await.unwrap();
            assert_eq!(store.agent(&db01()).await.unwrap().unwrap().bound, bound);
        }
        store.enrol(&db01(), "one", second(6)).await;
        assert!(!store.agent(&db01()).await.unwrap().unwrap().bound);
    }

    async fn what_an_agent_lost_adds_up_and_a_renewal_forgets_nothing() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        store.enrol(&db01(), "one", second(0)).await;
        store.agent_seen(&db01(), "0.1.0", false, second(5)).await.unwrap();
        for (lost, at) in [(2, 6), (5, 7)] {
            store.agent_lost(&db01(), lost, second(at)).await.unwrap();
        }
        store.agents_seen(&[db01(), "db02".parse().unwrap()], second(8)).await.unwrap();
        store.enrol(&db01(), "two", second(9)).await;
        let [agent] = &store.agents().await.unwrap()[..] else { panic!("more than one") };
        assert_eq!((agent.lost, agent.lost_at), (7, Some(second(7))));
        assert_eq!((agent.seen, agent.version.as_deref()), (Some(second(8)), Some("0.1.0")));
    }

    on_both! {
        a_revoked_agent_stays_out_until_it_enrols_again,
        an_sshd_that_was_bound_to_its_device_stays_so_until_the_device_enrols_again,
        what_an_agent_lost_adds_up_and_a_renewal_forgets_nothing,
    }
}
