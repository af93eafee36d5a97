//! What the tests of several rooms work on.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use russh::server;
use tidegate_common::audit::{Actor, Record};
use tidegate_common::model::{Action, Claims, Limits, Resources, Snapshot, Wish};
use tidegate_common::name::UserName;
use tidegate_common::policy::{Coming, Decision, Facts, Permit, decide};
use tidegate_common::recording::{FORMAT, Header};
use tokio::sync::mpsc;

use crate::access::{Access, Border, By};
use crate::audit_log::AuditLog;
use crate::changes::Changes;
use crate::outside::{self, RemoteAccesses};
use crate::recordings::{RecordingKey, Recordings, Settings};
use crate::requests::{NewRequest, Requests};
use crate::session::{self, LiveSession, Open};
use crate::store::Store;
use crate::store::testing::Temporary;
use crate::upstream::tests::upstream;
use crate::vault::Vault;

/// What `operator` has of `ops@db01` under a group of these terms.
pub fn permit(terms: &str) -> Permit {
    let text = format!(
        "[[user]]\nname = \"operator\"\n[[device]]\nname = \"db01\"\n[[credential]]\nname = \"ops@db01\"\n\
         [[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ devices = [\"db01\"] }}\n\
         session = {terms}\n"
    );
    let snapshot = Snapshot::new(&Resources::read(&text).unwrap()).unwrap();
    let facts = Facts {
        now: Timestamp::now(),
        user: &"operator".parse().unwrap(),
        target: &"ops@db01".parse().unwrap(),
        action: Action::Session,
        origin: None,
        login: None,
        coming: Coming::ASKED,
        claims: &Claims::default(),
        refused_code: None,
        requests: &[],
        live: &[],
        changes: &[],
    };
    match decide(&snapshot, &facts) {
        Decision::Permitted(permit) => permit,
        other => panic!("not permitted: {other:?}"),
    }
}

/// A gate's store and what its rooms make of it, with nothing that listens and no agent.
pub struct World {
    pub store: Store,
    pub audit: AuditLog,
    pub access: Access,
    pub requests: Requests,
    pub changes: Changes,
    pub remote_accesses: RemoteAccesses,
    pub vault: Vault,
    pub temporary: Temporary,
}

impl World {
    /// One that has no resources.
    pub async fn bare() -> Self {
        Self::on(Temporary::new().await, Border::default()).await
    }

    /// One that has these resources.
    pub async fn new(resources: &str) -> Self {
        Self::within(Border::default(), resources).await
    }

    /// One that has these resources, and whose inside is this.
    pub async fn within(border: Border, resources: &str) -> Self {
        let world = Self::on(Temporary::new().await, border).await;
        world.apply(resources).await;
        world
    }

    /// One that has what is in the store.
    pub async fn on(temporary: Temporary, border: Border) -> Self {
        let store = temporary.store.clone();
        let audit = AuditLog::open(store.clone(), &temporary.directory().join("audit")).await.unwrap();
        let access = Access::load(store.clone(), audit.clone(), border).await.unwrap();
        let requests = Requests::new(store.clone(), access.clone(), audit.clone(), Default::default());
        let changes = Changes::new(store.clone(), access.clone(), audit.clone());
        let key = temporary.directory().join("vault.key");
        crate::files::write_new(&key, &[7; 32], 0o400).unwrap();
        let vault = Vault::new(store.clone(), audit.clone(), Some(key));
        let settings = outside::Settings::default();
        let remote_accesses =
            RemoteAccesses::new(store.clone(), access.clone(), audit.clone(), vault.clone(), settings);
        Self { store, audit, access, requests, changes, remote_accesses, vault, temporary }
    }

    /// The same whose remote accesses are decided on so.
    pub fn with_remote_accesses(self, settings: outside::Settings) -> Self {
        let (store, access, audit) = (self.store.clone(), self.access.clone(), self.audit.clone());
        let vault = self.vault.clone();
        Self { remote_accesses: RemoteAccesses::new(store, access, audit, vault, settings), ..self }
    }

    /// Applies resources, as the gate itself.
    pub async fn apply(&self, resources: &str) {
        self.access.apply(resources, &By::proxy(), false).await.unwrap();
    }

    /// A place for recordings, with a key of its own.
    pub fn recordings(&self) -> Recordings {
        let directory = self.temporary.directory();
        let key = RecordingKey::open(directory).unwrap();
        Recordings::open(Settings::testing(directory.join("recordings")), key).unwrap()
    }

    /// A session that is open, to a device that `there` plays.
    pub async fn open<H: server::Handler + Send + 'static>(&self, permit: Permit, there: H) -> Arc<Open>
    where
        H::Error: std::fmt::Debug,
    {
        let (id, origin) = (session::new_id(), "192.0.2.7".parse().unwrap());
        let header = Header {
            format: FORMAT,
            session: id,
            user: permit.user().clone(),
            target: permit.target().clone(),
            origin,
            started: Timestamp::now(),
            group: None,
            request: None,
            emergency: false,
            input: permit.record_input(),
            exec_output_limit: permit.exec_output_limit(),
        };
        let recorder = self.recordings().begin(header).await.unwrap();
        let upstream = upstream(&permit, id, &self.audit, &self.temporary, there).await;
        let live = LiveSession::new(id, Arc::new(permit), origin, mpsc::channel(1).0);
        Arc::new(Open::testing(live, recorder, upstream, self.audit.clone()))
    }

    /// What the audit log tells, the oldest first.
    pub async fn records(&self) -> Vec<Record> {
        self.audit.last(1000).await
    }
}

/// A user's name.
pub fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

/// That user, who came from somewhere.
pub fn by(name: &str) -> By {
    By { actor: Actor::User(user(name)), origin: Some("192.0.2.7".parse().unwrap()), login: None }
}

/// A request of that user's for a session, which says nothing more.
pub fn request(name: &str, target: &str) -> NewRequest {
    NewRequest {
        user: user(name),
        targets: vec![target.parse().unwrap()],
        action: Action::Session,
        claims: Claims::default(),
        wish: Wish::default(),
        limits: Limits::default(),
        origin: None,
    }
}

/// What comes to be within a while: the one loop of tests that looks again and again, for what tells
/// nobody that it is so.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found)
        .await
        .unwrap_or_else(|_| panic!("not within a minute: {what}"))
}

/// Runs a test whose futures, not optimized, need more stack than a test's thread has.
pub fn deep<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    let thread = std::thread::Builder::new().stack_size(32 << 20).spawn(run).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
