//! What the host's sshd is told (sshd_config(5)), where that stands, and why it does not let
//! somebody in.
//!
//! sshd itself says what is in force (`sshd -T`); [`lines`] finds where it stands, [`account`]
//! what the host knows of an account, [`cause`] what keeps it out, as functions of those, and
//! [`log`] what sshd wrote of a log-in that it refused.

mod account;
mod cause;
mod known;
mod lines;
mod log;
mod patterns;
mod trust;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tidegate_common::name::AccountName;

use crate::paths::Paths;
use crate::program::{Answer, ProgramError, run};

pub use cause::{Causes, Trust, lists, not_in_force, of_everybody};
pub use known::Known;
pub use lines::{Line, Lines, place};
pub use trust::{DROP_IN, asks_by_device, is_bound, principals, trust};

/// How long sshd may take to say what it is told.
const DEADLINE: Duration = Duration::from_secs(10);

/// Where sshd separates its privileges; it says nothing without.
const SEPARATION: &str = "/run/sshd";

/// Asks sshd for itself, for example `-T` or `-t`.
///
/// # Errors
/// When it is not there, or does not answer.
pub fn ask(arguments: &[&str]) -> Result<Answer, ProgramError> {
    let answer = run("sshd", arguments, DEADLINE)?;
    if !answer.text.contains("Missing privilege separation directory") {
        return Ok(answer);
    }
    // It has not run since the boot; its unit would make this directory.
    let _ = std::fs::create_dir(SEPARATION);
    run("sshd", arguments, DEADLINE)
}

/// What is in force, as `sshd -T` says it: a keyword in small letters and its value a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(String);

impl Settings {
    #[must_use]
    pub fn new(told: impl Into<String>) -> Self {
        Self(told.into())
    }

    /// The values of a keyword that may stand several times.
    pub fn values<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.0.lines().filter_map(|line| line.split_once(' '));
        lines.filter(move |(key, _)| *key == keyword).map(|(_, value)| value.trim())
    }

    /// The first value; `none` where there is none.
    #[must_use]
    pub fn value<'a>(&'a self, keyword: &'a str) -> &'a str {
        self.values(keyword).next().unwrap_or("none")
    }
}

/// A log-in, as the proxy tries it.
#[derive(Debug, Clone)]
pub struct LogIn {
    pub account: AccountName,
    /// Where the proxy's connection comes from, by its own address.
    pub from: SocketAddr,
    /// Where it goes to.
    pub to: SocketAddr,
}

impl LogIn {
    /// What is in force for it.
    fn settings(&self) -> Result<Settings, String> {
        let Self { account, from, to } = self;
        let who = format!(
            "user={account},host={from},addr={from},laddr={to},lport={port}",
            from = from.ip(),
            to = to.ip(),
            port = to.port()
        );
        let answer = ask(&["-T", "-C", &who]).map_err(|error| error.to_string())?;
        match answer.status.success() {
            true => Ok(Settings(answer.text)),
            false => Err(format!("sshd's configuration is wrong: {}", answer.line())),
        }
    }

    /// What keeps it out, and what becomes of it; asks the host.
    #[must_use]
    pub fn examine(&self, paths: &Paths, trust: &Trust) -> Causes {
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(why) => return Causes { refuses: vec![why], alters: Vec::new() },
        };
        let account = account::of_host(paths, &self.account);
        let lines = Lines::read(paths);
        cause::of(&settings, &lines, &self.account, account.as_ref(), self.from.ip(), trust)
    }

    /// What is done otherwise than it asks, one sentence each.
    #[must_use]
    pub fn remarks(&self, paths: &Paths, trust: &Trust, known: &Known) -> Vec<String> {
        let (account, lines) = (account::of_host(paths, &self.account), Lines::read(paths));
        let groups = account.as_ref().map(|account| account.groups.clone()).unwrap_or_default();
        let Ok(settings) = known.settings(self, &lines, &groups) else { return Vec::new() };
        cause::of(&settings, &lines, &self.account, account.as_ref(), self.from.ip(), trust).alters
    }

    /// The same, after it was refused: what sshd wrote of it as well.
    #[must_use]
    pub fn explain(&self, paths: &Paths, trust: &Trust) -> Causes {
        let mut causes = self.examine(paths, trust);
        let said = log::of_refusal(&self.account);
        if let Some(seen) = said.iter().rev().find_map(|line| log::other_address(line, &self.account)) {
            causes.refuses.insert(0, translated(seen));
        }
        if causes.refuses.is_empty() {
            causes.refuses.extend(said.last().map(|line| format!("its log says: {line}")));
        }
        causes
    }
}

fn translated(seen: IpAddr) -> String {
    format!(
        "it sees the gate come from {seen}, and the gate's certificate is for another address: addresses are \
         translated on the way, so name {seen} in `seen_from` of the device"
    )
}
