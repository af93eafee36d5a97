//! Which directories hold another file system, from mountinfo (proc(5)).

use std::collections::BTreeMap;

/// Reading these may wait for somebody else's machine or program.
const REMOTE: [&str; 12] =
    ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "afs", "autofs", "lustre", "ocfs2", "gfs2"];

/// These hold no files that anybody keeps.
const PSEUDO: [&str; 14] = [
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "devpts",
    "mqueue",
    "debugfs",
    "tracefs",
    "securityfs",
    "pstore",
    "bpf",
    "configfs",
    "hugetlbfs",
    "binfmt_misc",
];

/// What is known of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mount {
    /// Files on it are looked at.
    Local,
    /// Local, but setuid means nothing there.
    NoSetuid,
    /// Looking might never end.
    Remote,
    Pseudo,
}

/// Every mount point and what it is.
#[derive(Debug, Default)]
pub struct Mounts(BTreeMap<String, Mount>);

impl Mounts {
    /// Reads the lines of mountinfo; of two at one place the later is on top.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(parse).collect())
    }

    /// What is mounted at just this place.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<Mount> {
        self.0.get(path).copied()
    }

    /// Whether a path is on a file system whose reading might never end.
    #[must_use]
    pub fn is_remote(&self, path: &str) -> bool {
        let mut at = path;
        loop {
            if let Some(mount) = self.0.get(at) {
                return *mount == Mount::Remote;
            }
            match at.rsplit_once('/') {
                Some(("", _)) | None => return self.0.get("/") == Some(&Mount::Remote),
                Some((parent, _)) => at = parent,
            }
        }
    }

    /// The places that are not looked at.
    pub fn remote(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, mount)| **mount == Mount::Remote).map(|(path, _)| path.as_str())
    }
}

fn parse(line: &str) -> Option<(String, Mount)> {
    let (fields, rest) = line.split_once(" - ")?;
    let mut fields = fields.split(' ').skip(4);
    let (path, options) = (fields.next()?, fields.next()?);
    let kind = rest.split(' ').next()?;
    let mount = match kind {
        kind if REMOTE.contains(&kind) || kind.starts_with("fuse") => Mount::Remote,
        kind if PSEUDO.contains(&kind) => Mount::Pseudo,
        _ if options.split(',').any(|option| option == "nosuid") => Mount::NoSetuid,
        _ => Mount::Local,
    };
    // Of the octal escapes only the space is met.
    Some((path.replace("\\040", " "), mount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_known_with_all_below_it_and_a_local_one_is_not() {
        let mounts = Mounts::parse(
            "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
             23 22 0:5 / /home rw - nfs4 server:/home rw\n\
             24 22 0:6 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw\n\
             25 22 0:7 / /proc rw - proc proc rw\n",
        );
        assert!(mounts.is_remote("/home/ops/.ssh"));
        assert!(!mounts.is_remote("/homes/ops") && !mounts.is_remote("/etc"));
        assert_eq!(mounts.at("/tmp"), Some(Mount::NoSetuid));
        assert_eq!(mounts.at("/proc"), Some(Mount::Pseudo));
        assert_eq!(mounts.remote().collect::<Vec<_>>(), ["/home"]);
    }
}
