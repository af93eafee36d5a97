//! Where a process is in the trees of control groups (cgroups(7)), as `/proc/PID/cgroup` says it:
//! in which login, under whose systemd, in which service.

use super::number;

/// A place below an account's `user@UID.service`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manager {
    pub uid: u32,
    /// The account's systemd itself.
    pub itself: bool,
}

/// The paths of each hierarchy.
fn groups(cgroup: &[u8]) -> impl Iterator<Item = &[u8]> {
    cgroup.split(|byte| *byte == b'\n').filter_map(|line| line.splitn(3, |byte| *byte == b':').nth(2))
}

pub fn unified(cgroup: &[u8]) -> Option<&[u8]> {
    cgroup.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))
}

/// Up to the scope: what is below it is the login's own, whatever it is called.
pub fn scope_of(cgroup: &[u8]) -> Option<String> {
    // A scope of that name below an account's own systemd is the account's invention.
    let mut logins = groups(cgroup).filter(|path| manager_in(path).is_none());
    logins.find_map(|path| {
        let mut above = Vec::new();
        for part in path.split(|byte| *byte == b'/').skip(1) {
            above.push(b'/');
            above.extend(part);
            if part.starts_with(b"session-") && part.ends_with(b".scope") {
                return String::from_utf8(above).ok();
            }
        }
        None
    })
}

pub fn manager_of(cgroup: &[u8]) -> Option<Manager> {
    groups(cgroup).find_map(manager_in)
}

fn manager_in(path: &[u8]) -> Option<Manager> {
    let mut parts = path.split(|byte| *byte == b'/').skip_while(|part| !part.starts_with(b"user@"));
    let uid = number(parts.next()?.strip_prefix(b"user@")?.strip_suffix(b".service")?)?;
    Some(Manager { uid, itself: matches!(parts.next(), None | Some(b"init.scope")) })
}

/// The first service on the way down: what is below it is its own.
pub fn service_of(cgroup: &[u8]) -> Option<String> {
    let parts = groups(cgroup).flat_map(|path| path.split(|byte| *byte == b'/'));
    let mut services = parts.filter(|part| part.ends_with(b".service"));
    services.find_map(|part| String::from_utf8(part.to_vec()).ok())
}

/// The account of a login's scope: `/user.slice/user-1000.slice/session-4.scope`.
pub fn uid_of(scope: &str) -> Option<u32> {
    let part = scope.split('/').find(|part| part.starts_with("user-") && part.ends_with(".slice"))?;
    part.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_logins_scopes_count() {
        let scope = "/user.slice/user-0.slice/session-4.scope";
        assert_eq!(scope_of(format!("0::{scope}\n").as_bytes()), Some(scope.to_owned()));
        let below = [b"1:cpu:/\n0::", scope.as_bytes(), b"/x\xff\n"].concat();
        assert_eq!(scope_of(&below), Some(scope.to_owned()), "what it made below it");
        assert_eq!(scope_of(b"0::/system.slice/ssh.service\n"), None);
        let own = "/user.slice/user-7.slice/user@7.service/app.slice/session-4.scope";
        assert_eq!(scope_of(format!("0::{own}\n").as_bytes()), None, "one that an account made for itself");
    }

    #[test]
    fn an_accounts_own_units_are_told_from_its_systemd() {
        let of = |path: &str| manager_of(format!("0::{path}\n").as_bytes());
        let base = "/user.slice/user-7.slice/user@7.service";
        assert_eq!(of(&format!("{base}/app.slice/x.service")), Some(Manager { uid: 7, itself: false }));
        assert_eq!(of(&format!("{base}/init.scope")), Some(Manager { uid: 7, itself: true }));
        assert_eq!(of("/user.slice/user-7.slice/session-4.scope"), None);
        assert_eq!(uid_of("/user.slice/user-7.slice/session-4.scope"), Some(7));
        assert_eq!(service_of(b"0::/system.slice/user-x.service/sub\n").as_deref(), Some("user-x.service"));
    }
}
