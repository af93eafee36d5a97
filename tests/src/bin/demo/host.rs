//! Where the story happens: on a throwaway device, or where none can be booted on the
//! machine itself, if that is a container or `DEMO_HERE=1` says so.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use tidegate_tests::accounts::Accounts;
use tidegate_tests::device::{self, ACCOUNT, Device};
use tidegate_tests::here::{Here, Logins};
use tidegate_tests::host::Host;
use tidegate_tests::run::{Done, Run};
use tidegate_tests::world::{World, token_in};

use crate::stage::Stage;

/// The account of the story where it happens on the machine itself.
const OWN_ACCOUNT: &str = "tidegate-demo";

/// The host of the story.
pub enum DemoHost {
    Device(Device),
    /// The machine itself, and what the story calls it.
    Here(Box<Here>, String),
}

impl DemoHost {
    /// Boots a device, or prepares the machine itself; `dir` is the demo's directory.
    pub fn prepare(stage: &mut Stage, dir: &Path, name: &str) -> Result<Self> {
        if std::env::var("DEMO_HERE").is_ok_and(|here| here == "1") {
            return Self::here(stage, dir, name);
        }
        match boot(stage, &dir.join("devices"), name) {
            Ok(device) => Ok(Self::Device(device)),
            Err(why) if is_container() => {
                stage.note(&format!("No device can be booted here: {why:#}"));
                stage.note("This machine is itself a container, so the story happens on it.");
                Self::here(stage, dir, name)
            }
            Err(why) => bail!(
                "no device can be booted here: {why:#}\n\
                 DEMO_HERE=1 tells the story on this machine itself, with an account that is removed at the end"
            ),
        }
    }

    fn here(stage: &Stage, dir: &Path, name: &str) -> Result<Self> {
        let here = Here::prepare(dir, OWN_ACCOUNT, Logins::Plain)?;
        here.lines().iter().for_each(|line| stage.command("machine", line));
        Ok(Self::Here(Box::new(here), name.to_owned()))
    }

    /// The account of the story.
    pub fn account(&self) -> &str {
        match self {
            Self::Device(_) => ACCOUNT,
            Self::Here(here, _) => here.account(),
        }
    }

    /// What decides the account's rights.
    pub fn accounts(&self) -> Result<Accounts> {
        Accounts::of(self, self.account())
    }

    /// Where its sshd listens.
    pub fn sshd(&self) -> SocketAddr {
        match self {
            Self::Device(device) => device.sshd(),
            Self::Here(here, _) => here.sshd(),
        }
    }

    /// The address at which it reaches the gate.
    pub fn host_address(&self) -> Ipv4Addr {
        match self {
            Self::Device(device) => device.host_address(),
            Self::Here(..) => Ipv4Addr::LOCALHOST,
        }
    }

    /// The leader of its namespaces.
    pub fn leader(&self) -> Result<i32> {
        match self {
            Self::Device(device) => device.leader(),
            // This program's namespaces are the machine's, for as long as the demo is up.
            Self::Here(..) => Ok(nix::unistd::getpid().as_raw()),
        }
    }

    /// Installs the agent with the token that was said; returns the command line and
    /// what it said, once the agent is connected.
    pub fn install_agent(&mut self, world: &World, said: &str) -> Result<(String, Done)> {
        let token = token_in(said)?;
        match self {
            Self::Device(device) => {
                let (line, done) = world.install_agent(device, &token)?;
                let done = done.ok()?;
                world.await_agent(device)?;
                Ok((line, done))
            }
            Self::Here(here, name) => here.start_agent(world, name, &token),
        }
    }

    /// Takes everything back where the device's end would not do it.
    pub fn take_back(self, stage: &mut Stage) -> Result<()> {
        match self {
            Self::Device(_) => Ok(()),
            Self::Here(here, _) => {
                stage.note(
                    "The machine gets back what it lent: account, sshd, agent and the line for sudo go.",
                );
                here.take_back()?;
                stage.holds("the machine's account files and sudo's rules: byte for byte as found");
                Ok(())
            }
        }
    }
}

impl Host for DemoHost {
    fn command(&self, args: &[&str]) -> Result<Run> {
        match self {
            Self::Device(device) => device.command(args),
            Self::Here(here, _) => here.command(args),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        match self {
            Self::Device(device) => device.path(path),
            Self::Here(here, _) => here.path(path),
        }
    }
}

fn boot(stage: &Stage, base: &Path, name: &str) -> Result<Device> {
    device::possible()?;
    let device = Device::make(base, name)?;
    stage.command("machine", &device.mount_line());
    stage.command("machine", &device.boot_line());
    device.power_on()?;
    Ok(device)
}

/// Whether this machine is a container, by the marks that container managers leave.
fn is_container() -> bool {
    let marked = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"];
    let says = Command::new("systemd-detect-virt").args(["--container", "--quiet"]).status();
    marked.iter().any(|mark| Path::new(mark).exists())
        || std::env::var_os("container").is_some()
        || says.is_ok_and(|status| status.success())
}
