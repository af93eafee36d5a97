//! Everything of a device that a session must not have changed once it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::Result;

use crate::accounts::Accounts;
use crate::device::Device;
use crate::host::Host;

/// Whose rights are compared, beside the files that are everybody's.
pub const ACCOUNTS: [&str; 3] = ["ops", "asleep", "awake"];

/// The group that is granted, and its number on Debian.
pub const GROUP: (&str, &str) = ("adm", "4");

/// Places in which names may appear.
const PLACES: [&str; 8] =
    ["/etc", "/home", "/tmp", "/var/tmp", "/dev/shm", "/var/lib", "/var/mail", "/var/spool/cron"];

/// Which of sshd's own processes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logins {
    All,
    /// Not sshd's end of a login that runs nothing and holds nothing of what was granted:
    /// while the network is cut it can not know that the other end is gone.
    NotIdle,
}

/// A picture of it.
#[derive(Debug, Clone)]
pub struct Picture {
    accounts: Accounts,
    names: BTreeSet<String>,
    processes: BTreeSet<String>,
}

impl Picture {
    /// Files, names and processes: without asking any program, so that it is quick.
    #[must_use]
    pub fn quick(device: &Device, logins: Logins) -> Self {
        let accounts = Accounts::of_files(device, &ACCOUNTS);
        Self { accounts, names: names(device), processes: processes(device, logins) }
    }

    /// Also what sudo(8) and id(1) say.
    pub fn whole(device: &Device, logins: Logins) -> Result<Self> {
        Ok(Self { accounts: Accounts::of_all(device, &ACCOUNTS)?, ..Self::quick(device, logins) })
    }

    /// What differs in `later`; empty when nothing does.
    #[must_use]
    pub fn difference(&self, later: &Self) -> String {
        let mut text = self.accounts.difference(&later.accounts);
        let listed = [("name", &self.names, &later.names), ("process", &self.processes, &later.processes)];
        for (what, before, after) in listed {
            text.extend(after.difference(before).map(|new| format!("a {what} is there: {new}\n")));
            text.extend(before.difference(after).map(|old| format!("a {what} is gone: {old}\n")));
        }
        text
    }
}

fn names(device: &Device) -> BTreeSet<String> {
    let of = |place: &'static str| {
        let entries = fs::read_dir(device.path(place)).into_iter().flatten().flatten();
        entries.map(move |entry| format!("{place}/{}", entry.file_name().to_string_lossy()))
    };
    // systemd makes these while it starts a service.
    let systemds = |name: &String| name.contains("/systemd-private-") || name.contains("/namespace-dev-");
    PLACES.into_iter().flat_map(of).filter(|name| !systemds(name)).collect()
}

/// Processes of people. An account's own systemd, which logind keeps for ten seconds after
/// a logout, counts only when it holds what was granted; so does the command that it runs
/// while it sets its bus up (dbus.socket), which may be after a short session.
fn processes(device: &Device, logins: Logins) -> BTreeSet<String> {
    let proc = device.path("/proc");
    let entries = fs::read_dir(&proc).into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let fields: BTreeMap<&str, &str> = status
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, of)| (name, of.trim()))
            .collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        let uid: u32 = field("Uid").split_whitespace().next()?.parse().ok()?;
        let people = (1000..65534).contains(&uid) && !field("State").starts_with(['Z', 'X']);
        let cgroup = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let manager = cgroup.contains("/user@")
            && (cgroup.contains("/init.scope") || cgroup.trim_end().ends_with("/dbus.socket"));
        let holds = field("Groups").split_whitespace().any(|group| group == GROUP.1);
        let idle = logins == Logins::NotIdle && field("Name") == "sshd";
        (people && (holds || !(manager || idle)))
            .then(|| format!("{pid} {} of user id {uid}, groups {}", field("Name"), field("Groups")))
    });
    found.collect()
}
