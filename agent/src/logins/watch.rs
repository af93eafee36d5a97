//! logind notes each login in a file below /run, which tells of it in the moment in which
//! it is made: also where the kernel's audit does not answer, as in a container.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::{Login, Logins};
use crate::files::read_up_to;

/// Where logind's files are (sd-login(3)), and where their directory is made.
const PLACE: &str = "/run/systemd/sessions";
const ABOVE: &str = "/run/systemd";

/// No file of logind's is longer, in bytes.
const MOST: u64 = 64 * 1024;

/// Starts the thread that follows logind, where there is one.
///
/// # Errors
/// When the host has no thread left.
pub fn start(logins: Logins) -> std::io::Result<()> {
    if !Path::new(ABOVE).is_dir() {
        return Ok(());
    }
    let watch = Inotify::init(InitFlags::IN_CLOEXEC).and_then(|watch| {
        // logind may start after us.
        watch.add_watch(ABOVE, AddWatchFlags::IN_CREATE)?;
        let _ = watch.add_watch(PLACE, AddWatchFlags::IN_MOVED_TO);
        Ok(watch)
    });
    let watch = match watch {
        Ok(watch) => watch,
        Err(error) => {
            tracing::warn!(%error, "logins are not told by logind; without the kernel's audit, what logs in on the host itself may be missed");
            return Ok(());
        }
    };
    let follow = move || {
        while let Ok(events) = watch.read_events() {
            for name in events.into_iter().filter_map(|event| event.name) {
                if Path::new(ABOVE).join(&name) == Path::new(PLACE) {
                    let _ = watch.add_watch(PLACE, AddWatchFlags::IN_MOVED_TO);
                } else if let Some(login) = read(&name) {
                    logins.made(login);
                }
            }
        }
    };
    std::thread::Builder::new().name("logins".to_owned()).spawn(follow)?;
    Ok(())
}

fn read(name: &OsStr) -> Option<Login> {
    if name.as_bytes().starts_with(b".") {
        return None;
    }
    parse(&read_up_to(&Path::new(PLACE).join(name), MOST).ok()?)
}

fn parse(bytes: &[u8]) -> Option<Login> {
    let number = |key: &str| {
        let value = bytes.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key.as_bytes()))?;
        std::str::from_utf8(value).ok()?.parse::<u32>().ok()
    };
    let ses = number("AUDIT=").filter(|ses| *ses != 0 && *ses != u32::MAX);
    Some(Login { ses, pid: number("LEADER=")?, before: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_logind_tells_the_login_and_one_without_audit_its_process() {
        let file = b"UID=1000\nUSER=ops\nACTIVE=1\nREMOTE_HOST=\xff\nLEADER=4711\nAUDIT=7\n";
        assert_eq!(parse(file), Some(Login { ses: Some(7), pid: 4711, before: None }));
        assert_eq!(parse(b"LEADER=4711\n"), Some(Login { ses: None, pid: 4711, before: None }));
        assert_eq!(parse(b"UID=1\nAUDIT=7\n"), None);
    }
}
