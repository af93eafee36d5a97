//! The person's side: keys, an ssh_config and a known_hosts of their own, and stock
//! OpenSSH with them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::pty::Pty;
use crate::run::Run;

/// The name that stands for the gate in the ssh_config.
pub const GATE: &str = "gate";

/// Where a person keeps their keys and settings.
#[derive(Debug, Clone)]
pub struct Client {
    dir: PathBuf,
}

impl Client {
    /// In this directory, which must exist.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The user's private key; it is made at the first call.
    pub fn key(&self, user: &str) -> Result<PathBuf> {
        static MAKING: Mutex<()> = Mutex::new(());
        let key = self.dir.join(format!("{user}.key"));
        // Two that ask for one at once get the same.
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        if !key.exists() {
            Run::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", user, "-f"])
                .arg(&key)
                .ok()?;
        }
        Ok(key)
    }

    /// The user's public key, one OpenSSH line.
    pub fn public_key(&self, user: &str) -> Result<String> {
        let key = self.key(user)?;
        let public = key.with_extension("key.pub");
        let line =
            fs::read_to_string(&public).with_context(|| format!("cannot read {}", public.display()))?;
        Ok(line.trim().to_owned())
    }

    /// The ssh_config.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("ssh_config")
    }

    /// The known_hosts file.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// Writes ssh_config and known_hosts for a gate: its own host keys, and the CA that
    /// vouches for devices reached by `ssh -J`. `more` is appended to the ssh_config.
    pub fn trust(&self, gate: SocketAddr, host_keys: &[String], host_ca: &str, more: &str) -> Result<()> {
        let mut known = String::new();
        for key in host_keys {
            known.push_str(&format!("[{}]:{} {}\n", gate.ip(), gate.port(), key.trim()));
        }
        known.push_str(&format!("@cert-authority * {}\n", host_ca.trim()));
        fs::write(self.known_hosts(), known)?;
        let dir = self.dir.display();
        // The first value that ssh finds counts, so the hosts come before the rest.
        let config = format!(
            "{more}\
             Host {GATE} {GATE}-*\n    HostName {ip}\n    Port {port}\n\
             Host *\n    UserKnownHostsFile {dir}/known_hosts\n    GlobalKnownHostsFile /dev/null\n    \
             StrictHostKeyChecking yes\n    IdentitiesOnly yes\n    IdentityAgent none\n    \
             ControlPath none\n",
            ip = gate.ip(),
            port = gate.port(),
        );
        fs::write(self.config(), config)?;
        Ok(())
    }

    /// The words of a client command as this user: `program` is ssh, scp, sftp or the like.
    pub fn words(&self, program: &str, user: &str, options: &[&str]) -> Result<Vec<String>> {
        let mut words = vec![program.to_owned(), "-F".to_owned(), self.config().display().to_string()];
        words.extend(["-i".to_owned(), self.key(user)?.display().to_string()]);
        words.extend(options.iter().map(|option| (*option).to_owned()));
        Ok(words)
    }

    /// `ssh` as the user to their target (`ops@db01`), without a terminal to ask on.
    pub fn ssh(&self, user: &str, target: &str, command: &[&str]) -> Result<Run> {
        self.ssh_with(user, target, &[], command)
    }

    /// As [`Self::ssh`], with options of ssh.
    pub fn ssh_with(&self, user: &str, target: &str, options: &[&str], command: &[&str]) -> Result<Run> {
        let words = self.words("ssh", user, &[&["-o", "BatchMode=yes"], options].concat())?;
        Ok(run_of(&words).arg("-l").arg(login(user, target)).args([GATE]).args(command))
    }

    /// `ssh` as the user to the gate itself: a command of its console.
    pub fn console(&self, user: &str, command: &[&str]) -> Result<Run> {
        let words = self.words("ssh", user, &["-o", "BatchMode=yes"])?;
        Ok(run_of(&words).args(["-l", user, GATE]).args(command))
    }

    /// `ssh` on a terminal, where its prompts can be answered.
    pub fn terminal(&self, user: &str, target: &str, options: &[&str], command: &[&str]) -> Result<Pty> {
        let mut words = self.words("ssh", user, options)?;
        words.extend(["-l".to_owned(), login(user, target), GATE.to_owned()]);
        words.extend(command.iter().map(|word| (*word).to_owned()));
        Pty::start(&words)
    }
}

/// How a person writes themselves and their target before the `@gate`.
#[must_use]
pub fn login(user: &str, target: &str) -> String {
    if target.is_empty() { user.to_owned() } else { format!("{user}[{target}]") }
}

/// The words as a command.
#[must_use]
pub fn run_of(words: &[String]) -> Run {
    match words.split_first() {
        Some((program, rest)) => Run::new(program).args(rest),
        None => Run::new("false"),
    }
}
