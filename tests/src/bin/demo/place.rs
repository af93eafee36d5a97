//! Where the story happens: on a throwaway device.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Result;
use tidegate_tests::accounts::Accounts;
use tidegate_tests::device::Device;
use tidegate_tests::run::Done;
use tidegate_tests::world::{World, token_in};

use crate::stage::Stage;

/// The host of the story.
pub struct Place(Device);

impl Place {
    /// Boots it.
    pub fn boot(stage: &Stage, base: &Path, name: &str) -> Result<Self> {
        let device = Device::make(base, name)?;
        stage.command("machine", &device.mount_line());
        stage.command("machine", &device.boot_line());
        device.power_on()?;
        Ok(Self(device))
    }

    /// Runs a command there, as root.
    pub fn run(&self, args: &[&str]) -> Result<Done> {
        self.0.run(args)
    }

    /// Runs a command there as the account, outside any session.
    pub fn run_as(&self, account: &str, args: &[&str]) -> Result<Done> {
        self.0.run_as(account, args)
    }

    /// What decides the account's rights.
    pub fn accounts(&self, account: &str) -> Result<Accounts> {
        Accounts::of(&self.0, account)
    }

    /// Where its sshd listens.
    pub fn sshd(&self) -> SocketAddr {
        self.0.sshd()
    }

    /// The address at which it reaches the gate.
    pub fn host_address(&self) -> Ipv4Addr {
        self.0.host_address()
    }

    /// The leader of its namespaces.
    pub fn leader(&self) -> Result<i32> {
        self.0.leader()
    }

    /// Installs the agent with the token that was said; returns the command line and
    /// what it said, once the agent is connected.
    pub fn install_agent(&self, world: &World, said: &str) -> Result<(String, Done)> {
        let (line, done) = world.install_agent(&self.0, &token_in(said)?)?;
        let done = done.ok()?;
        world.await_agent(&self.0)?;
        Ok((line, done))
    }
}
