//! The session that a process's environment names.

use std::path::Path;

use tidegate_common::id::SessionId;
use tidegate_common::wire::SESSION_VARIABLE;

use crate::files::read_up_to;

/// How much of an environment is searched, in bytes; the kernel allows more.
pub const MOST_ENVIRONMENT: u64 = 256 * 1024;

/// Of an environment as environ(7) lies in memory: entries that end with a zero.
#[must_use]
pub fn marker_of(environment: &[u8]) -> Option<SessionId> {
    environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(SESSION_VARIABLE.as_bytes())?.strip_prefix(b"=")?;
        std::str::from_utf8(value).ok()?.parse().ok()
    })
}

/// The session that a process's environment names, if the process is still there and
/// still of that login.
pub fn marker_in_login(proc: &Path, pid: u32, ses: u32) -> Option<SessionId> {
    let directory = proc.join(pid.to_string());
    let of: u32 = std::fs::read_to_string(directory.join("sessionid")).ok()?.trim().parse().ok()?;
    let environment = read_up_to(&directory.join("environ"), MOST_ENVIRONMENT).ok()?;
    marker_of(&environment).filter(|_| of == ses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_read_from_an_environment() {
        let session = SessionId::new(5, 5);
        let environment = format!("A=1\0{SESSION_VARIABLE}={session}\0B=2");
        assert_eq!(marker_of(environment.as_bytes()), Some(session));
        assert_eq!(marker_of(b"TIDEGATE_SESSION=x\0"), None);
        assert_eq!(marker_of(b"NOT_TIDEGATE_SESSION=01"), None);
    }
}
