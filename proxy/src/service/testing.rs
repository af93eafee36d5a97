//! What tests of operations and of the console work on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tidegate_common::audit::{Event, Note};
use tidegate_common::digest::Digest;
use tidegate_common::id::SessionId;
use tidegate_common::model::{Action, Claims, Credential};
use tidegate_common::name::DeviceName;
use tidegate_common::notice::{Channel, Notice};
use tidegate_common::policy::{Notification, Proved, Recipient};
use tidegate_common::recording::{FORMAT, Header, Kind};
use tidegate_common::wire::Sight;
use tokio::sync::mpsc;

use super::{Actor, AgentLinks, Link, Services};
use crate::access::tests::proved;
use crate::agents::GrantSeen;
use crate::audit_log::Telling;
use crate::recordings::{End, Open, Recorder, Recordings};
use crate::session::{LiveEntry, LiveSession, LiveSessions};
use crate::ssh_name::SshName;
use crate::store::testing::Temporary;
use crate::store::{Claimed, Tried};
use crate::testing::{self, user};

const RESOURCES: &str = r#"
[[user]]
name = "operator"
full_name = "Olga Operator"
email = "operator@example.org"
[[user]]
name = "approver"
[[user]]
name = "auditor"
roles = ["auditor"]
[[user]]
name = "admin"
roles = ["admin"]
[[user]]
name = "monitor"
roles = ["monitor"]
[[user]]
name = "stranger"
[[device]]
name = "db01"
[[credential]]
name = "ops@db01"
privileges = [{ kind = "sudo" }]
[[access_group]]
name = "dba"
users = ["operator"]
approvers = ["approver"]
criteria = { devices = ["db*"] }
session = { justification = true, approval = { needed = 1 } }
"#;

#[derive(Default)]
pub struct Fake {
    pub grants: Mutex<Vec<GrantSeen>>,
    pub more: std::sync::atomic::AtomicU64,
}

impl AgentLinks for Fake {
    fn link(&self, _: &DeviceName) -> Option<Link> {
        let witness = Sight::Blind { why: Note::new("a container") };
        Some(Link {
            version: "0.1.0".to_owned(),
            up: Duration::from_secs(61),
            witness,
            foreign_keys: Vec::new(),
        })
    }

    fn grants(&self) -> Vec<GrantSeen> {
        self.grants.lock().unwrap().clone()
    }

    fn plan(&self, credential: Arc<Credential>) -> BoxFuture<'static, Option<Vec<String>>> {
        let lines = vec![format!("adds \u{1b}[2J`{}` to the group `adm`", credential.name.account)];
        Box::pin(std::future::ready(Some(lines)))
    }

    fn more(&self, _: &DeviceName) -> u64 {
        self.more.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn disconnect(&self, _: &DeviceName) {}
}

/// What operations work on, with no session and no agent behind it.
pub struct World {
    pub services: Arc<Services>,
    pub links: Arc<Fake>,
    /// Sessions that live, and where they hear of their end.
    lives: Mutex<Vec<(LiveEntry, mpsc::Receiver<crate::session::End>)>>,
    pub temporary: Temporary,
}

impl World {
    pub async fn new() -> Self {
        let approvers = vec![user("approver")];
        let settings = crate::outside::Settings { approvers, ..Default::default() };
        let base = testing::World::new(RESOURCES).await.with_remote_accesses(settings);
        let recordings = base.recordings();
        let testing::World { store, audit, access, requests, changes, remote_accesses, vault, temporary } =
            base;
        let links = Arc::new(Fake::default());
        let services = Services {
            store,
            changes,
            access,
            requests,
            remote_accesses,
            audit,
            vault,
            recordings,
            live: LiveSessions::default(),
            agents: Arc::clone(&links) as _,
            ca_fingerprint: Digest::of(b"ca"),
            agents_address: "gate.example.org:7443".to_owned(),
            ssh_name: SshName::unsaid(22),
        };
        Self { services: Arc::new(services), links, lives: Mutex::default(), temporary }
    }

    /// Who asks; `root` is the local administrator.
    pub fn actor(&self, who: &str) -> Actor {
        match who {
            "root" => Actor::local_admin(),
            name => {
                let snapshot = self.services.access.snapshot();
                let origin = "192.0.2.7".parse().unwrap();
                Actor::proved(&snapshot, &Proved { origin, ..proved(name) }, origin)
            }
        }
    }

    pub async fn session(&self) -> SessionId {
        let (proved, target) = (proved("operator"), "ops@db01".parse().unwrap());
        let origin = "192.0.2.7".parse().unwrap();
        let claims = Claims { justification: Some("x".parse().unwrap()), ..Claims::default() };
        let decided =
            self.services.access.decide(&proved, &target, Action::Session, origin, &claims).await.unwrap();
        let tidegate_common::policy::Decision::Permitted(permit) = decided else { panic!("{decided:?}") };
        let id = SessionId::new(1_800_000_000_000, 7);
        self.services.store.session_begin(id, &permit, origin, jiff::Timestamp::now()).await.unwrap();
        let (end, ordered) = mpsc::channel(1);
        let live = LiveSession::new(id, Arc::new(permit), origin, end);
        self.lives.lock().unwrap().push((self.services.live.enter(live), ordered));
        id
    }

    /// The same world, of a gate that people dial so.
    pub fn dialled(mut self, ssh_name: SshName) -> Self {
        Arc::get_mut(&mut self.services).unwrap().ssh_name = ssh_name;
        self
    }

    /// No session lives any more.
    pub fn all_left(&self) {
        self.lives.lock().unwrap().clear();
    }

    /// A notification to the user that was given up.
    pub async fn gave_up_telling(&self, user: &str) {
        let told = Notification {
            recipient: Recipient::User(user.parse().unwrap()),
            channel: Channel::Mail,
            notice: Notice::Test { by: Note::new("admin") },
            secret: None,
        };
        let event = Event::ProxyStopped { why: Note::new("a test") };
        self.services.audit.append(Telling::new(event, vec![told])).await.unwrap();
        let now = jiff::Timestamp::now();
        let claimed = self.services.store.notifications_claim(Channel::Mail, 1, now, now).await.unwrap();
        let tried = |one: Claimed| (one.row.id, one.claim, Tried::Failed(Note::new("550 nobody")));
        let tried = claimed.rows.into_iter().map(tried).collect();
        self.services.store.notifications_settle(tried, now).await.unwrap();
    }

    /// The session's recording, which showed `text`, sealed, and the log knows of it.
    pub async fn sealed(&self, session: SessionId, text: &str) -> PathBuf {
        let recorder = shown(&self.services.recordings, session, text).await;
        self.seal(session, recorder).await
    }

    /// Seals the session's recording, and the log knows of it.
    pub async fn seal(&self, session: SessionId, recorder: Recorder) -> PathBuf {
        let sealed = recorder.seal(DONE).await.unwrap();
        let (bytes, frames, link) = (sealed.bytes, sealed.frames, sealed.link);
        self.services.audit.append(Event::RecordingSealed { session, bytes, frames, link }).await.unwrap();
        sealed.path
    }
}

/// How recordings of tests end.
pub const DONE: End<'static> = End { exit: Some(0), cause: "the user left" };

fn header(session: SessionId) -> Header {
    Header {
        format: FORMAT,
        session,
        user: "operator".parse().unwrap(),
        target: "ops@db01".parse().unwrap(),
        origin: "192.0.2.7".parse().unwrap(),
        started: jiff::Timestamp::now(),
        group: None,
        request: None,
        emergency: false,
        input: false,
        exec_output_limit: 100,
    }
}

/// A recording of a terminal that showed this, not sealed yet.
pub async fn shown(recordings: &Recordings, session: SessionId, text: &str) -> Recorder {
    let recorder = recordings.begin(header(session)).await.unwrap();
    let open = Open { kind: Kind::Terminal, command: None, term: None, size: None };
    let channel = recorder.open(0, open).await.unwrap();
    channel.output(text.as_bytes()).await.unwrap();
    recorder.rested().await;
    recorder
}
