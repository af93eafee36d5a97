//! The proxy's settings: `proxy.toml`, then the environment (`TIDEGATE__LISTEN__SSH`
//! for `ssh` of `[listen]`). Unknown keys are refused, and all mistakes are told at
//! once, each with its place. Each part of the program gets its own section.

mod governance;
mod named;
mod notify;
mod read;
mod remote_access;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_common::model::{ByteSize, PublicKey};
use tidegate_common::name::GateName;
use tidegate_common::time::Length;

use crate::algorithms::{self, Algorithms};
use crate::store::StoreUrl;
pub use governance::Governance;
use read::Reader;
pub use remote_access::RemoteAccess;

/// Why the settings were not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the settings {path} cannot be read: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The settings are wrong; one line for each mistake.
    #[error("the settings {path} are wrong:\n{}", .mistakes.join("\n"))]
    Mistakes {
        /// Which file.
        path: PathBuf,
        /// Each with its place.
        mistakes: Vec<String>,
    },
    /// What they name cannot be used; one line for each file.
    #[error("the settings {path} name what cannot be used:\n{}", .wrong.join("\n"))]
    Named {
        /// Which file.
        path: PathBuf,
        /// Each with its setting.
        wrong: Vec<String>,
    },
}

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Keys, certificates, the store unless it is elsewhere, and the local console's socket.
    pub state_dir: PathBuf,
    /// Where recordings go.
    pub recordings_dir: PathBuf,
    /// `[listen]`
    pub listen: Listen,
    /// `[gate]`
    pub gate: Gate,
    /// `[store]`
    pub store: Store,
    /// `[ssh]`
    pub ssh: Ssh,
    /// `[lease]`
    pub lease: Lease,
    /// `[requests]`
    pub requests: Requests,
    /// `[governance]`
    pub governance: Governance,
    /// `[remote_access]`
    pub remote_access: RemoteAccess,
    /// `[vault]`
    pub vault: Vault,
    /// `[recordings]`
    pub recordings: Recordings,
    /// `[audit]`
    pub audit: Audit,
    /// `[notify]`
    pub notify: crate::notify::Settings,
    /// `[log]`
    pub log: Log,
}

/// Where the proxy listens.
#[derive(Debug, Clone)]
pub struct Listen {
    /// For people's SSH.
    pub ssh: SocketAddr,
    /// Host and maybe port that people dial.
    pub ssh_name: Option<(String, Option<u16>)>,
    /// For agents' links.
    pub agents: SocketAddr,
    /// Host name and port that agents are told to dial.
    pub agents_name: Option<String>,
}

/// This gate among those that share a store.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Its name, which no other has.
    pub name: GateName,
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    /// A file of SQLite, or a database of PostgreSQL.
    pub url: StoreUrl,
}

/// The SSH side.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// How often a silent peer is asked whether it lives.
    pub keepalive: Duration,
    /// Connections from one address that have not logged in yet.
    pub unproved_each: usize,
    /// And from all addresses together.
    pub unproved_all: usize,
    /// Environment variables that reach a device; a `*` at the end stands for any rest.
    pub accept_env: Vec<String>,
    /// CAs whose OpenSSH user certificates log users in.
    pub trusted_user_cas: Vec<PublicKey>,
    /// What both legs offer.
    pub algorithms: Algorithms,
}

/// How long a grant lives without word from the proxy.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Renewed every third of it.
    pub duration: Duration,
}

/// How long requests and approvals last.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    /// How long a request waits for a decision.
    pub pending: Length,
    /// How long an approval opens unless the request asked for another time.
    pub window: Length,
    /// How long before a window or exceptional access ends its users are told, where it is twice as long.
    pub tell_before: Length,
}

/// Secrets of credentials.
#[derive(Debug, Clone)]
pub struct Vault {
    /// The master key's file; without one no secret is taken.
    pub key: Option<PathBuf>,
}

/// Recordings.
#[derive(Debug, Clone)]
pub struct Recordings {
    /// No session starts when less than this is free, and those that write most end.
    pub free_floor: ByteSize,
    /// So much is kept for the audit log and the console, in bytes; less than the floor.
    pub reserve: u64,
}

/// The audit log's copy.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Where the JSON lines go.
    pub dir: PathBuf,
}

/// The proxy's own log.
#[derive(Debug, Clone)]
pub struct Log {
    /// A filter of tracing-subscriber: `info`, `tidegate_proxy=debug`.
    pub filter: String,
}

impl Config {
    /// Reads the file and the environment.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = |source| ConfigError::File { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(file)?;
        Self::read(&text, None).map_err(|mistakes| ConfigError::Mistakes { path: path.to_owned(), mistakes })
    }

    /// Reads a text; `environment` stands in for the program's own.
    fn read(text: &str, environment: Option<Vec<(String, String)>>) -> Result<Self, Vec<String>> {
        let mut reader = Reader::new(text, environment)?;
        let state_dir = reader.path("state_dir", PathBuf::from("/var/lib/tidegate"));
        let recordings_dir = reader.path("recordings_dir", state_dir.join("recordings"));
        let any = |port| SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), port);
        let listen = Listen {
            ssh: reader.optional("listen.ssh", address).unwrap_or(any(2222)),
            ssh_name: reader.optional("listen.ssh_name", notify::server),
            agents: reader.optional("listen.agents", address).unwrap_or(any(7443)),
            agents_name: reader.optional("listen.agents_name", host_and_port),
        };
        let gate = Gate { name: reader.parsed("gate.name", host()) };
        let store = Store {
            url: reader
                .optional("store.url", str::parse)
                .unwrap_or_else(|| StoreUrl::Sqlite(state_dir.join("tidegate.db"))),
        };
        let ssh = Ssh {
            keepalive: reader.parsed("ssh.keepalive", seconds(30)).approximate(),
            unproved_each: reader.number("ssh.unproved_each", 64, 1, 100_000),
            unproved_all: reader.number("ssh.unproved_all", 1024, 1, 1_000_000),
            accept_env: reader.list("ssh.accept_env", variable).unwrap_or_else(|| {
                ["LANG", "LC_*", "TERM", "COLORTERM", "GIT_PROTOCOL"].map(str::to_owned).to_vec()
            }),
            trusted_user_cas: reader
                .list("ssh.trusted_user_cas", |text| {
                    text.parse::<PublicKey>().map_err(|error| error.to_string())
                })
                .unwrap_or_default(),
            algorithms: chosen_algorithms(&mut reader),
        };
        let millis = reader.number("lease.millis", 30_000, 1_000, 3_600_000);
        let lease = Lease { duration: Duration::from_millis(u64::try_from(millis).unwrap_or(30_000)) };
        let requests = Requests {
            pending: reader.parsed("requests.pending", Length::hours(24)),
            window: reader.parsed("requests.window", Length::minutes(60)),
            tell_before: reader.parsed("requests.tell_before", Length::hours(1)),
        };
        let governance = Governance::read(&mut reader, requests.window);
        let remote_access = RemoteAccess::read(&mut reader);
        let file = |text: &str| match text {
            "" => Ok(None),
            text => notify::secret_file(text).map(Some),
        };
        let vault = Vault { key: reader.optional("vault.key", file).flatten() };
        let free_floor = reader.parsed("recordings.free_floor", floor());
        let recordings = Recordings { free_floor, reserve: reserve(&mut reader, free_floor) };
        let audit = Audit { dir: reader.path("audit.dir", state_dir.join("audit")) };
        let notify = notify::read(&mut reader);
        let log = Log {
            filter: reader
                .optional("log.filter", |text| Ok(text.to_owned()))
                .unwrap_or_else(|| "info".to_owned()),
        };
        reader.finish()?;
        Ok(Self {
            state_dir,
            recordings_dir,
            listen,
            gate,
            store,
            ssh,
            lease,
            requests,
            governance,
            remote_access,
            vault,
            recordings,
            audit,
            notify,
            log,
        })
    }

    /// What is no mistake and wants something beside the settings.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let ports = [("listen.ssh", self.listen.ssh.port()), ("listen.agents", self.listen.agents.port())];
        let low = ports.into_iter().filter(|(_, port)| (1..1024).contains(port));
        low.map(|(key, port)| {
            format!(
                "`{key}`: the unit may not bind ports below 1024. For {port}, `systemctl edit tidegate-proxy` and \
                 write:\n[Service]\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n\
                 CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nPrivateUsers=no\n\
                 The host's own sshd must listen elsewhere (`Port` in sshd_config)."
            )
        })
        .collect()
    }

    /// The local console's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.state_dir.join("admin.sock")
    }
}

fn chosen_algorithms(reader: &mut Reader) -> Algorithms {
    let kex = some(reader, "ssh.kex", algorithms::kex);
    let ciphers = some(reader, "ssh.ciphers", algorithms::cipher);
    let macs = some(reader, "ssh.macs", algorithms::mac);
    let key = "ssh.host_key_algorithms";
    let host_keys = some(reader, key, algorithms::host_key);
    if host_keys.as_ref().is_some_and(|chosen| !chosen.is_empty() && !algorithms::some_own(chosen)) {
        let own = "the gate itself has an Ed25519 and an RSA key; add ssh-ed25519 or rsa-sha2-512";
        reader.wrong(key, format!("`{key}`: {own}"));
    }
    Algorithms::choose(kex, ciphers, macs, host_keys)
}

/// A list that is left out or names something.
fn some<T>(
    reader: &mut Reader,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let wrong = reader.mistakes();
    let list = reader.list(key, parse)?;
    if list.is_empty() && reader.mistakes() == wrong {
        reader.wrong(key, format!("`{key}` names nothing; leave the key out to offer all that is safe"));
    }
    Some(list)
}

/// This machine's name, as far as it can be a gate's.
fn host() -> GateName {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || ['-', '.', '_'].contains(&letter);
    let name: String = name.to_string_lossy().chars().filter(|letter| fits(*letter)).take(64).collect();
    name.trim_start_matches(['-', '.']).parse().unwrap_or_else(|_| unnamed())
}

#[expect(clippy::expect_used, reason = "a constant, which a test reads")]
fn unnamed() -> GateName {
    "gate".parse().expect("a name")
}

fn seconds(count: u64) -> Length {
    format!("{count}s").parse().unwrap_or(Length::minutes(1))
}

/// A quarter of the floor, and at most 64 MiB, unless it is said.
fn reserve(reader: &mut Reader, floor: ByteSize) -> u64 {
    let size = |text: &str| text.parse::<ByteSize>();
    let Some(said) = reader.optional("recordings.reserve", size) else {
        return (floor.bytes() / 4).min(64 << 20);
    };
    if said.bytes() >= floor.bytes() {
        let why = "must be less than `recordings.free_floor`, or sessions could never end in order";
        reader.wrong("recordings.reserve", format!("`recordings.reserve` {why}"));
    }
    said.bytes()
}

fn floor() -> ByteSize {
    "256 MiB".parse().unwrap_or_default()
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let shown = tidegate_common::unseen::quoted(text, 60);
        format!("`{shown}` is no address with a port; write it as [::]:2222 or 10.20.0.5:2222")
    })
}

fn host_and_port(text: &str) -> Result<String, String> {
    let split = text.rsplit_once(':');
    let port = split.and_then(|(_, port)| port.parse::<u16>().ok()).filter(|port| *port > 0);
    let host = split.map(|(host, _)| host.trim_start_matches('[').trim_end_matches(']')).unwrap_or_default();
    match (port, host.parse::<tidegate_common::model::Address>()) {
        (Some(_), Ok(_)) => Ok(text.to_owned()),
        _ => Err(format!(
            "`{}` is not a host name and a port; write it as gate.example.org:7443",
            text.escape_default()
        )),
    }
}

fn variable(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('*').unwrap_or(text);
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits && !name.is_empty() && !name.starts_with("LD_") {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is no environment variable that may be passed on", text.escape_default()))
    }
}

#[cfg(test)]
mod tests;
