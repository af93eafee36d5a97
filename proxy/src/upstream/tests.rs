//! A device that opens channels, played by a server of russh's.

use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth};
use tidegate_common::audit::Event;
use tidegate_common::id::SessionId;
use tidegate_common::policy::Permit;

use super::*;
use crate::agents::{Registry, Trust};
use crate::algorithms::Algorithms;
use crate::audit_log::AuditLog;
use crate::keys::Keys;
use crate::store::testing::Temporary;
use crate::testing::World;
use crate::vault::Vault;

struct Device;

impl server::Handler for Device {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }
}

/// Connects to a device that `there` plays: our side, and the device's.
async fn connected<H: server::Handler + Send + 'static>(
    key: PrivateKey,
    session: SessionId,
    audit: AuditLog,
    there: H,
) -> (LoggedIn, server::Handle)
where
    H::Error: std::fmt::Debug,
{
    let vouched = vec![key.public_key().clone()];
    let (near, far) = tokio::io::duplex(64 * 1024);
    let config = server::Config { keys: vec![key], ..server::Config::default() };
    let there = tokio::spawn(server::run_stream(Arc::new(config), far, there));
    let reception = Reception::default();
    let witness = DeviceHandler::new(vouched, reception.clone(), session, audit);
    let mut handle = client::connect_stream(Arc::default(), near, witness).await.unwrap();
    assert!(handle.authenticate_none("ops").await.unwrap().success());
    let running = there.await.unwrap().unwrap();
    let device = running.handle();
    tokio::spawn(running);
    (LoggedIn { handle, reception, terminal: TerminalFlag::default() }, device)
}

/// A session's way to a device that `there` plays; only its first connection is there.
pub async fn upstream<H: server::Handler + Send + 'static>(
    permit: &Permit,
    session: SessionId,
    audit: &AuditLog,
    temporary: &Temporary,
    there: H,
) -> Arc<Upstream>
where
    H::Error: std::fmt::Debug,
{
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let trust = Trust { host_keys: vec![key.public_key().to_openssh().unwrap()], bound: true };
    let means = Means {
        keys: Arc::new(Keys::open(temporary.directory()).unwrap()),
        algorithms: Algorithms::default(),
        keepalive: Duration::from_secs(60),
        audit: audit.clone(),
        agents: Registry::new(Duration::from_secs(30), crate::store::testing::gate("gate1")),
        pace: Pace::default(),
        vault: Vault::new(temporary.store.clone(), audit.clone(), None),
    };
    let route = Route::new(permit, session, &trust, means).unwrap();
    Upstream::new(route, connected(key, session, audit.clone(), there).await.0)
}

/// A connection of ours to a device, and the device's side of it.
struct Pair {
    world: World,
    conn: Conn,
    device: server::Handle,
}

impl Pair {
    async fn new() -> Self {
        let world = World::bare().await;
        let audit = world.audit.clone();
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let (conn, device) = connected(key, crate::session::new_id(), audit, Device).await;
        Self { world, conn: conn.into(), device }
    }

    async fn log(&self) -> Vec<Event> {
        self.world.records().await.into_iter().map(|record| record.event).collect()
    }
}

#[tokio::test]
async fn a_channel_that_nobody_asked_the_device_for_is_refused_and_logged() {
    let pair = Pair::new().await;
    let device = &pair.device;
    assert!(device.channel_open_forwarded_tcpip("", 80, "192.0.2.1", 5).await.is_err());
    assert!(device.channel_open_forwarded_streamlocal("/run/a").await.is_err());
    assert!(device.channel_open_agent().await.is_err());
    assert!(device.channel_open_x11("127.0.0.1", 1).await.is_err());
    assert!(device.channel_open_direct_tcpip("127.0.0.1", 22, "192.0.2.1", 5).await.is_err());
    assert!(device.channel_open_direct_streamlocal("/run/a").await.is_err());
    assert!(device.channel_open_session().await.is_err());
    let log: Vec<String> = pair.log().await.iter().map(ToString::to_string).collect();
    assert_eq!(log.len(), 7, "{log:#?}");
    for (said, kind) in log.iter().zip([
        "forwarded-tcpip to :80",
        "forwarded-streamlocal to /run/a",
        "auth-agent",
        "x11",
        "direct-tcpip",
        "other",
        "other",
    ]) {
        assert!(said.contains(kind) && said.contains("the device opened it"), "{said}");
    }
    // The twin, with somebody who waits for it.
    let mut device_channels = pair.conn.reception.open();
    let (opened, ()) = tokio::join!(device.channel_open_agent(), async {
        let opened = device_channels.recv().await.unwrap();
        assert_eq!(opened.wanted, DeviceOpen::Agent);
        opened.reply.accept().await;
    });
    assert!(opened.is_ok());
    assert_eq!(pair.log().await.len(), 7);
}

#[tokio::test]
async fn a_device_that_keeps_opening_channels_is_cut_off() {
    let pair = Pair::new().await;
    for _ in 0..MOST_UNASKED {
        assert!(!pair.conn.is_closed());
        assert!(pair.device.channel_open_agent().await.is_err());
    }
    tokio::time::timeout(Duration::from_secs(10), async {
        while !pair.conn.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(pair.log().await.len(), MOST_UNASKED);
}
