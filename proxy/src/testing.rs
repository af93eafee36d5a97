//! What the tests of several rooms work on.

use std::sync::Arc;

use jiff::Timestamp;
use russh::server;
use tidegate_common::audit::Record;
use tidegate_common::model::{Action, Claims, Resources, Snapshot};
use tidegate_common::policy::{Coming, Decision, Facts, Permit, decide};
use tidegate_common::recording::{FORMAT, Header};
use tokio::sync::mpsc;

use crate::audit_log::AuditLog;
use crate::recordings::{RecordingKey, Recordings, Settings};
use crate::session::{self, LiveSession, Open};
use crate::store::testing::Temporary;
use crate::upstream::tests::upstream;

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

/// What sessions rest on.
pub struct Gate {
    temporary: Temporary,
    audit: AuditLog,
    recordings: Recordings,
}

impl Gate {
    pub async fn new() -> Self {
        let temporary = Temporary::new().await;
        let directory = temporary.directory();
        let audit = AuditLog::open(temporary.store.clone(), &directory.join("audit")).await.unwrap();
        let key = RecordingKey::open(directory).unwrap();
        let recordings = Recordings::open(Settings::testing(directory.join("recordings")), key).unwrap();
        Self { temporary, audit, recordings }
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
        let recorder = self.recordings.begin(header).await.unwrap();
        let upstream = upstream(&permit, id, &self.audit, &self.temporary, there).await;
        let live = LiveSession::new(id, Arc::new(permit), origin, mpsc::channel(1).0);
        Arc::new(Open::testing(live, recorder, upstream, self.audit.clone()))
    }

    /// What the audit log tells, a line each.
    pub async fn log(&self) -> Vec<String> {
        let store = &self.temporary.store;
        let rows = store.audit_from(store.own_gate(), 1, 1000).await.unwrap();
        rows.iter().map(|row| serde_json::from_str::<Record>(&row.body).unwrap().to_string()).collect()
    }
}
