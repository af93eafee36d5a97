//! What the host knows of an account that sshd, or PAM behind it, goes by.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, User, getgrouplist};
use tidegate_common::name::AccountName;

use crate::account_files::line_of;
use crate::clock::today;
use crate::paths::Paths;

/// Where PAM and sshd look for the word that nobody but root may log in.
const NOBODY: [&str; 2] = ["/etc/nologin", "/run/nologin"];

/// An account that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    pub is_root: bool,
    /// Its primary group among them.
    pub groups: Vec<String>,
    pub shell: PathBuf,
    /// Whether the shell is there and can be started.
    pub has_shell: bool,
    pub shadow: Shadow,
    /// The file that keeps everybody but root out.
    pub nobody: Option<PathBuf>,
}

/// What shadow(5) says of it; nothing where it has no line there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shadow {
    pub locked: bool,
    pub over: Option<Over>,
    /// A password that has to be changed before anything else.
    pub must_change: bool,
}

/// Why it can no longer be used, with the day in days since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The account's expiry (chage -E).
    Expired(i64),
    /// Its password was not changed for too long (chage -M and -I).
    Inactive,
}

/// Asks the host; `None` where there is no such account.
pub fn of_host(paths: &Paths, name: &AccountName) -> Option<Account> {
    let user = User::from_name(name.as_str()).ok().flatten()?;
    let text = CString::new(name.as_str()).ok()?;
    let groups = getgrouplist(&text, user.gid).unwrap_or_else(|_| vec![user.gid]);
    let called = |gid: &Gid| Group::from_gid(*gid).ok().flatten().map(|group| group.name);
    let shell = match user.shell.as_os_str().as_bytes() {
        // As sshd takes it (shadow's default).
        b"" => PathBuf::from("/bin/sh"),
        _ => user.shell,
    };
    Some(Account {
        is_root: user.uid.is_root(),
        groups: groups.iter().filter_map(called).collect(),
        has_shell: starts(&shell),
        shell,
        shadow: line_of(paths, "shadow", name.as_str())
            .map(|line| shadow(&line, today()))
            .unwrap_or_default(),
        nobody: NOBODY.map(PathBuf::from).into_iter().find(|file| file.exists()),
    })
}

fn starts(shell: &Path) -> bool {
    std::fs::metadata(shell).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A line of shadow(5), as pam_unix(8) reads it.
fn shadow(fields: &[Vec<u8>], today: i64) -> Shadow {
    let number = |place: usize| {
        let text = std::str::from_utf8(fields.get(place)?).ok()?;
        text.parse::<i64>().ok().filter(|days| *days >= 0)
    };
    let (changed, most, after, expires) = (number(2), number(4), number(6), number(7));
    let age = changed.map(|day| today.saturating_sub(day));
    let inactive = match (age, most, after) {
        (Some(age), Some(most), Some(after)) => age > most.saturating_add(after),
        _ => false,
    };
    let over = match expires.filter(|day| today >= *day) {
        Some(day) => Some(Over::Expired(day)),
        None => inactive.then_some(Over::Inactive),
    };
    let too_old = age.zip(most).is_some_and(|(age, most)| age > most);
    Shadow {
        locked: fields.get(1).is_some_and(|password| password.starts_with(b"!")),
        over,
        must_change: changed == Some(0) || too_old,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Shadow {
        let fields: Vec<Vec<u8>> = line.split(':').map(|field| field.as_bytes().to_vec()).collect();
        shadow(&fields, 20_000)
    }

    #[test]
    fn a_line_of_shadow_is_read_as_pam_reads_it() {
        assert_eq!(of("ops:*:19000:0:99999:7:::"), Shadow::default());
        assert!(of("ops:!*:19000:0:99999:7:::").locked);
        assert_eq!(of("ops:*:19000:0:99999:7::20000:").over, Some(Over::Expired(20_000)));
        assert_eq!(of("ops:*:19000:0:99999:7::20001:").over, None);
        assert_eq!(of("ops:*:19000:0:90:7:30::").over, Some(Over::Inactive));
        assert_eq!(of("ops:*:19950:0:90:7:30::").over, None);
        assert!(of("ops:*:0:0:99999:7:::").must_change && of("ops:*:19000:0:90:7:::").must_change);
        assert!(!of("ops:*::0:90:7:::").must_change);
    }
}
