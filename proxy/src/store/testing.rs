//! Stores of tests: a test that is listed in [`on_both!`] runs on SQLite and on PostgreSQL.

use std::cell::Cell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::Timestamp;
use tidegate_common::audit::{EndCause, Event};
use tidegate_common::grant::Standing;
use tidegate_common::id::{NotificationId, RemoteAccessId, SessionId};
use tidegate_common::model::PanicScope;
use tidegate_common::name::{DeviceName, GateName};
use tidegate_common::policy::Permit;

use super::revisions::{self, Of};
use super::{Enrolled, GateId, SessionRow, Step, Store, StoreError, StoreUrl, agents, gates, outbox};

#[path = "../../../tests/src/postgres.rs"]
#[allow(dead_code, reason = "the end-to-end tests use the rest")]
pub mod postgres;

/// What stores of this thread are made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgres,
}

thread_local! {
    static ON: Cell<On> = const { Cell::new(On::Sqlite) };
    static LOST: Cell<u32> = const { Cell::new(0) };
}

/// Of what this thread's audit log writes and of its end that it reads, so many answers are lost from now on, as
/// when the server goes away right after it did what it was asked.
pub fn lose_answers(count: u32) {
    LOST.set(count);
}

/// Whether the answer comes.
pub fn answered(doing: &'static str) -> Result<(), StoreError> {
    let Some(left) = LOST.get().checked_sub(1) else { return Ok(()) };
    LOST.set(left);
    Err(StoreError::Away { doing, source: sea_orm::DbErr::Custom("the answer was lost".to_owned()) })
}

/// Which one it is here.
pub fn on() -> On {
    ON.get()
}

/// Runs a test whose stores are made on this.
pub fn run(on: On, test: impl Future<Output = ()>) {
    ON.set(on);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// Makes each of these async functions two tests.
macro_rules! on_both {
    ($($test:ident,)+) => {
        mod on_sqlite {
            $(#[test] fn $test() { $crate::store::testing::run($crate::store::testing::On::Sqlite, super::$test()); })+
        }
        mod on_postgres {
            $(#[test] fn $test() { $crate::store::testing::run($crate::store::testing::On::Postgres, super::$test()); })+
        }
    };
}
pub(crate) use on_both;

/// The server of this test program; it goes with it.
pub fn server() -> &'static postgres::Server {
    static SERVER: OnceLock<postgres::Server> = OnceLock::new();
    SERVER.get_or_init(|| postgres::Server::start().unwrap())
}

/// What of a notification only a newer gate can read.
#[derive(Debug, Clone, Copy)]
pub enum Said {
    Kind,
    Body,
}

/// The name of a gate.
pub fn gate(name: &str) -> GateName {
    name.parse().unwrap()
}

/// A live session of `operator`'s on the first gate, which began so many seconds after 1970.
pub fn session(second: i64) -> SessionRow {
    SessionRow {
        id: SessionId::new(u64::try_from(second).unwrap() * 1000, 7),
        user: "operator".parse().unwrap(),
        target: "ops@db01".parse().unwrap(),
        group: "dba".parse().unwrap(),
        request: None,
        emergency: false,
        origin: "::1".parse().unwrap(),
        gate: GateId::FIRST,
        started: Timestamp::from_second(second).unwrap(),
        ended: None,
        outcome: None,
    }
}

impl Store {
    pub fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// Takes a step; says whether it was not refused.
    pub async fn takes(&self, step: Step) -> bool {
        match self.audit_append_all(Vec::new(), Some(step)).await {
            Ok(()) => true,
            Err(StoreError::Changed) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// A step that has changed something and then stops, as when its process does.
    pub fn stopped_step() -> Step {
        Step::new(|change| {
            Box::pin(async move {
                revisions::move_on(change, Of::Resources, None).await?;
                std::future::pending().await
            })
        })
    }

    /// The device has these host keys now.
    pub async fn set_host_keys(&self, device: &DeviceName, keys: &[String], now: Timestamp) {
        let was = self.host_keys_revision().await.unwrap();
        assert!(self.takes(Self::host_keys_step(device.clone(), keys.to_vec(), now, was)).await);
    }

    /// A session has ended.
    pub async fn session_end(&self, id: SessionId, cause: EndCause, at: Timestamp) -> Result<(), StoreError> {
        self.audit_append_all(Vec::new(), Some(Self::session_ended(id, cause, at))).await
    }

    /// So much stands on a device now.
    pub async fn set_standing(&self, device: &DeviceName, standing: &[Standing]) -> Result<(), StoreError> {
        let step = Self::standing_step(device.clone(), standing.to_vec());
        self.audit_append_all(Vec::new(), Some(step)).await
    }

    /// These went through a session.
    pub async fn transfers_add(
        &self,
        session: SessionId,
        at: Timestamp,
        events: &[Event],
    ) -> Result<(), StoreError> {
        let step = Self::transfers_listed(session, at, events.into());
        self.audit_append_all(Vec::new(), Some(step)).await
    }

    /// What came of a session cannot be read any more.
    pub async fn comparison_damaged(&self, session: SessionId) {
        use sea_orm::ActiveValue::Set;
        use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

        use super::changes::comparisons::{ActiveModel, Column, Entity};
        let damaged = ActiveModel { document: Set("{".to_owned()), ..Default::default() };
        let one = Entity::update_many().set(damaged).filter(Column::Session.eq(session.to_string()));
        assert_eq!(one.exec(&self.writer).await.unwrap().rows_affected, 1);
    }

    /// No request can be read any more; each is in this state, as its row says.
    pub async fn requests_damaged(&self, state: &str) {
        use sea_orm::ActiveValue::Set;
        use sea_orm::EntityTrait as _;

        use super::requests::{ActiveModel, Entity};
        let (document, state) = (Set("{".to_owned()), Set(state.to_owned()));
        let damaged = ActiveModel { document, state, ..Default::default() };
        Entity::update_many().set(damaged).exec(&self.writer).await.unwrap();
    }

    /// This remote access cannot be read any more by whoever looks for what was written since.
    pub async fn remote_access_damaged(&self, id: RemoteAccessId) {
        use sea_orm::ActiveValue::Set;
        use sea_orm::EntityTrait as _;

        use super::remote_accesses::{ActiveModel, Entity};
        let (id, document, written) = (Set(i64::try_from(id.0).unwrap()), Set("{".to_owned()), Set(i64::MAX));
        let row = ActiveModel { id, document, written, ..Default::default() };
        Entity::update(row).exec(&self.writer).await.unwrap();
    }

    /// A panic of this stands as only a newer gate can read it.
    pub async fn panic_unread(&self, scope: &PanicScope) {
        use sea_orm::ActiveValue::Set;
        use sea_orm::EntityTrait as _;

        use super::rulings::panic::{ActiveModel, Entity};
        let (scope, document) = (serde_json::to_string(scope).unwrap(), "{\"tea\":true}".to_owned());
        Entity::delete_by_id(scope.clone()).exec(&self.writer).await.unwrap();
        let row = ActiveModel { scope: Set(scope), document: Set(document) };
        Entity::insert(row).exec_without_returning(&self.writer).await.unwrap();
    }

    /// Another gate that uses the store, and was heard of then.
    pub async fn other_gate(&self, name: &str, heard: Timestamp) -> GateId {
        use sea_orm::ActiveValue::Set;
        use sea_orm::EntityTrait as _;
        let (name, heard) = (Set(name.to_owned()), Set(Some(heard.as_millisecond())));
        let row = gates::ActiveModel { name, heard_millis: heard, ..Default::default() };
        GateId(gates::Entity::insert(row).exec(&self.writer).await.unwrap().last_insert_id)
    }

    /// A gate was heard of then.
    pub async fn hear_of(&self, gate: GateId, heard: Timestamp) {
        use sea_orm::ActiveValue::Set;
        use sea_orm::EntityTrait as _;
        let heard = Set(Some(heard.as_millisecond()));
        let row = gates::ActiveModel { id: Set(gate.0), heard_millis: heard, ..Default::default() };
        gates::Entity::update(row).exec(&self.writer).await.unwrap();
    }

    /// A session begins.
    pub async fn session_begin(
        &self,
        id: SessionId,
        permit: &Permit,
        origin: IpAddr,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.audit_append_all(Vec::new(), Some(self.session_step(id, permit, origin, now))).await
    }

    /// A session is this now.
    pub async fn session_put(&self, session: &SessionRow) -> Result<(), StoreError> {
        self.audit_append_all(Vec::new(), Some(Self::session_put_step(session.clone()))).await
    }

    /// A notification says this, as another gate wrote it; in which state it is.
    pub async fn notification_says(&self, id: NotificationId, what: Said, text: &str) -> String {
        use sea_orm::ActiveValue::Set;
        use sea_orm::EntityTrait as _;
        let (own, text) = (i64::try_from(id.0).unwrap(), Set(text.to_owned()));
        let row = match what {
            Said::Kind => outbox::ActiveModel { id: Set(own), kind: text, ..Default::default() },
            Said::Body => outbox::ActiveModel { id: Set(own), body: text, ..Default::default() },
        };
        outbox::Entity::update(row).exec(&self.writer).await.unwrap().state
    }

    /// A notification's time is over then.
    pub async fn notification_expires(&self, id: NotificationId, at: Timestamp) {
        use sea_orm::ActiveValue::Set;
        use sea_orm::EntityTrait as _;
        let (id, expires) = (Set(i64::try_from(id.0).unwrap()), Set(at.as_millisecond()));
        let row = outbox::ActiveModel { id, expires, ..Default::default() };
        outbox::Entity::update(row).exec(&self.writer).await.unwrap();
    }

    /// The device's agent has this key now, and a certificate of the same name.
    pub async fn enrol(&self, device: &DeviceName, key: &str, now: Timestamp) {
        let enrolled = Enrolled { device, certificate: key, public_key: key };
        agents::enrol(&enrolled, now).exec_without_returning(&self.writer).await.unwrap();
    }
}

fn directory() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("tidegate store %41-{:032x}", rand::random::<u128>()));
    std::fs::create_dir(&directory).unwrap();
    directory
}

/// A store of its own, with a directory that is removed when this goes.
pub struct Temporary {
    pub store: Store,
    url: StoreUrl,
    directory: PathBuf,
}

impl Temporary {
    pub async fn new() -> Self {
        let directory = directory();
        let url = match on() {
            On::Sqlite => format!("sqlite:{}", directory.join("t.db").display()),
            On::Postgres => server().database().unwrap(),
        };
        Self::open(url.parse().unwrap(), "gate1", directory).await
    }

    /// The store of another, as this gate has it, with a directory of its own.
    pub async fn of_gate(name: &str, url: &StoreUrl) -> Self {
        Self::open(url.clone(), name, directory()).await
    }

    async fn open(url: StoreUrl, name: &str, directory: PathBuf) -> Self {
        let store = Store::open(&url, &gate(name)).await.unwrap();
        Self { store, url, directory }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn url(&self) -> StoreUrl {
        self.url.clone()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
