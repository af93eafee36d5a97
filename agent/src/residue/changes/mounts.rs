//! Which directories hold another file system, from mountinfo (proc(5)).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::text::lines;

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
    /// Nor do device nodes.
    Inert,
    /// Looking might never end.
    Remote,
    Pseudo,
}

/// Every mount point and what it is.
#[derive(Debug, Default)]
pub struct Mounts(BTreeMap<PathBuf, Mount>);

impl Mounts {
    /// Reads the lines of mountinfo; of two at one place the later is on top.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self(lines(text).filter_map(parse).collect())
    }

    /// What is mounted at just this place.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<Mount> {
        self.0.get(path).copied()
    }

    /// What a path is on.
    #[must_use]
    pub fn of(&self, path: &Path) -> Option<Mount> {
        path.ancestors().find_map(|at| self.at(at))
    }

    /// Whether a path is on a file system whose reading might never end.
    #[must_use]
    pub fn is_remote(&self, path: &Path) -> bool {
        self.of(path) == Some(Mount::Remote)
    }

    /// The places that are not looked at.
    pub fn remote(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter(|(_, mount)| **mount == Mount::Remote).map(|(path, _)| path.as_path())
    }
}

fn parse(line: &[u8]) -> Option<(PathBuf, Mount)> {
    let middle = line.windows(3).position(|three| three == b" - ")?;
    let (fields, rest) = line.split_at_checked(middle)?;
    let mut fields = fields.split(|byte| *byte == b' ').skip(4);
    let (path, options) = (fields.next()?, fields.next()?);
    let has = |wanted: &[u8]| options.split(|byte| *byte == b',').any(|option| option == wanted);
    let kind = std::str::from_utf8(rest.get(3..)?.split(|byte| *byte == b' ').next()?).ok()?;
    let mount = match kind {
        "fusectl" => Mount::Pseudo,
        kind if REMOTE.contains(&kind) || kind.starts_with("fuse") => Mount::Remote,
        kind if PSEUDO.contains(&kind) => Mount::Pseudo,
        _ if has(b"nosuid") && has(b"nodev") => Mount::Inert,
        _ if has(b"nosuid") => Mount::NoSetuid,
        _ => Mount::Local,
    };
    Some((PathBuf::from(OsString::from_vec(unescaped(path))), mount))
}

/// The kernel writes a blank, a tab, a line's end and a backslash in octal.
fn unescaped(path: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok()
        });
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_network_file_system_is_known_with_all_below_it_and_a_local_one_is_not() {
        let mounts = Mounts::parse(
            b"22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
             23 22 0:5 / /home rw - nfs4 server:/home rw\n\
             24 22 0:6 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw\n\
             27 22 0:9 / /dev rw,nosuid - devtmpfs dev rw\n\
             25 22 0:7 / /proc rw - proc proc rw\n\
             26 22 0:8 / /opt/gr\xfcn\\040x rw - fuse.sshfs x rw\n",
        );
        assert!(mounts.is_remote(Path::new("/home/ops/.ssh")));
        assert!(!mounts.is_remote(Path::new("/homes/ops")) && !mounts.is_remote(Path::new("/etc")));
        assert_eq!(mounts.at(Path::new("/tmp")), Some(Mount::Inert));
        assert_eq!(mounts.of(Path::new("/dev/sda")), Some(Mount::NoSetuid));
        assert_eq!(mounts.of(Path::new("/proc/1")), Some(Mount::Pseudo));
        let odd = Path::new(std::ffi::OsStr::from_bytes(b"/opt/gr\xfcn x"));
        assert_eq!(mounts.remote().collect::<Vec<_>>(), [Path::new("/home"), odd]);
    }
}
