//! People's side of SSH. russh stays here and in [`crate::upstream`]: policy, sessions,
//! requests and recordings do not know of it.

mod client_channel;
mod forward;
mod handler;
mod jump;
mod leash;
mod menu;
mod stopping;
mod terminal_console;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::Certificate;
use russh::server::{self, Config};
use russh::{Disconnect, MethodKind, MethodSet, SshId};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::access::Access;
use crate::admission::Admission;
use crate::audit_log::AuditLog;
use crate::config;
use crate::inbox::FIRST;
use crate::keys::Keys;
use crate::limits::{Unproved, UnprovedCount};
use crate::login::Logins;
use crate::origin::canonical;
use crate::refusals::Refusals;
use crate::service::Services;
use crate::session::Sessions;
use crate::threads::ConnectionThreads;
use crate::upstream::READ_AHEAD;
use handler::{Entrance, Handler};
use leash::Leash;
pub use stopping::Stopping;

/// How long a connection may take to prove who it is.
const LOGIN_DEADLINE: Duration = Duration::from_secs(60);
/// How long a connection lives on that has been told to leave.
const LEAVE_DEADLINE: Duration = Duration::from_secs(2);
/// Public keys and answers that are tried before a connection is closed (sshd's MaxAuthTries).
const MOST_ATTEMPTS: usize = 6;

/// What the SSH side needs.
pub struct Gate {
    /// Policy and resources.
    pub access: Access,
    /// The way to a permit.
    pub admission: Admission,
    /// Who may log in.
    pub logins: Logins,
    /// The audit log.
    pub audit: AuditLog,
    /// Sessions.
    pub sessions: Arc<Sessions>,
    /// Where it is told who was refused before they proved who they are.
    pub refusals: Refusals,
    /// The command line.
    pub console: Arc<Services>,
    /// The gate's keys.
    pub keys: Arc<Keys>,
    /// Settings.
    pub settings: config::Ssh,
    /// What cuts commands off when the gate stops.
    pub stopping: Arc<Stopping>,
}

/// Accepts connections for ever. Each has a task of its own on one thread, so that no
/// handshake holds up another.
pub async fn listen(gate: Arc<Gate>, listener: TcpListener, threads: &ConnectionThreads) {
    let places = UnprovedCount::new(gate.settings.unproved_each, gate.settings.unproved_all);
    let config = server_config(&gate, Vec::new());
    loop {
        let accepted = listener.accept().await;
        // Its thread's own I/O driver serves it, not this one's.
        let (stream, address) =
            match accepted.and_then(|(stream, from)| Ok((stream.into_std()?, canonical(from)))) {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
        let Some(place) = places.take(address.ip()) else {
            tracing::warn!(%address, "too many connections that have not logged in; this one is closed");
            continue;
        };
        let (gate, config) = (Arc::clone(&gate), Arc::clone(&config));
        if let Err(error) = threads.run(move || meet(gate, config, stream, address, place)) {
            tracing::warn!(%address, %error, "a connection could not be served");
        }
    }
}

async fn meet(
    gate: Arc<Gate>,
    config: Arc<Config>,
    stream: std::net::TcpStream,
    address: SocketAddr,
    place: Unproved,
) {
    let stream = match stream.set_nodelay(true).and_then(|()| TcpStream::from_std(stream)) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(%address, %error, "a connection could not be served"),
    };
    let stream = BufReader::with_capacity(READ_AHEAD, stream);
    serve(gate, config, stream, address, Entrance::Front, Some(place)).await;
}

/// What a connection's task learns from its handler.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Nobody has proved anything yet.
    Unproved,
    /// A user has.
    Proved,
    /// It shall leave; the sentence is for a user whom no channel has told why.
    Leaving(Option<Arc<str>>),
}

/// Serves one connection until it ends.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    gate: Arc<Gate>,
    config: Arc<Config>,
    stream: S,
    address: SocketAddr,
    entrance: Entrance,
    place: Option<Unproved>,
) {
    let (stream, hand) = Leash::new(stream);
    let (standing_sender, mut standing) = watch::channel(Standing::Unproved);
    let handler = Handler::new(gate, address.ip(), entrance, standing_sender);
    let session = server::run_stream(config, stream, handler);
    let running = match tokio::time::timeout(LOGIN_DEADLINE, session).await {
        Ok(Ok(running)) => running,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "no SSH client"),
        Err(_) => return tracing::debug!(%address, "no SSH client came in time"),
    };
    let handle = running.handle();
    let supervised = async {
        if tokio::time::timeout(LOGIN_DEADLINE, proved(&mut standing)).await.is_ok() {
            drop(place);
            let reason = match left(&mut standing).await {
                Some(untold) => untold.to_string(),
                None => {
                    // A client that is told to disconnect drops what its channels have
                    // not shown yet; most leave by themselves when their last is closed.
                    tokio::time::sleep(LEAVE_DEADLINE).await;
                    "the session is over".to_owned()
                }
            };
            let leave = handle.disconnect(Disconnect::ByApplication, reason, "en".to_owned());
            let _ = tokio::time::timeout(LEAVE_DEADLINE, leave).await;
            tokio::time::sleep(LEAVE_DEADLINE).await;
        }
        // Whatever waits on the connection, it ends now.
        drop(hand);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = running => if let Err(error) = ended {
            tracing::debug!(%address, %error, "a connection ended");
        },
        () = supervised => {}
    }
}

async fn proved(standing: &mut watch::Receiver<Standing>) {
    let _ = standing.wait_for(|standing| !matches!(standing, Standing::Unproved)).await;
}

/// Waits until the connection shall leave; the sentence is for a user whom no channel
/// has told why.
async fn left(standing: &mut watch::Receiver<Standing>) -> Option<Arc<str>> {
    match standing.wait_for(|standing| matches!(standing, Standing::Leaving(_))).await.as_deref() {
        Ok(Standing::Leaving(untold)) => untold.clone(),
        _ => None,
    }
}

/// The server side's configuration. Inside of a jump `none` is taken too, which is no
/// method to offer (RFC 4252, 5.2): clients that may use it try it first.
fn server_config(gate: &Gate, certificates: Vec<Certificate>) -> Arc<Config> {
    let methods: &[MethodKind] = &[MethodKind::PublicKey, MethodKind::KeyboardInteractive];
    Arc::new(Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Tidegate")),
        methods: MethodSet::from(methods),
        auth_rejection_time: Duration::from_millis(300),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: gate.keys.host.clone(),
        certificates,
        window_size: FIRST,
        maximum_packet_size: 65_535,
        channel_buffer_size: 16,
        event_buffer_size: 64,
        preferred: gate.settings.algorithms.server(),
        // The first try of `none` is no failure, which russh counts as one.
        max_auth_attempts: MOST_ATTEMPTS + 1,
        inactivity_timeout: None,
        keepalive_interval: Some(gate.settings.keepalive),
        keepalive_max: 3,
        nodelay: true,
        ..Config::default()
    })
}
