//! Peers that repeat without end what costs them nothing: a client, and a device's sshd.
//! Each is cut off with the reason, and the gate's memory stays what it was.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::client::{self, DisconnectReason};
use russh::keys::{Certificate, PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh::server::{self, Auth, ChannelOpenHandle, Msg};
use russh::{Channel, ChannelId, Sig};
use serde_json::Value;
use tidegate_tests::client::login;
use tidegate_tests::device::ACCOUNT;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::attacks::Pretended;
use crate::forwards::free_port;
use crate::needs_devices;
use crate::scene::text;
use crate::ways::{USER, street};

/// What a flood may cost a gate that serves others as well, in KiB.
pub const MOST_KIB: u64 = 64 * 1024;
/// More than any gate may take before it says something.
const FLOOD: usize = 1_000_000;
/// How long a flood may last.
const DEADLINE: Duration = Duration::from_secs(180);
/// What stays in the gate while the device reads nothing: its sshd takes 2 MiB of it.
const UNREAD: usize = 3 * 1024 * 1024;

/// The gate's memory, in KiB.
pub fn memory(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.proxy_pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn play<T>(scene: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, scene).await }).expect("nobody cuts it off")
}

/// Waits until the log has an event of this type whose `field` says `what`.
fn logged(world: &World, kind: &str, field: &str, what: &str) -> Value {
    let found = wait::until("the log tells of it", PATIENCE, || {
        let log = world.json(&["audit", "tail", "-n", "2000"]).unwrap();
        let mut events = log.as_array()?.iter().map(|record| &record["event"]);
        events.rfind(|event| text(event, "type") == kind && text(event, field).contains(what)).cloned()
    });
    found.unwrap_or_else(|error| {
        panic!("{error}: {kind} {what}: {:#?}", world.json(&["audit", "tail", "-n", "60"]))
    })
}

/// A client that keeps the gate's last word.
#[derive(Clone, Default)]
struct Rude(Arc<Mutex<String>>);

impl client::Handler for Rude {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        if let DisconnectReason::ReceivedDisconnect(told) = reason {
            *self.0.lock().unwrap() = told.message;
        }
        Ok(())
    }
}

type Sent = Result<(), russh::Error>;

/// Starts a program that reads nothing and repeats something on its channel until the
/// gate has enough; answers the gate's last word.
async fn repeat(world: &World, what: impl AsyncFn(&Channel<client::Msg>) -> Sent) -> String {
    let rude = Rude::default();
    let config = Arc::new(client::Config::default());
    let mut gate = client::connect(config, world.ssh().unwrap(), rude.clone()).await.unwrap();
    let key = load_secret_key(world.client().key(USER).unwrap(), None).unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let user = login(USER, &format!("{ACCOUNT}@db01"));
    assert!(gate.authenticate_publickey(user, key).await.unwrap().success());
    let channel = gate.channel_open_session().await.unwrap();
    channel.exec(true, "sleep 600").await.unwrap();
    channel.data_bytes(vec![0; UNREAD]).await.unwrap();
    for _ in 0..FLOOD {
        if what(&channel).await.is_err() {
            break;
        }
    }
    while !gate.is_closed() {
        tokio::task::yield_now().await;
    }
    rude.0.lock().unwrap().clone()
}

#[test]
fn a_client_that_repeats_itself_on_a_stuck_channel_is_cut_off_with_the_reason_and_costs_no_memory() {
    needs_devices!();
    let world = &street().world;
    let before = memory(world);
    let twice = "your ssh client ended the data of a channel twice, so its connection is closed";
    assert_eq!(play(repeat(world, async |channel| channel.eof().await)), twice);
    assert_eq!(text(&logged(world, "session-ended", "detail", twice), "cause"), "protocol");
    let many =
        "your ssh client asked for more on one channel than is kept waiting, so its connection is closed";
    assert_eq!(play(repeat(world, async |channel| channel.window_change(80, 24, 0, 0).await)), many);
    assert_eq!(play(repeat(world, async |channel| channel.signal(Sig::USR1).await)), many);
    let after = memory(world);
    assert!(after < before + MOST_KIB, "{before} KiB became {after} KiB");
}

#[test]
fn names_that_a_client_makes_up_are_bounded() {
    needs_devices!();
    let world = &street().world;
    let before = memory(world);
    let long = "x".repeat(30_000);
    play(async {
        let rude = Rude::default();
        let config = Arc::new(client::Config::default());
        let mut gate = client::connect(config, world.ssh().unwrap(), rude).await.unwrap();
        let key = load_secret_key(world.client().key(USER).unwrap(), None).unwrap();
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        let user = login(USER, &format!("{ACCOUNT}@db01"));
        assert!(gate.authenticate_publickey(user, key).await.unwrap().success());
        let mut channels = Vec::new();
        for _ in 0..16 {
            let channel = gate.channel_open_session().await.unwrap();
            for number in 0..64 {
                channel.set_env(false, format!("LC_{number}{long}"), long.as_str()).await.unwrap();
            }
            channel.exec(true, "sleep 600").await.unwrap();
            channel.data_bytes(vec![0; UNREAD]).await.unwrap();
            for _ in 0..1000 {
                channel.signal(Sig::Custom(long.clone())).await.unwrap();
            }
            channels.push(channel);
        }
        let kept = memory(world);
        assert!(kept < before + 3 * MOST_KIB, "{before} KiB became {kept} KiB");
        gate.disconnect(russh::Disconnect::ByApplication, "", "").await.unwrap();
    });
}

/// A device's sshd that lets everybody in and ends data without end.
#[derive(Clone, Copy)]
struct Hostile;

impl Hostile {
    /// Serves with the key of the client directory's `host`.
    fn serve(world: &World) -> SocketAddr {
        Self::serve_but(world, Arc::default())
    }

    /// The same, and drops as many connections first as `drops` says by then, as sshd does while
    /// too many log in.
    fn serve_but(world: &World, drops: Arc<AtomicUsize>) -> SocketAddr {
        let key = load_secret_key(world.client().key("host").unwrap(), None).unwrap();
        let config = Arc::new(server::Config { keys: vec![key], ..server::Config::default() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let left = drops.load(Ordering::Relaxed);
                    if left > 0 {
                        drops.store(left - 1, Ordering::Relaxed);
                        continue;
                    }
                    let config = Arc::clone(&config);
                    tokio::spawn(async move {
                        if let Ok(running) = server::run_stream(config, stream, Self).await {
                            let _ = running.await;
                        }
                    });
                }
            });
        });
        address
    }
}

impl server::Handler for Hostile {
    type Error = russh::Error;

    async fn auth_openssh_certificate(&mut self, _: &str, _: &Certificate) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        if command == b"refused" {
            return session.channel_failure(id);
        }
        session.channel_success(id)?;
        if command == b"fine" {
            session.data(id, b"fine\n".to_vec())?;
            session.exit_status_request(id, 0)?;
            session.eof(id)?;
            return session.close(id);
        }
        let (handle, status) = (session.handle(), command == b"status");
        tokio::spawn(async move {
            for _ in 0..FLOOD {
                let told =
                    if status { handle.exit_status_request(id, 0).await } else { handle.eof(id).await };
                if told.is_err() {
                    break;
                }
            }
        });
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut server::Session,
    ) -> Result<bool, Self::Error> {
        let (handle, address, port) = (session.handle(), address.to_owned(), *port);
        tokio::spawn(async move {
            let guest = handle.channel_open_forwarded_tcpip(address, port, "127.0.0.1", 1).await.unwrap();
            for _ in 0..FLOOD {
                if guest.eof().await.is_err() {
                    break;
                }
            }
        });
        Ok(true)
    }
}

#[test]
fn a_device_that_drops_connections_is_tried_again_and_one_that_drops_them_all_is_said_to() {
    let world = World::start(Options::default()).unwrap();
    let drops = Arc::new(AtomicUsize::new(2));
    let address = Hostile::serve_but(&world, Arc::clone(&drops));
    let pretended = Pretended::in_world(world, address);
    let client = pretended.world.client();
    let ssh = || {
        let ssh = client.ssh_with("visitor", "ops@pretended", &[], &["fine"]).unwrap();
        ssh.within(DEADLINE).run().unwrap()
    };
    let done = ssh();
    assert!(done.success() && done.out() == "fine\n", "{}", done.all());
    assert_eq!(drops.load(Ordering::Relaxed), 0, "two were dropped");
    drops.store(FLOOD, Ordering::Relaxed);
    let done = ssh();
    assert!(!done.success() && done.err().contains("`MaxStartups`"), "{}", done.all());
    let tried = FLOOD - drops.load(Ordering::Relaxed);
    assert!((3..100).contains(&tried), "tried {tried} times");
}

#[test]
fn a_devices_sshd_that_repeats_itself_is_cut_off_with_the_reason_and_costs_no_memory() {
    let world = World::start(Options::default()).unwrap();
    let address = Hostile::serve(&world);
    let pretended = Pretended::in_world(world, address);
    let world = &pretended.world;
    let before = memory(world);
    let ssh = |options: &[&str], command: &[&str]| {
        world.client().ssh_with("visitor", "ops@pretended", options, command).unwrap().within(DEADLINE)
    };
    let done = ssh(&[], &["data"]).run().unwrap();
    let twice = "the device's sshd told the end of its data twice, which no server does";
    assert!(done.err().contains(twice), "{}", done.all());
    let done = ssh(&[], &["status"]).run().unwrap();
    let twice = "the device's sshd told how its program ended twice, which no server does";
    assert!(done.err().contains(twice), "{}", done.all());

    // What it does not start was asked for, and the log says what became of it.
    let done = ssh(&[], &["refused"]).run().unwrap();
    assert!(!done.success(), "{}", done.all());
    let asked = logged(world, "command-run", "command", "refused");
    let refused = logged(world, "channel-refused", "why", "the device refuses to start that");
    assert_eq!((&refused["session"], text(&refused, "kind")), (&asked["session"], "exec".to_owned()));
    let log = world.admin(&["audit", "tail", "-n", "200"]).unwrap().ok().unwrap().out();
    assert!(log.contains("asked to run (exec request): refused") && !log.contains(" ran ("), "{log}");
    let of_session = log.lines().filter(|line| line.contains(&text(&refused, "session")));
    let channel: Vec<&str> = of_session.filter(|line| line.contains(": channel ")).collect();
    assert!(channel.iter().any(|line| line.ends_with(" asked for: exec")), "{channel:#?}");
    assert!(channel.iter().any(|line| line.contains(": channel refused: exec: ")), "{channel:#?}");
    assert!(!channel.iter().any(|line| line.contains("opened")), "{channel:#?}");

    let (port, silent) = (free_port(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let forward = format!("{port}:127.0.0.1:{}", silent.local_addr().unwrap().port());
    let guest = ssh(&["-N", "-R", &forward], &[]).start().unwrap();
    let why = "the device ended the data of a channel twice, so the connection to it is closed";
    logged(world, "channel-refused", "why", why);
    guest.kill().unwrap();
    let after = memory(world);
    assert!(after < before + MOST_KIB, "{before} KiB became {after} KiB");
}
