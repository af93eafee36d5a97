//! The wiring: settings in, a running gate out.

use std::io::Write as _;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::BoxFuture;
use tidegate_common::audit::{EndCause, Entry, Event, Note};
use tidegate_common::id::SessionId;
use tidegate_common::model::Credential;
use tidegate_common::name::{CredentialName, DeviceName};
use tidegate_common::notice::Channel;
use tidegate_common::policy;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::access::{Access, Border};
use crate::admission::Admission;
use crate::agents::ca::Ca;
use crate::agents::{self, GrantSeen, ListenerContext, Registry};
use crate::audit_log::{self, AuditLog};
use crate::changes::{Changes, Watchers};
use crate::config::{self, Config};
use crate::console;
use crate::elsewhere::{self, Local};
use crate::geo::Geo;
use crate::governance::{Codes, Endpoint};
use crate::keys::Keys;
use crate::login::Logins;
use crate::notify;
use crate::outside::{self, RemoteAccesses};
use crate::recordings::{self, Floors, Least, RecordingKey, Recordings};
use crate::refusals::Refusals;
use crate::requests::{self, Requests};
use crate::service::{self, Services};
use crate::session::{End, LiveSessions, Sessions};
use crate::ssh::{self, Gate, Stopping};
use crate::ssh_name::SshName;
use crate::store::{self, Store, StoreUrl};
use crate::threads::ConnectionThreads;
use crate::upstream::{Means, Pace};
use crate::vault::{self, Vault};
use crate::witness::Witnesses;

/// How long sessions may take to end when the gate stops.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// Runs the gate until it is told to stop.
///
/// # Errors
/// When it can't start.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    crate::log::start(&config.log.filter);
    vault::keep_memory_private();
    let state = config.state_dir.clone();
    let store = Store::open(&config.store.url, &config.gate.name).await.context("the store")?;
    store.clock_is_right().context("the store")?;
    let watch = store.watch().await.context("the store")?;
    let audit = AuditLog::open(store.clone(), &config.audit.dir).await.context("the audit log")?;
    let remote = &config.remote_access;
    let border = Border {
        inside: remote.inside.clone(),
        report_only: remote.report_only,
        geo: Geo::of(remote.geoip.clone()),
        automatic: remote.automatic,
        automatic_duration: remote.automatic_duration,
    };
    let access = Access::load(store.clone(), audit.clone(), border).await.context("the resources")?;
    let config::Governance { form, endpoint } = config.governance.clone();
    let endpoint = endpoint.map(Endpoint::new).transpose().context("what governance codes are asked of")?;
    let config::Requests { pending, window, tell_before } = config.requests;
    let access = access.with_codes(Codes { form, endpoint }).with_tell_before(tell_before);
    let workflow = requests::Settings { pending, window, tell_before };
    let requests = Requests::new(store.clone(), access.clone(), audit.clone(), workflow);
    let (mut keys, ca) = {
        let state = state.clone();
        let open = move || anyhow::Ok((Keys::open(&state)?, Ca::open(&state)?));
        tokio::task::spawn_blocking(open).await?.context("the gate's keys")?
    };
    let algorithms = config.ssh.algorithms.clone();
    keys.choose(&algorithms);
    let keys = Arc::new(keys);
    let vault = Vault::new(store.clone(), audit.clone(), config.vault.key.clone());
    vault.check().await?;
    let recordings = Recordings::open(recorded(&config), RecordingKey::open(&state)?)?;
    let registry = Registry::new(config.lease.duration, config.gate.name.clone());
    let (live, watchers) = (LiveSessions::default(), Watchers::default());
    let sessions = Arc::new(Sessions {
        access: access.clone(),
        agents: registry.clone(),
        audit: audit.clone(),
        store: store.clone(),
        recordings: recordings.clone(),
        means: Means {
            keys: Arc::clone(&keys),
            algorithms,
            keepalive: config.ssh.keepalive,
            audit: audit.clone(),
            agents: registry.clone(),
            pace: Pace::default(),
            vault: vault.clone(),
        },
        live: live.clone(),
        watchers: watchers.clone(),
    });

    let ssh_listener = TcpListener::bind(config.listen.ssh)
        .await
        .with_context(|| format!("ssh can't listen on {}", config.listen.ssh))?;
    let agents_listener = TcpListener::bind(config.listen.agents)
        .await
        .with_context(|| format!("the agents' listener can't listen on {}", config.listen.agents))?;
    let (ssh_address, agents_address) = (ssh_listener.local_addr()?, agents_listener.local_addr()?);
    let ssh_name = dialled(&config, ssh_address);

    let mut outside = outside::Settings::from(remote);
    outside.sends.retain(|channel| match channel {
        Channel::Mail => config.notify.mail.is_some(),
        Channel::Sms => config.notify.sms.is_some(),
        Channel::Webhook => false,
    });
    let remote_accesses =
        RemoteAccesses::new(store.clone(), access.clone(), audit.clone(), vault.clone(), outside);
    let services = Arc::new(Services {
        store: store.clone(),
        access: access.clone(),
        requests: requests.clone(),
        remote_accesses: remote_accesses.clone(),
        changes: Changes::new(store.clone(), access.clone(), audit.clone()),
        audit: audit.clone(),
        vault: vault.clone(),
        recordings: recordings.clone(),
        live: live.clone(),
        agents: Arc::new(registry.clone()),
        ca_fingerprint: ca.fingerprint(),
        agents_address: config.listen.agents_name.clone().unwrap_or_else(|| agents_address.to_string()),
        ssh_name: ssh_name.clone(),
    });
    let refusals = Refusals::new(audit.clone());
    let context = Arc::new(ListenerContext {
        registry,
        ca,
        user_ca: keys.user_ca().to_openssh().context("the user CA")?,
        store: store.clone(),
        audit: audit.clone(),
        witnesses: Witnesses::new(recordings.clone(), store.clone()),
        watchers,
        access: access.clone(),
        refusals: refusals.clone(),
        vouching: tokio::sync::Mutex::default(),
    });
    audit.tell_by(audit_log::Rules {
        posted: config.notify.webhook.iter().flat_map(|webhook| webhook.kinds.clone()).collect(),
        of_event: {
            let (access, gate) = (access.clone(), config.gate.name.clone());
            let now = jiff::Timestamp::now;
            Box::new(move |event| policy::notify_of_event(&access.snapshot(), &gate, event, now()))
        },
    });
    let about = notify::About { gate: config.gate.name.to_string(), ssh: mailed(&config, ssh_name.clone()) };
    let sender = notify::run(
        store.clone(),
        audit.clone(),
        access.clone(),
        vault.clone(),
        about,
        config.notify.clone(),
    );
    let threads = ConnectionThreads::for_processors();
    let expiry = requests.clone().keep_expiring();
    let reviews = access.clone().keep_reviews();
    let locations = {
        let access = access.clone();
        async move { access.keep_locations().await }
    };
    let lives = live.clone();
    let local = Local {
        access: access.clone(),
        requests: requests.clone(),
        end: Box::new(move |id, by| {
            // One that has ended meanwhile needs no order.
            if let Some(session) = lives.get(id) {
                session
                    .end(End { cause: EndCause::Killed, message: Some(format!("{by} ended the session")) });
            }
        }),
    };
    // Until the end, when the last session has left.
    let mut elsewhere = pin!(elsewhere::keep_up(store.clone(), watch, local));
    let stopping = Arc::new(Stopping::default());
    let gate = Arc::new(Gate {
        stopping: Arc::clone(&stopping),
        admission: Admission::new(access.clone(), requests, audit.clone(), ssh_name),
        logins: Logins::new(
            access.clone(),
            audit.clone(),
            refusals.clone(),
            config.ssh.trusted_user_cas.clone(),
        ),
        access,
        audit: audit.clone(),
        sessions,
        console: Arc::clone(&services),
        refusals: refusals.clone(),
        keys,
        settings: config.ssh.clone(),
    });

    recover(&store, &audit, &recordings).await?;
    if let Err(error) = services.changes.report_cut_off().await {
        tracing::error!(%error, "sessions under changes that were cut off are not reported yet");
    }
    audit.append(Event::ProxyStarted { version: Note::new(env!("CARGO_PKG_VERSION")) }).await?;
    let admin = console::listen(services, &config.socket())?;
    // Whoever went away does not wait for it.
    let _ = writeln!(std::io::stdout(), "ready ssh={ssh_address} agents={agents_address}");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = ssh::listen(gate, ssh_listener, &threads) => {}
        ended = agents::listen(Arc::clone(&context), agents_listener) => ended?,
        () = agents::keep_seen(&context) => {}
        () = refusals.keep_summing() => {}
        () = admin => {}
        () = expiry => {}
        () = reviews => {}
        () = &mut elsewhere => {}
        () = locations => {}
        () = remote_accesses.keep_ending() => {}
        () = sender => {}
        () = watch_disks(floors(&config), &audit) => {}
        () = watchdog() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    refusals.sum_up(true).await;
    context.sum_up(true).await;
    tokio::join!(stopping.stop(), stop(&live, &audit));
    store.close().await.context("the store")
}

/// Copies one store into another, which no gate may use meanwhile; says what the copy has.
///
/// # Errors
/// When a gate runs, the target is not empty, a store fails, or the copy's audit log does not hold.
pub async fn copy_store(socket: &Path, from: &str, to: &str) -> anyhow::Result<String> {
    let url = |what: &str, text: &str| -> anyhow::Result<StoreUrl> {
        text.parse().map_err(|why: String| anyhow::anyhow!("{what} is no store: {why}"))
    };
    let (from, to) = (url("FROM", from)?, url("TO", to)?);
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        anyhow::bail!("the gate of these settings runs; stop it first (systemctl stop tidegate-proxy)");
    }
    let (copied, rows) = store::copy(&from, &to).await.context("nothing was copied")?;
    let parts = audit_log::verify_parts(&copied).await.context("the copy's audit log does not hold")?;
    copied.close().await?;
    let mut told = format!("copied {rows} rows; change `store.url` to use them");
    for (gate, end) in parts {
        told.push_str(&format!(
            "\nthe audit log of gate {gate} is whole: {} records, the last link is {}",
            end.seq, end.link
        ));
    }
    Ok(told)
}

/// What people type to reach the gate, as far as it is known.
fn dialled(config: &Config, listens: std::net::SocketAddr) -> SshName {
    match config.listen.ssh_name.clone() {
        Some((host, port)) => SshName { host, port: port.unwrap_or(listens.port()) },
        None => SshName::unsaid(listens.port()),
    }
}

/// The same for who reads it elsewhere and has not dialled it just now: this machine, unless
/// something is said.
fn mailed(config: &Config, name: SshName) -> SshName {
    match config.listen.ssh_name {
        Some(_) => name,
        None => {
            let machine = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
            SshName { host: machine, ..name }
        }
    }
}

/// Tells once a day that a disk is near its floor, while it is; for ever.
async fn watch_disks(floors: Floors, audit: &AuditLog) {
    let mut told: Option<std::time::Instant> = None;
    loop {
        if let Ok(Least { dir, free }) = floors.least() {
            let (near, recently) = (
                free < floors.floor.saturating_mul(2),
                told.is_some_and(|told| told.elapsed() < Duration::from_secs(24 * 3600)),
            );
            if near && !recently {
                let (place, floor) = (Note::new(dir.to_string_lossy()), floors.floor);
                if audit.append(Event::DiskLow { place, free, floor }).await.is_ok() {
                    told = Some(std::time::Instant::now());
                }
            } else if !near {
                told = None;
            }
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

/// Where recordings go, and what must stay free on every disk that the gate writes to.
fn recorded(config: &Config) -> recordings::Settings {
    recordings::Settings::new(config.recordings_dir.clone(), floors(config))
}

fn floors(config: &Config) -> Floors {
    let mut places = vec![config.recordings_dir.clone(), config.state_dir.clone(), config.audit.dir.clone()];
    places.extend(config.store.url.directory());
    let (floor, reserve) = (config.recordings.free_floor.bytes(), config.recordings.reserve);
    Floors { floor, reserve, places }
}

/// What an earlier run left: sessions without an end, recordings without a seal.
async fn recover(store: &Store, audit: &AuditLog, recordings: &Recordings) -> anyhow::Result<()> {
    let interrupted: Vec<SessionId> = store.sessions_without_end().await?.iter().map(|row| row.id).collect();
    if interrupted.is_empty() {
        return Ok(());
    }
    let mut events: Vec<Entry> = Vec::new();
    for recordings::Unsealed { session, location } in recordings.unsealed().await? {
        if interrupted.contains(&session) {
            events.push(Event::RecordingIncomplete { file: Note::new(location.to_string_lossy()) }.into());
        }
    }
    let step = Store::sessions_interrupted(interrupted, jiff::Timestamp::now());
    Ok(audit.step(events, step).await?)
}

/// Ends every session and waits until their grants are revoked.
async fn stop(live: &LiveSessions, audit: &AuditLog) {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    let message = Some("the gate is stopping, so the session ends".to_owned());
    live.end_all(&End { cause: EndCause::Shutdown, message });
    let _ = tokio::time::timeout(STOP_DEADLINE, live.empty()).await;
    let stopped = Event::ProxyStopped { why: Note::new("it was told to stop") };
    if let Err(error) = audit.append(stopped).await {
        tracing::error!(%error, "the end could not be logged");
    }
}

/// Tells systemd that we live, as often as it asks for; for ever.
async fn watchdog() {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut beat = tokio::time::interval(patience / 3);
    loop {
        beat.tick().await;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
    }
}

impl service::AgentLinks for Registry {
    fn link(&self, device: &DeviceName) -> Option<service::Link> {
        self.status(device).map(|status| service::Link {
            version: status.version,
            up: status.since.elapsed(),
            witness: status.witness,
            foreign_keys: status.vouched.foreign.iter().map(ToString::to_string).collect(),
        })
    }

    fn grants(&self) -> Vec<GrantSeen> {
        Self::grants(self)
    }

    fn plan(&self, credential: Arc<Credential>) -> BoxFuture<'static, Option<Vec<String>>> {
        let registry = self.clone();
        Box::pin(async move {
            let CredentialName { account, device } = credential.name.clone();
            registry.plan(&device, account, credential.privileges.clone()).await
        })
    }

    fn more(&self, device: &DeviceName) -> u64 {
        self.budgets().more(device)
    }

    fn disconnect(&self, device: &DeviceName) {
        self.dismiss(device, "this agent's enrolment was revoked");
    }
}
