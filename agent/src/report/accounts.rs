//! The account files (passwd(5), shadow(5), group(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Holder, Kind, Privilege};
use crate::text::{lines, shown};

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
    home: PathBuf,
    logs_in: bool,
    has_password: bool,
}

/// All accounts and groups.
#[derive(Debug, Default)]
pub struct Accounts {
    accounts: BTreeMap<String, Account>,
    /// Each group's number and the members that its line lists.
    groups: BTreeMap<String, (u32, BTreeSet<String>)>,
    unseen: BTreeSet<String>,
}

/// A line of passwd(5), with what shadow(5) has for it.
fn account(line: &[u8], shadow: Option<&[u8]>) -> Option<Account> {
    let fields = split(line, 7);
    let [_, secret, uid, gid, _, home, shell @ ..] = &fields[..] else { return None };
    // Without a shell it is sh.
    let shell = shell.first().copied().unwrap_or_default();
    let closed = [&b"nologin"[..], b"false", b"sync"].iter().any(|end| shell.ends_with(end));
    let secret = if *secret == b"x" { shadow.unwrap_or(b"*") } else { *secret };
    Some(Account {
        uid: number(uid)?,
        gid: number(gid)?,
        home: PathBuf::from(OsStr::from_bytes(home)),
        logs_in: !closed,
        has_password: !secret.is_empty(),
    })
}

fn split(line: &[u8], most: usize) -> Vec<&[u8]> {
    line.splitn(most, |byte| *byte == b':').collect()
}

fn line_name(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b':').next().unwrap_or_default()
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.trim().parse().ok()
}

impl Accounts {
    /// Reads the files as getpwnam(3) does: names, comments and paths are any bytes, and of two
    /// lines for one name the first counts.
    #[must_use]
    pub fn parse(passwd: &[u8], shadow: &[u8], group: &[u8]) -> Self {
        let mut read = Self::default();
        let mut secrets = BTreeMap::new();
        for line in read.entries("shadow", shadow) {
            let fields = split(line, 3);
            match fields.get(1) {
                Some(secret) => _ = secrets.entry(shown(line_name(line))).or_insert(*secret),
                None => read.miss("shadow"),
            }
        }
        for line in read.entries("passwd", passwd) {
            let name = shown(line_name(line));
            match account(line, secrets.get(&name).copied()) {
                Some(account) if !read.accounts.contains_key(&name) => {
                    _ = read.accounts.insert(name, account)
                }
                _ => read.miss("passwd"),
            }
        }
        for line in read.entries("group", group) {
            let fields = split(line, 4);
            let name = shown(line_name(line));
            let members = fields.get(3).copied().unwrap_or_default();
            match fields.get(2).and_then(|gid| number(gid)) {
                Some(gid) if !read.groups.contains_key(&name) => {
                    let members = members.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                    let members = members.filter(|name| !name.is_empty()).map(shown).collect();
                    read.groups.insert(name, (gid, members));
                }
                _ => read.miss("group"),
            }
        }
        read
    }

    /// Lines that could be an account or a group.
    fn entries<'t>(&mut self, file: &'static str, text: &'t [u8]) -> Vec<&'t [u8]> {
        let mut entries: Vec<&[u8]> = lines(text).map(<[u8]>::trim_ascii_start).collect();
        entries.retain(|line| !line.is_empty() && !line.starts_with(b"#"));
        // nsswitch.conf(5), compat: more, or fewer, from a directory.
        if entries.iter().any(|line| line.starts_with(b"+") || line.starts_with(b"-")) {
            self.unseen
                .insert(format!("what the lines with `+` or `-` in /etc/{file} bring from a directory"));
            entries.retain(|line| !line.starts_with(b"+") && !line.starts_with(b"-"));
        }
        entries
    }

    fn miss(&mut self, file: &'static str) {
        self.unseen.insert(format!("lines of /etc/{file} that are no entry, or a second one for a name"));
    }

    /// What of the files could not be read as accounts and groups, one sentence each.
    pub fn unseen(&self) -> impl Iterator<Item = &String> {
        self.unseen.iter()
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
    pub fn home(&self, account: &str) -> Option<&Path> {
        self.accounts.get(account).map(|account| account.home.as_path())
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
