//! Where rounds are played: a device with every kind of privilege, a proxy of its own,
//! and what is needed to break each of them and to mend it again.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::dice::Dice;
use super::fault::{LEASE, Rescuer, TIMER, WATCHDOG, Way};
use super::picture::{GROUP, Logins, Picture};
use crate::device::Device;
use crate::host::Host;
use crate::run::{Run, Running};
use crate::wait;
use crate::world::{Options, World};

/// Who may log in, where nothing of theirs is but what sessions bring.
pub const CREDENTIALS: [&str; 4] = ["ops", "asleep", "guest", "awake"];

/// The agent's state has a file system of its own, as large as this.
const STATE: &str = "/var/lib/tidegate-agent";
const STATE_SIZE: &str = "size=4m";

const SABOTEUR: &str = include_str!("saboteur.c");
const LIBRARY: &str = "/usr/local/lib/saboteur.so";
const ORDERS: &str = "/run/tidegate/saboteur";
const CLOCK: &str = "/run/tidegate/clock";

/// Nobody's address on the wire.
const NOWHERE: &str = "02:00:00:00:00:01";

/// What may take long on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

const PROGRAMS: [(&str, &str); 3] = [
    ("grant", "#!/bin/sh\necho \"$TIDEGATE_VALUE_ROLE\" >/var/lib/role-of-$TIDEGATE_ACCOUNT\n"),
    ("verify", "#!/bin/sh\ntest -e /var/lib/role-of-$TIDEGATE_ACCOUNT\n"),
    ("revoke", "#!/bin/sh\nrm -f /var/lib/role-of-$TIDEGATE_ACCOUNT\n"),
];

/// A device and its proxy, and the device as it was before anybody came.
pub struct Arena {
    pub world: World,
    pub device: Device,
    pub quick: Picture,
    pub whole: Picture,
}

impl Arena {
    /// Sets one up below `base`.
    pub fn set_up(base: &Path, name: &str, rescuer: Rescuer) -> Result<Self> {
        let device = Device::make(base, name)?;
        let state = device.path(STATE);
        fs::create_dir_all(&state)?;
        Run::new("mount").args(["-t", "tmpfs", "-o", STATE_SIZE, "tidegate"]).arg(&state).ok()?;
        device.power_on()?;
        let world = World::start(Options { lease: LEASE, ..Options::default() })?;
        people(&device)?;
        world.apply(&resources(&world, &device)?)?;
        world.enrol(&device)?;
        sabotage(&device, rescuer)?;
        world.await_agent(&device)?;
        let (quick, whole) = (Picture::quick(&device, Logins::All), Picture::whole(&device, Logins::All)?);
        let arena = Self { world, device, quick, whole };
        arena.rehearse().context("before anything was struck")?;
        Ok(arena)
    }

    /// The comparison must see what each credential is granted, that somebody is logged in
    /// with it, and that both go.
    fn rehearse(&self) -> Result<()> {
        for credential in CREDENTIALS {
            let session = self.session(credential, PATIENCE)?;
            let seen = wait::until_true(credential, PATIENCE, || {
                let difference = self.difference(Logins::All);
                let (processes, rest): (Vec<&str>, Vec<&str>) =
                    difference.lines().partition(|line| line.starts_with("a process is there"));
                !processes.is_empty() && !rest.is_empty()
            });
            let said = session.kill()?;
            seen.with_context(|| said.all())?;
            let gone = wait::until_true(credential, PATIENCE, || self.difference(Logins::All).is_empty());
            gone.with_context(|| self.difference(Logins::All))?;
        }
        self.step_clock(-86_400)?;
        let said = self.device.run(&["tidegate-agent", "doctor"])?.all();
        self.right_clock()?;
        ensure!(
            said.contains("s behind the proxy's; no session"),
            "the agent's clock was not stepped:\n{said}"
        );
        Ok(())
    }

    /// What differs from before, without asking programs.
    #[must_use]
    pub fn difference(&self, logins: Logins) -> String {
        self.quick.difference(&Picture::quick(&self.device, logins))
    }

    /// What differs from before, by every means.
    pub fn whole_difference(&self, logins: Logins) -> Result<String> {
        Ok(self.whole.difference(&Picture::whole(&self.device, logins)?))
    }

    /// Gives the saboteur its orders; an empty text takes them back.
    pub fn order(&self, orders: &str) -> Result<()> {
        if orders.is_empty() {
            fs::remove_file(self.device.path(ORDERS)).ok();
            return Ok(());
        }
        self.tell(ORDERS, orders)
    }

    /// Tells the saboteur something in one step: it must not read half of it.
    fn tell(&self, file: &str, text: &str) -> Result<()> {
        let path = self.device.path(file);
        let fresh = path.with_extension("new");
        fs::write(&fresh, text)?;
        Ok(fs::rename(fresh, path)?)
    }

    /// Whether all orders were carried out.
    #[must_use]
    pub fn is_struck(&self) -> bool {
        !self.device.path(ORDERS).exists()
    }

    /// A session that would stay so long, and leave a process behind.
    pub fn session(&self, credential: &str, stay: Duration) -> Result<Running> {
        let command = format!(
            "sudo -n true 2>/dev/null; setsid nohup sleep 600 >/dev/null 2>&1 </dev/null & sleep {:.3}",
            stay.as_secs_f64()
        );
        let target = format!("{credential}@{}", self.device.name());
        self.world.client().ssh("olga", &target, &[&command])?.start()
    }

    /// Sends the agent a signal.
    pub fn signal_agent(&self, signal: &str) -> Result<()> {
        let signal = format!("--signal={signal}");
        self.device.ok(&["systemctl", "kill", "--kill-who=main", &signal, "tidegate-agent"])?;
        Ok(())
    }

    /// Kills sshd's processes of all sessions; false where there was none.
    pub fn kill_sshd(&self) -> Result<bool> {
        let killed = self.device.run(&["pkill", "-KILL", "-f", "^sshd: (ops|asleep|awake|tg-)"])?;
        Ok(killed.success())
    }

    /// Cuts the network. Frames go to an address on the wire that nobody has, so they
    /// are lost without a word to either end, and the other direction stays.
    pub fn cut(&self, way: Way) -> Result<()> {
        let nobody = ["lladdr", NOWHERE, "nud", "permanent"];
        self.ends(way).into_iter().try_for_each(|end| end.neighbour("replace").args(nobody).ok().map(drop))
    }

    /// Mends the network.
    pub fn mend_network(&self, way: Way) -> Result<()> {
        self.ends(way).into_iter().try_for_each(|end| end.neighbour("del").ok().map(drop))
    }

    fn ends(&self, way: Way) -> Vec<WireEnd> {
        let link = self.device.link().to_owned();
        let (here, there) = (self.device.host_address(), self.device.address());
        let sends_to_device = WireEnd { space: None, interface: link.clone(), peer: there };
        let sends_to_proxy = WireEnd { space: Some(link), interface: "host0".to_owned(), peer: here };
        match way {
            Way::ToDevice => vec![sends_to_device],
            Way::ToProxy => vec![sends_to_proxy],
            Way::Both => vec![sends_to_device, sends_to_proxy],
        }
    }

    /// Makes the disk of the agent's state exactly as large as what is on it.
    pub fn fill_state(&self) -> Result<()> {
        // The agent may write between the two; then there is less room than it has taken.
        let script = "mount -o remount,size=$(df --output=used -B1 $1 | tail -1) $1 2>/dev/null";
        let fill = || self.device.ok(&["sh", "-c", script, "sh", STATE]).is_ok();
        wait::until_true("the state's disk is full", PATIENCE, fill)
    }

    /// Gives it room again.
    pub fn empty_state(&self) -> Result<()> {
        self.device.ok(&["mount", "-o", &format!("remount,{STATE_SIZE}"), STATE])?;
        Ok(())
    }

    /// Lets nothing be written below the agent's state by whoever opens it from now on.
    pub fn freeze_state(&self) -> Result<()> {
        self.device.ok(&["mount", "--bind", STATE, STATE])?;
        self.device.ok(&["mount", "-o", "remount,bind,ro", STATE])?;
        Ok(())
    }

    /// Lets it be written again.
    pub fn thaw_state(&self) -> Result<()> {
        // What a sweep has open there at this moment does not hold it up.
        self.device.ok(&["umount", "--lazy", STATE])?;
        Ok(())
    }

    /// Cuts the power and brings it back; with `tear`, a part of the journal's last record
    /// is lost with it. Returns when sshd answers.
    pub fn lose_power(&self, tear: Option<&mut Dice>) -> Result<()> {
        self.device.cut_power()?;
        if let Some(dice) = tear {
            tear_journal(&self.device.path(STATE).join("journal"), dice)?;
        }
        self.device.power_on()
    }

    /// Steps the wall clock of the agent, the sweep and their tools from now on.
    pub fn step_clock(&self, by: i64) -> Result<()> {
        self.tell(CLOCK, &by.to_string())
    }

    /// Sets it right again.
    pub fn right_clock(&self) -> Result<()> {
        Ok(fs::remove_file(self.device.path(CLOCK))?)
    }

    /// Waits until a session is let in.
    pub fn lets_in(&self) -> Result<()> {
        let enters = || {
            let done = self.session("ops", Duration::ZERO).and_then(Running::done);
            done.is_ok_and(|done| done.success())
        };
        wait::until_true("a session is let in", PATIENCE, enters)
    }

    /// Brings back whatever does not run, and waits until agent and proxy are linked.
    pub fn mend(&self) -> Result<()> {
        if self.world.proxy_pid().is_err() {
            self.world.start_proxy()?;
        }
        let name = self.device.name();
        let soon = Duration::from_secs(2);
        let linked = || self.world.agent_is_connected(name);
        if wait::until_true("the agent links", soon, linked).is_ok() {
            return Ok(());
        }
        // It may be in one of its long pauses, after a cut.
        self.device.ok(&["systemctl", "restart", "tidegate-agent"])?;
        let linked = wait::until_true("the agent links", PATIENCE, linked);
        linked.with_context(|| self.device.journal("tidegate-agent"))
    }
}

/// One end of the wire between a device and the machine, and whom it sends to.
struct WireEnd {
    /// The network namespace; the machine's own without.
    space: Option<String>,
    interface: String,
    peer: Ipv4Addr,
}

impl WireEnd {
    /// An ip-neighbour(8) command about the other end.
    fn neighbour(&self, verb: &str) -> Run {
        let space = self.space.iter().flat_map(|space| ["-n", space.as_str()]);
        let peer = self.peer.to_string();
        Run::new("ip").args(space).args(["neigh", verb, &peer, "dev", &self.interface])
    }
}

/// Accounts, and an administrator's programs.
fn people(device: &Device) -> Result<()> {
    for account in ["asleep", "awake"] {
        device.add_account(account)?;
    }
    device.ok(&["usermod", "-L", "-e", "1", "-s", "/usr/sbin/nologin", "asleep"])?;
    device.authorize(
        "ops",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAHp7jsVbVh3tEh0pnVd0Cqv0tYxA7C8dZ6nS3dM0000 own",
    )?;
    let place = device.path("/etc/tidegate-agent/custom/db-role");
    fs::create_dir_all(&place)?;
    for (name, text) in PROGRAMS {
        fs::write(place.join(name), text)?;
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755))?;
    }
    fs::write(place.join("privilege.toml"), "[values.role]\none_of = [\"read\"]\n")?;
    Ok(())
}

/// Every kind of privilege, several at once.
fn resources(world: &World, device: &Device) -> Result<String> {
    let groups = format!("{{ kind = \"groups\", groups = [\"{}\"] }}", GROUP.0);
    let sudo = "{ kind = \"sudo\" }";
    let custom = "{ kind = \"custom\", name = \"db-role\", values = { role = \"read\" } }";
    let enable = "{ kind = \"account-enable\", shell = \"/bin/sh\" }";
    let given = [
        ("ops", vec![sudo, &groups]),
        ("asleep", vec![enable, sudo, &groups, custom]),
        ("guest", vec!["{ kind = \"account-create\" }", sudo, &groups]),
        ("awake", vec![custom]),
    ];
    let name = device.name();
    let mut text = format!(
        "[[device]]\nname = \"{name}\"\naddress = \"{}\"\n[[user]]\nname = \"olga\"\nkeys = [\"{}\"]\n\
         [[access_group]]\nname = \"all\"\nusers = [\"olga\"]\ncriteria = {{ devices = [\"{name}\"] }}\nsession = {{}}\n",
        device.address(),
        world.client().public_key("olga")?,
    );
    for (account, privileges) in given {
        text.push_str(&format!(
            "[[credential]]\nname = \"{account}@{name}\"\nprivileges = [{}]\n",
            privileges.join(", ")
        ));
    }
    Ok(text)
}

/// Loads the saboteur into the device's programs and makes systemd as quick as the lease is short.
fn sabotage(device: &Device, rescuer: Rescuer) -> Result<()> {
    let library = device.path(LIBRARY);
    let words = ["-Wall", "-shared", "-fPIC", "-O2", "-x", "c", "-", "-o"];
    Run::new("cc").args(words).arg(&library).stdin(SABOTEUR).ok()?;
    fs::write(device.path("/etc/ld.so.preload"), format!("{LIBRARY}\n"))?;
    let watchdog = match rescuer {
        Rescuer::Watchdog => format!("{}ms", WATCHDOG.as_millis()),
        Rescuer::Timer => "0".to_owned(),
    };
    let units = [
        ("tidegate-agent.service", format!("[Service]\nRestartSec=100ms\nWatchdogSec={watchdog}\n")),
        // systemd lets a unit start five times in ten seconds, which is enough for the timer
        // that ships and not for one that comes each second.
        ("tidegate-sweep.service", "[Unit]\nStartLimitIntervalSec=0\n".to_owned()),
        (
            "tidegate-sweep.timer",
            format!(
                "[Timer]\nOnBootSec=\nOnUnitInactiveSec=\nOnBootSec=1\nOnUnitInactiveSec={}\nAccuracySec=50ms\n",
                TIMER.as_secs()
            ),
        ),
    ];
    for (unit, text) in units {
        let place = device.path(&format!("/etc/systemd/system/{unit}.d"));
        fs::create_dir_all(&place)?;
        fs::write(place.join("torture.conf"), text)?;
    }
    device.ok(&["systemctl", "daemon-reload"])?;
    let restart: &[&str] = match rescuer {
        // Only one of the two may come to the rescue, so that each is proved by itself.
        Rescuer::Watchdog => {
            device.ok(&["systemctl", "disable", "--now", "tidegate-sweep.timer"])?;
            &["systemctl", "restart", "tidegate-agent"]
        }
        Rescuer::Timer => &["systemctl", "restart", "tidegate-agent", "tidegate-sweep.timer"],
    };
    device.ok(restart)?;
    Ok(())
}

/// Cuts the last record of a journal anywhere within. Not one of what was granted: fsync(2)
/// had promised that it is there before the host was changed, and a disk that breaks this
/// promise takes the way back with it. Those are torn by the saboteur, as they are written.
fn tear_journal(path: &Path, dice: &mut Dice) -> Result<()> {
    let bytes = fs::read(path)?;
    let (mut at, mut last) = (0usize, None);
    while let Some(head) = bytes.get(at..at + 4) {
        let length = usize::try_from(u32::from_be_bytes(head.try_into()?))?;
        let Some(record) = bytes.get(at..at + 36 + length) else { break };
        last = Some((at, record));
        at += 36 + length;
    }
    let Some((start, record)) = last else { return Ok(()) };
    let text = String::from_utf8_lossy(record);
    ensure!(text.contains("\"record\":\""), "the journal's format has changed; mend the torture");
    if text.contains("\"record\":\"granting\"") || text.contains("\"record\":\"snapshot\"") {
        return Ok(());
    }
    let length = u64::try_from(start)? + dice.below(u64::try_from(record.len())?);
    let file = fs::OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    Ok(file.sync_all()?)
}
