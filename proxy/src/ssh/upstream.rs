//! The gate as a client of the devices' sshd.
//!
//! A connection carries one channel at a time. russh hands a connection's
//! messages over on one task, so a channel whose output nobody takes would hold
//! up every other on its connection, and their window adjustments with it. With
//! one channel there is no other. An idle connection is used again, so a client
//! that runs one command after the other over its own connection pays for one
//! login; only channels that are open at once cost one each.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, AuthResult, ChannelOpenHandle, Msg, Session};
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};

use russh::{Channel, Disconnect, Preferred, SshId, cipher, kex, mac};
use tidegate_common::grant::login_account;
use tidegate_common::id::SessionId;
use tidegate_common::name::{AccountName, CredentialName};
use tidegate_common::policy::Permit;
use tokio::io::BufReader;
use tokio::net::TcpStream;

use super::READ_AHEAD;
use super::inbox::WINDOW;
use super::keys::Keys;

/// How long a device may take to be reached, to exchange keys and to log us in.
const DEADLINE: Duration = Duration::from_secs(20);
/// The most channels open at once in one session.
pub const MOST_CHANNELS: usize = 32;

/// Why a device can't be used. The sentences are for the user.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No route, no listener, no answer.
    #[error("{device} can't be reached at {address} ({why}); ask its administrator whether its sshd runs")]
    Unreachable {
        /// The device.
        device: String,
        /// Where it was sought.
        address: String,
        /// What the system said.
        why: String,
    },
    /// Nobody vouched for a host key yet.
    #[error(
        "no host key of {0} is known yet: its agent has not connected, or an administrator has to pin one"
    )]
    NoHostKey(String),
    /// Another key than vouched for.
    #[error(
        "{0} shows a host key that its agent does not vouch for, so it may be another machine; nothing was sent to it"
    )]
    HostKey(String),
    /// sshd does not take our certificate.
    #[error(
        "sshd on {device} does not let {account} in with a certificate of this gate; is `TrustedUserCAKeys` set (tidegate-agent install), and does the account exist?"
    )]
    Login {
        /// The device.
        device: String,
        /// The account.
        account: AccountName,
    },
    /// sshd broke the protocol.
    #[error("sshd on {device} broke off: {why}")]
    Protocol {
        /// The device.
        device: String,
        /// What happened.
        why: String,
    },
    /// Too many channels at once.
    #[error("this session has {MOST_CHANNELS} channels open, the most there may be; close one first")]
    Channels,
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] super::keys::KeyError),
}

/// Where a session's connections go, and who they log in as.
pub struct Route {
    session: SessionId,
    target: CredentialName,
    address: String,
    port: u16,
    host_keys: Vec<PublicKey>,
    keys: Arc<Keys>,
    keepalive: Duration,
}

impl Route {
    /// The way to what the permit permits, and to nothing else.
    pub fn new(
        permit: &Permit,
        session: SessionId,
        host_keys: &[String],
        keys: Arc<Keys>,
        keepalive: Duration,
    ) -> Result<Self, DialError> {
        let device = permit.device();
        let host_keys: Vec<_> =
            host_keys.iter().filter_map(|line| PublicKey::from_openssh(line).ok()).collect();
        if host_keys.is_empty() {
            return Err(DialError::NoHostKey(device.name.to_string()));
        }
        Ok(Self {
            session,
            target: CredentialName {
                account: login_account(session, &permit.target().account, permit.privileges()),
                device: device.name.clone(),
            },
            address: device.host().to_owned(),
            port: device.port,
            host_keys,
            keys,
            keepalive,
        })
    }

    fn device(&self) -> String {
        self.target.device.to_string()
    }

    /// Connects and exchanges keys, so that only the login is left.
    pub async fn connect(&self) -> Result<Connected, DialError> {
        tokio::time::timeout(DEADLINE, self.connect_now())
            .await
            .unwrap_or_else(|_| Err(self.unreachable("it did not answer in time")))
    }

    fn unreachable(&self, why: impl std::fmt::Display) -> DialError {
        let address = format!("{}:{}", self.address, self.port);
        DialError::Unreachable { device: self.device(), address, why: why.to_string() }
    }

    async fn connect_now(&self) -> Result<Connected, DialError> {
        let stream = TcpStream::connect((self.address.as_str(), self.port))
            .await
            .map_err(|error| self.unreachable(error))?;
        let source = stream.local_addr().map_err(|error| self.unreachable(error))?.ip();
        stream.set_nodelay(true).map_err(|error| self.unreachable(error))?;
        let witness = Witness { vouched: self.host_keys.clone(), refused: Arc::default() };
        let refused = Arc::clone(&witness.refused);
        let stream = BufReader::with_capacity(READ_AHEAD, stream);
        let handle = client::connect_stream(self.config(), stream, witness).await.map_err(|error| {
            if *refused.lock().unwrap_or_else(PoisonError::into_inner) {
                DialError::HostKey(self.device())
            } else {
                DialError::Protocol { device: self.device(), why: error.to_string() }
            }
        })?;
        Ok(Connected { handle, source })
    }

    /// Logs in with a certificate of seconds.
    pub async fn login(&self, connected: Connected) -> Result<client::Handle<Witness>, DialError> {
        let Connected { mut handle, source } = connected;
        let account = &self.target.account;
        let key = self.keys.session_key(self.session, account, Some(source))?;
        let login = handle.authenticate_openssh_cert(account.as_str(), key.key, key.certificate);
        let protocol = |why: String| DialError::Protocol { device: self.device(), why };
        match tokio::time::timeout(DEADLINE, login).await {
            Ok(Ok(AuthResult::Success)) => Ok(handle),
            Ok(Ok(AuthResult::Failure { .. })) => {
                Err(DialError::Login { device: self.device(), account: account.clone() })
            }
            Ok(Err(error)) => Err(protocol(error.to_string())),
            Err(_) => Err(protocol("it did not log us in within its time".to_owned())),
        }
    }

    fn config(&self) -> Arc<client::Config> {
        Arc::new(client::Config {
            client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Tidegate")),
            window_size: WINDOW,
            maximum_packet_size: 65_535,
            channel_buffer_size: 16,
            preferred: Preferred { key: Cow::Owned(algorithms(&self.host_keys)), ..preferred() },
            keepalive_interval: Some(self.keepalive),
            keepalive_max: 3,
            nodelay: true,
            ..client::Config::default()
        })
    }
}

/// What both legs offer: no SHA-1, no CBC, no compression, strict key exchange.
pub fn preferred() -> Preferred {
    const KEX: &[kex::Name] = &[
        kex::MLKEM768X25519_SHA256,
        kex::CURVE25519,
        kex::CURVE25519_PRE_RFC_8731,
        kex::DH_G16_SHA512,
        kex::DH_G18_SHA512,
        kex::DH_G14_SHA256,
        kex::EXTENSION_SUPPORT_AS_CLIENT,
        kex::EXTENSION_SUPPORT_AS_SERVER,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
    ];
    const CIPHER: &[cipher::Name] = &[
        cipher::AES_256_GCM,
        cipher::AES_128_GCM,
        cipher::CHACHA20_POLY1305,
        cipher::AES_256_CTR,
        cipher::AES_192_CTR,
        cipher::AES_128_CTR,
    ];
    const MAC: &[mac::Name] =
        &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];
    Preferred {
        kex: Cow::Borrowed(KEX),
        cipher: Cow::Borrowed(CIPHER),
        mac: Cow::Borrowed(MAC),
        compression: Cow::Borrowed(&[russh::compression::NONE]),
        key: Cow::Owned(
            Preferred::DEFAULT
                .key
                .iter()
                .filter(|algorithm| **algorithm != Algorithm::Rsa { hash: None })
                .cloned()
                .collect(),
        ),
        ..Preferred::DEFAULT
    }
}

/// The algorithms of the keys that are vouched for, so that sshd shows one of those.
fn algorithms(keys: &[PublicKey]) -> Vec<Algorithm> {
    let mut algorithms = Vec::new();
    for key in keys {
        let of_key = match key.algorithm() {
            Algorithm::Rsa { .. } => vec![
                Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
                Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
            ],
            other => vec![other],
        };
        algorithms.extend(of_key);
    }
    // Ed25519 is the cheapest to check.
    algorithms.sort_by_key(|algorithm| *algorithm != Algorithm::Ed25519);
    algorithms.dedup();
    algorithms
}

/// Keys are exchanged, nobody is logged in.
pub struct Connected {
    handle: client::Handle<Witness>,
    source: IpAddr,
}

/// Checks the device's host key and refuses whatever it would open towards us.
pub struct Witness {
    vouched: Vec<PublicKey>,
    refused: Arc<Mutex<bool>>,
}

impl client::Handler for Witness {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let shown = shown.public_key();
        let known = self.vouched.iter().any(|key| key.key_data() == shown.key_data());
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = !known;
        Ok(known)
    }

    // Dropping the reply refuses. russh's own defaults accept some of these.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// A session's connections to its device.
pub struct Upstream {
    route: Route,
    idle: Mutex<VecDeque<client::Handle<Witness>>>,
    open: Arc<tokio::sync::Semaphore>,
}

/// A channel on a device; its connection is idle again when the lease is returned.
pub struct Lease {
    handle: Option<client::Handle<Witness>>,
    upstream: Arc<Upstream>,
    _place: tokio::sync::OwnedSemaphorePermit,
}

impl Upstream {
    /// The session's connections, with the first one logged in.
    pub fn new(route: Route, first: client::Handle<Witness>) -> Arc<Self> {
        let open = Arc::new(tokio::sync::Semaphore::new(MOST_CHANNELS));
        Arc::new(Self { route, idle: Mutex::new(VecDeque::from([first])), open })
    }

    fn take_idle(&self) -> Option<client::Handle<Witness>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|handle| !handle.is_closed());
        idle.pop_front()
    }

    /// Opens a session channel, on an idle connection or on a new one.
    pub async fn open(self: &Arc<Self>) -> Result<(Channel<Msg>, Lease), DialError> {
        let place = Arc::clone(&self.open).try_acquire_owned().map_err(|_| DialError::Channels)?;
        let idle = self.take_idle();
        let reused = idle.is_some();
        let handle = match idle {
            Some(handle) => handle,
            None => self.route.login(self.route.connect().await?).await?,
        };
        let (channel, handle) = match (open_on(&handle).await, reused) {
            (Ok(channel), _) => (channel, handle),
            // An idle connection may have died without our noticing; a new one has not.
            (Err(_), true) => {
                let handle = self.route.login(self.route.connect().await?).await?;
                let channel = open_on(&handle).await.map_err(|why| self.protocol(why))?;
                (channel, handle)
            }
            (Err(why), false) => return Err(self.protocol(why)),
        };
        Ok((channel, Lease { handle: Some(handle), upstream: Arc::clone(self), _place: place }))
    }

    fn protocol(&self, why: String) -> DialError {
        DialError::Protocol { device: self.route.device(), why }
    }

    /// Closes the idle connections; those in use close when their channels do.
    pub fn close(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        self.open.close();
        for handle in idle {
            goodbye(handle);
        }
    }
}

async fn open_on(handle: &client::Handle<Witness>) -> Result<Channel<Msg>, String> {
    match tokio::time::timeout(DEADLINE, handle.channel_open_session()).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it opened no channel within its time".to_owned()),
    }
}

/// Ends a connection without waiting for a device that may not answer.
fn goodbye(handle: client::Handle<Witness>) {
    tokio::spawn(async move {
        let leave = handle.disconnect(Disconnect::ByApplication, "the session is over", "en");
        let _ = tokio::time::timeout(Duration::from_secs(1), leave).await;
    });
}

impl Lease {
    /// The channel closed in order: its connection can carry another.
    pub fn give_back(mut self) {
        if let Some(handle) = self.handle.take() {
            if self.upstream.open.is_closed() {
                goodbye(handle);
            } else {
                let mut idle = self.upstream.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.push_back(handle);
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            goodbye(handle);
        }
    }
}
