//! The account files (passwd(5), shadow(5), group(5)).

use std::collections::{BTreeMap, BTreeSet};

use super::{Holder, Kind, Privilege};

/// Groups that amount to root, or to reading what others may not, and why.
const GROUPS: [(&str, &str); 17] = [
    ("root", "writes root's group files"),
    ("sudo", "root, by sudo's own rule for the group"),
    ("wheel", "root, by sudo's or su's rule for the group"),
    ("admin", "root, by sudo's own rule for the group"),
    ("docker", "root, through a container"),
    ("podman", "root, through a container"),
    ("lxd", "root, through a container"),
    ("incus", "root, through a container"),
    ("incus-admin", "root, through a container"),
    ("libvirt", "root, through a virtual machine"),
    ("kvm", "runs virtual machines"),
    ("disk", "reads and writes every disk"),
    ("shadow", "reads password hashes"),
    ("kmem", "reads the kernel's memory"),
    ("adm", "reads the logs"),
    ("systemd-journal", "reads the journal"),
    ("staff", "writes /usr/local, which root runs"),
];

#[derive(Debug)]
struct Account {
    uid: u32,
    gid: u32,
    home: String,
    logs_in: bool,
    has_password: bool,
}

/// All accounts and groups.
#[derive(Debug, Default)]
pub struct Accounts {
    accounts: BTreeMap<String, Account>,
    /// Each group's number and the members that its line lists.
    groups: BTreeMap<String, (u32, BTreeSet<String>)>,
}

impl Accounts {
    #[must_use]
    pub fn parse(passwd: &str, shadow: &str, group: &str) -> Self {
        let secrets: BTreeMap<&str, &str> = shadow
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(':');
                Some((fields.next()?, fields.next()?))
            })
            .collect();
        let accounts = passwd.lines().filter_map(|line| {
            let [name, secret, uid, gid, _, home, shell] =
                line.split(':').collect::<Vec<_>>().try_into().ok()?;
            let closed = ["nologin", "false", "sync"].iter().any(|end| shell.ends_with(end));
            let secret = if secret == "x" { secrets.get(name).copied().unwrap_or("*") } else { secret };
            let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
            let (home, logs_in) = (home.to_owned(), !closed);
            Some((name.to_owned(), Account { uid, gid, home, logs_in, has_password: !secret.is_empty() }))
        });
        let groups = group.lines().filter_map(|line| {
            let [name, _, gid, members] = line.split(':').collect::<Vec<_>>().try_into().ok()?;
            let members = members.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            Some((name.to_owned(), (gid.parse().ok()?, members)))
        });
        Self { accounts: accounts.collect(), groups: groups.collect() }
    }

    /// Who is in a group, also as their first one.
    #[must_use]
    pub fn members(&self, group: &str) -> BTreeSet<String> {
        let Some((gid, listed)) = self.groups.get(group) else { return BTreeSet::new() };
        let first =
            self.accounts.iter().filter(|(_, account)| account.gid == *gid).map(|(name, _)| name.clone());
        first.chain(listed.iter().cloned()).collect()
    }

    /// The name of a group of this number.
    #[must_use]
    pub fn group_named(&self, gid: u32) -> Option<&str> {
        self.groups.iter().find(|(_, (number, _))| *number == gid).map(|(name, _)| name.as_str())
    }

    /// Every account that can log in.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        self.accounts.iter().filter(|(_, account)| account.logs_in).map(|(name, _)| name.as_str())
    }

    #[must_use]
    pub fn home(&self, account: &str) -> Option<&str> {
        self.accounts.get(account).map(|account| account.home.as_str())
    }

    /// Whether a person can use it. An account that the files do not know may be one of
    /// a directory service.
    #[must_use]
    pub fn holder(&self, account: &str) -> Holder {
        match self.accounts.get(account) {
            Some(known) if account == "root" || !known.logs_in => Holder::System,
            _ => Holder::Person,
        }
    }

    /// What the files themselves give.
    #[must_use]
    pub fn privileges(&self) -> Vec<Privilege> {
        let mut found = Vec::new();
        for (name, account) in &self.accounts {
            let mut add = |kind, what: &str, place: &str| {
                let (account, holder) = (name.clone(), self.holder(name));
                found.push(Privilege {
                    account,
                    kind,
                    holder,
                    what: what.to_owned(),
                    place: place.to_owned(),
                });
            };
            if account.uid == 0 && name != "root" {
                add(Kind::Uid0, "is root under another name", "/etc/passwd");
            }
            if !account.has_password && account.logs_in {
                add(Kind::NoPassword, "needs no password", "/etc/shadow");
            }
        }
        for (group, why) in GROUPS {
            let members = self.members(group).into_iter().filter(|member| member != "root");
            found.extend(members.map(|account| Privilege {
                holder: self.holder(&account),
                account,
                kind: Kind::Group,
                what: why.to_owned(),
                place: format!("group {group}"),
            }));
        }
        found
    }
}
