//! How the link stands and what the proxy said last, in a small file for
//! `tidegate-agent doctor`: so it needs no link of its own.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tidegate_common::wire::Welcome;

use crate::core::Now;
use crate::paths::Paths;

/// Linked or not, since when, and what was heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkState {
    /// With whom.
    pub proxy: String,
    /// Since when it is as it is.
    pub since: Timestamp,
    /// Why there is no link.
    pub lost: Option<String>,
    /// What the proxy said when it was linked last.
    pub heard: Option<Heard>,
}

/// From the proxy's welcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The proxy's clock.
    pub proxy_time: Timestamp,
    /// How long this host had been up then, in microseconds: a clock that nobody sets.
    pub boot: u64,
    /// The keys that sshd shall trust, as OpenSSH lines.
    pub user_ca: Vec<String>,
}

impl Heard {
    /// How far this host's clock is ahead of the proxy's, if the proxy's has gone on
    /// since as this host's uptime has.
    #[must_use]
    pub fn ahead(&self, now: Now) -> SignedDuration {
        let since = Duration::from_micros(now.boot.saturating_sub(self.boot));
        let proxy = self.proxy_time.saturating_add(since).unwrap_or(self.proxy_time);
        now.wall.duration_since(proxy)
    }
}

/// Keeps that the proxy has answered.
pub fn linked(paths: &Paths, proxy: &str, welcome: &Welcome, now: Now) {
    let heard = Heard { proxy_time: welcome.now, boot: now.boot, user_ca: welcome.user_ca.clone() };
    keep(paths, &LinkState { proxy: proxy.to_owned(), since: now.wall, lost: None, heard: Some(heard) });
}

/// Keeps that there is no link, and why. One that is not there has been away since it
/// was lost, not since the last attempt.
pub fn lost(paths: &Paths, proxy: &str, why: String, now: Now) {
    let before = read(paths).filter(|before| before.proxy == proxy);
    let away = before.as_ref().filter(|before| before.lost.is_some());
    let since = away.map_or(now.wall, |before| before.since);
    let heard = before.and_then(|before| before.heard);
    keep(paths, &LinkState { proxy: proxy.to_owned(), since, lost: Some(why), heard });
}

/// It means nothing after a reboot, and nothing depends on it.
fn keep(paths: &Paths, state: &LinkState) {
    let written = serde_json::to_vec(state).map_err(std::io::Error::other).and_then(|text| {
        let fresh = paths.link().with_extension("new");
        std::fs::write(&fresh, text)?;
        std::fs::rename(&fresh, paths.link())
    });
    if let Err(error) = written {
        tracing::debug!(%error, "how the link stands could not be kept");
    }
}

/// Reads it; `None` where the agent has not run since the boot.
#[must_use]
pub fn read(paths: &Paths) -> Option<LinkState> {
    serde_json::from_slice(&std::fs::read(paths.link()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;
    use tidegate_common::wire::VERSION;

    fn at(second: i64) -> Now {
        let boot = u64::try_from(second).unwrap() * 1_000_000;
        Now { boot, wall: Timestamp::from_second(1_800_000_000 + second).unwrap() }
    }

    fn welcome() -> Welcome {
        let user_ca = vec!["ssh-ed25519 AAAA".to_owned()];
        Welcome { protocol: VERSION, lease_millis: 30_000, user_ca, now: at(7).wall }
    }

    #[test]
    fn a_link_that_is_lost_has_been_away_since_it_was_and_what_was_heard_stays() {
        let scratch = Scratch::new();
        let paths = scratch.paths();
        assert_eq!(read(paths), None);
        linked(paths, "gate:7443", &welcome(), at(7));
        assert_eq!(read(paths).unwrap().lost, None);
        for second in [20, 30] {
            lost(paths, "gate:7443", "it is away".to_owned(), at(second));
            let state = read(paths).unwrap();
            assert_eq!((state.since, state.lost.as_deref()), (at(20).wall, Some("it is away")));
            assert_eq!(state.heard.unwrap().user_ca, welcome().user_ca);
        }
        lost(paths, "other:7443", "it is away".to_owned(), at(40));
        assert_eq!(read(paths).unwrap().heard, None, "what another proxy said means nothing");
    }

    #[test]
    fn the_clocks_are_compared_also_when_this_hosts_was_set_since() {
        let heard = Heard { proxy_time: at(7).wall, boot: at(10).boot, user_ca: Vec::new() };
        let ahead = |boot: i64, wall: i64| heard.ahead(Now { boot: at(boot).boot, wall: at(wall).wall });
        assert_eq!(ahead(10, 7), SignedDuration::ZERO);
        assert_eq!(ahead(3610, 3607), SignedDuration::ZERO, "an hour later");
        assert_eq!(ahead(3610, 3607 + 90), SignedDuration::from_secs(90), "set forward by 90 s");
        assert_eq!(ahead(3610, 3607 - 90), SignedDuration::from_secs(-90), "set back by 90 s");
    }
}
