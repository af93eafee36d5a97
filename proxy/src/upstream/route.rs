//! The way to a session's device: reached, its host key checked, logged in to.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, AuthResult};
use russh::keys::PublicKey;
use russh::{Preferred, SshId};
use tidegate_common::grant::login_account;
use tidegate_common::id::SessionId;
use tidegate_common::model::{Forward, Network};
use tidegate_common::name::CredentialName;
use tidegate_common::policy::Permit;
use tidegate_common::wire::device_principal;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use super::gather::{Gathered, TerminalFlag};
use super::handler::{DeviceHandler, Reception};
use super::pace::{Pace, Turn};
use super::secret::{self, Answer};
use super::{DEADLINE, DialError};
use crate::agents::{Registry, Trust};
use crate::algorithms::Algorithms;
use crate::audit_log::AuditLog;
use crate::inbox::WINDOW;
use crate::keys::Keys;
use crate::origin::canonical;
use crate::vault::{CredentialSecret, Vault};

/// How long until a device that has dropped us is tried again, in milliseconds: sshd does so
/// at random while many log in to it. To each as much again is added at most.
const PAUSES: [u64; 5] = [50, 150, 300, 600, 1200];

/// What every way to a device needs.
#[derive(Clone)]
pub struct Means {
    /// What logs in.
    pub keys: Arc<Keys>,
    /// What is offered.
    pub algorithms: Algorithms,
    /// How often a silent device is asked whether it lives.
    pub keepalive: Duration,
    /// Where it is told what a device opens that nobody asked for.
    pub audit: AuditLog,
    /// Who is told which login is whose.
    pub agents: Registry,
    /// How many log in to a device at once.
    pub pace: Pace,
    /// What logs in to devices without an agent.
    pub vault: Vault,
}

/// Where a session's connections go, and who they log in as.
pub struct Route {
    session: SessionId,
    target: CredentialName,
    /// Whose secret logs in, where the device has no agent.
    secret_of: Option<CredentialName>,
    /// Who its certificates are for.
    principals: Vec<String>,
    forwards: Vec<Forward>,
    seen_from: Vec<Network>,
    address: String,
    port: u16,
    host_keys: Vec<PublicKey>,
    preferred: Preferred,
    means: Means,
}

/// Keys are exchanged, nobody is logged in.
pub struct Connected {
    handle: client::Handle<DeviceHandler>,
    reception: Reception,
    terminal: TerminalFlag,
    source: SocketAddr,
    peer: SocketAddr,
    /// For as long as it is not logged in.
    turn: Option<Turn>,
}

impl Connected {
    /// From where it comes and where it goes to, by the gate's own addresses.
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.source, self.peer)
    }
}

/// Why a device was not reached.
enum Missed {
    /// It took the connection and closed it before anything was said.
    Dropped,
    Failed(DialError),
}

/// A connection that is logged in.
pub struct LoggedIn {
    pub(super) handle: client::Handle<DeviceHandler>,
    pub(super) reception: Reception,
    pub(super) terminal: TerminalFlag,
}

impl Route {
    /// The way to what the permit permits, and to nothing else.
    pub fn new(permit: &Permit, session: SessionId, trust: &Trust, means: Means) -> Result<Self, DialError> {
        let device = permit.device();
        let host_keys: Vec<_> =
            trust.host_keys.iter().filter_map(|line| PublicKey::from_openssh(line).ok()).collect();
        if host_keys.is_empty() {
            return Err(DialError::NoHostKey(device.name.to_string()));
        }
        let Some(preferred) = means.algorithms.client(&host_keys) else {
            return Err(DialError::NotChosen(device.name.to_string()));
        };
        let account = login_account(session, &permit.target().account, permit.privileges());
        let mut principals = vec![device_principal(&account, &device.name)];
        if !trust.bound {
            principals.push(account.to_string());
        }
        let all = [Forward::Local, Forward::Remote, Forward::X11, Forward::Agent];
        Ok(Self {
            session,
            target: CredentialName { account, device: device.name.clone() },
            secret_of: (!device.agent).then(|| permit.target().clone()),
            principals,
            forwards: all.into_iter().filter(|forward| permit.allows(*forward)).collect(),
            seen_from: device.seen_from.clone(),
            address: device.host().to_owned(),
            port: device.port,
            host_keys,
            preferred,
            means,
        })
    }

    pub(super) fn device(&self) -> String {
        self.target.device.to_string()
    }

    /// Connects and exchanges keys, so that only the login is left. Waits for its turn, and
    /// tries again where the device's sshd drops it.
    ///
    /// # Errors
    /// A sentence for the user.
    pub async fn connect(&self) -> Result<Connected, DialError> {
        let turn = self.means.pace.turn(&self.address, self.port).await;
        let turn = turn.ok_or_else(|| DialError::Busy(self.device()))?;
        let deadline = Instant::now() + DEADLINE;
        let mut pauses = PAUSES.into_iter();
        loop {
            match timeout_at(deadline, self.connect_now()).await {
                Ok(Ok(connected)) => return Ok(Connected { turn: Some(turn), ..connected }),
                Ok(Err(Missed::Failed(error))) => return Err(error),
                Ok(Err(Missed::Dropped)) => {
                    let pause = pauses.next().ok_or_else(|| self.dropped())?;
                    sleep(Duration::from_millis(pause + rand::random::<u64>() % pause)).await;
                }
                Err(_) => return Err(self.unreachable("it did not answer in time")),
            }
        }
    }

    fn dropped(&self) -> DialError {
        let why = "it closes the connection at once, as it does while too many log in (`MaxStartups`)";
        DialError::Protocol { device: self.device(), why: why.to_owned() }
    }

    fn unreachable(&self, why: impl std::fmt::Display) -> DialError {
        let address = format!("{}:{}", self.address, self.port);
        DialError::Unreachable { device: self.device(), address, why: why.to_string() }
    }

    async fn connect_now(&self) -> Result<Connected, Missed> {
        let unreachable = |error: std::io::Error| Missed::Failed(self.unreachable(error));
        let stream = TcpStream::connect((self.address.as_str(), self.port)).await.map_err(unreachable)?;
        let source = stream.local_addr().map(canonical).map_err(unreachable)?;
        let peer = stream.peer_addr().map(canonical).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let reception = Reception::default();
        let witness = DeviceHandler::new(
            self.host_keys.clone(),
            reception.clone(),
            self.session,
            self.means.audit.clone(),
        );
        let refused = witness.refused();
        let terminal = TerminalFlag::default();
        let stream = Gathered::new(stream, terminal.clone());
        let handle = client::connect_stream(self.config(), stream, witness).await.map_err(|error| {
            if refused.load(std::sync::atomic::Ordering::Relaxed) {
                Missed::Failed(DialError::HostKey(self.device()))
            } else if dropped(&error) {
                Missed::Dropped
            } else {
                Missed::Failed(DialError::Protocol { device: self.device(), why: error.to_string() })
            }
        })?;
        Ok(Connected { handle, reception, terminal, source, peer, turn: None })
    }

    /// Logs in: with what the vault has for a credential on a device without an agent, or else with a
    /// certificate of seconds.
    pub async fn login(&self, connected: Connected) -> Result<LoggedIn, DialError> {
        if let Some(credential) = &self.secret_of
            && let Some(secret) = self.means.vault.secret(credential).await?
        {
            return self.login_with(connected, &secret).await;
        }
        let Connected { mut handle, reception, terminal, source, peer, turn: _turn } = connected;
        let account = &self.target.account;
        let own = [Network::from(source.ip())];
        let sources = if self.seen_from.is_empty() { &own[..] } else { &self.seen_from };
        let key = self.means.keys.session_key(self.session, &self.principals, sources, &self.forwards)?;
        self.means.agents.dialled(self.session, &self.target.device, source);
        let login = handle.authenticate_openssh_cert(account.as_str(), key.key, key.certificate);
        let protocol = |why: String| DialError::Protocol { device: self.device(), why };
        match tokio::time::timeout(DEADLINE, login).await {
            Ok(Ok(AuthResult::Success)) => Ok(LoggedIn { handle, reception, terminal }),
            Ok(Ok(AuthResult::Failure { .. })) => Err(self.not_let_in(source, peer).await),
            Ok(Err(error)) => Err(protocol(error.to_string())),
            Err(_) => Err(protocol("it did not log us in within its time".to_owned())),
        }
    }

    async fn login_with(
        &self,
        connected: Connected,
        secret: &CredentialSecret,
    ) -> Result<LoggedIn, DialError> {
        let Connected { mut handle, reception, terminal, turn: _turn, .. } = connected;
        let account = &self.target.account;
        let login = secret::log_in(&mut handle, account, secret);
        let protocol = |why: String| DialError::Protocol { device: self.device(), why };
        match tokio::time::timeout(DEADLINE, login).await {
            Ok(Ok(Answer::In)) => Ok(LoggedIn { handle, reception, terminal }),
            Ok(Ok(Answer::Refused(why))) => {
                Err(DialError::Login { device: self.device(), account: account.clone(), why: why.to_owned() })
            }
            Ok(Err(error)) => Err(protocol(error.to_string())),
            Err(_) => Err(protocol("it did not log us in within its time".to_owned())),
        }
    }

    /// What the device does otherwise than the session asks, as its agent says: a sentence for the
    /// user. None where nothing is known of that.
    pub async fn remarks(&self, (from, to): (SocketAddr, SocketAddr)) -> Option<String> {
        let CredentialName { account, device } = &self.target;
        let told = self.means.agents.remarks(device, account.clone(), from, to).await?;
        (!told.is_empty()).then(|| format!("on {device} {}", told.join("; ")))
    }

    /// Asks the agent why; without an answer the user reads where to look.
    async fn not_let_in(&self, from: SocketAddr, to: SocketAddr) -> DialError {
        let CredentialName { account, device } = &self.target;
        let told = self.means.agents.explain(device, account.clone(), from, to).await;
        let why = match told {
            Some(lines) if !lines.is_empty() => lines.join("; "),
            Some(_) => "its agent finds no reason; see what sshd logs there (journalctl -t sshd)".to_owned(),
            None => format!(
                "see what sshd logs there (journalctl -t sshd), or `tidegate-agent doctor --account {account}`"
            ),
        };
        DialError::Login { device: device.to_string(), account: account.clone(), why }
    }

    fn config(&self) -> Arc<client::Config> {
        Arc::new(client::Config {
            client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Tidegate")),
            window_size: WINDOW,
            maximum_packet_size: 65_535,
            channel_buffer_size: 16,
            preferred: self.preferred.clone(),
            keepalive_interval: Some(self.means.keepalive),
            keepalive_max: 3,
            nodelay: true,
            ..client::Config::default()
        })
    }
}

/// Whether the device ended the connection before keys were exchanged.
fn dropped(error: &russh::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    match error {
        russh::Error::Disconnect | russh::Error::HUP => true,
        russh::Error::IO(error) => matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof),
        _ => false,
    }
}
