//! Asks the host.

use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use tidegate_common::name::AccountName;

use super::{Point, Verdict, access, compare, judge};
use crate::clock;
use crate::config::{Config, ConfigError};
use crate::elevate::defaults;
use crate::elevate::sudoers::Policy;
use crate::elevate::tools;
use crate::identity::Identity;
use crate::paths::{Paths, SYSTEMD};
use crate::program::{self, run};
use crate::setup::{self, says};
use crate::shell::journal::Journal;
use crate::shell::link_state::{self, LinkState};
use crate::sshd::{self, Lines, Settings};
use crate::text::read_words;

/// How long one of the host's programs may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Settings of sudo's that are told one by one.
const MOST_SETTINGS: usize = 8;

/// Files that a PAM stack includes, at most.
const MOST_INCLUDED: usize = 16;

/// An account that is asked about in particular.
#[derive(Debug)]
pub struct Asked {
    pub account: AccountName,
    /// Where the proxy's connections come from, if not from its address.
    pub from: Option<IpAddr>,
}

/// Looks at everything, in the order in which it would be mended.
#[must_use]
pub fn examine(config: Result<Config, ConfigError>, asked: Option<&Asked>) -> Vec<Point> {
    let mut points = Vec::new();
    let (proxy, paths) = match config {
        Ok(config) => {
            points.push(Point::ok("config", format!("the proxy is {}", config.proxy)));
            (config.proxy, config.paths)
        }
        Err(error) => {
            points.push(Point::wrong("config", error.to_string(), "tidegate-agent check-config"));
            ("HOST:PORT".to_owned(), Paths::default())
        }
    };
    let install = format!("tidegate-agent install --proxy {proxy}");
    points.extend(state(&paths));
    points.push(identity(&paths, &format!("{install} --token TOKEN")));
    points.extend(services(&install));
    let state = link_state::read(&paths);
    points.push(link(state.as_ref(), &proxy));
    let heard = state.and_then(|state| state.heard);
    let proxys_keys = heard.as_ref().map(|heard| heard.user_ca.as_slice());
    points.extend(sshd(&paths, &proxy, proxys_keys, asked, &install));
    points.extend(sudo(&paths, &install));
    points.push(accounts());
    let contained = contained();
    let told = run("timedatectl", &["show"], DEADLINE).map(|answer| answer.text).unwrap_or_default();
    let synchronized = judge::clock(&told);
    let setter = judge::setter(&told, contained, Path::new("/usr/bin/chronyc").exists());
    let ahead = heard.map(|heard| heard.ahead(clock::now()));
    points.push(compare::clocks(ahead, synchronized.verdict == Verdict::Ok, setter));
    points.push(synchronized);
    points.push(audit(&paths, contained));
    points.push(journal(&paths));
    points
}

fn state(paths: &Paths) -> Vec<Point> {
    let path = paths.state.display().to_string();
    let Ok(directory) = std::fs::metadata(&paths.state) else {
        let found = format!("{path} is not there; the agent was never installed");
        return vec![Point::wrong("state", found, "tidegate-agent install --proxy HOST:PORT --token TOKEN")];
    };
    let mut points: Vec<Point> =
        judge::rights(&path, directory.uid(), directory.mode() & 0o7777, 0o700).into_iter().collect();
    let key = paths.identity("key.pem");
    if let Ok(metadata) = std::fs::metadata(&key) {
        let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
        points.extend(judge::rights(&key.display().to_string(), owner, mode, 0o600));
    }
    if points.is_empty() {
        points.push(Point::ok("state", format!("{path} is root's alone")));
    }
    points
}

fn identity(paths: &Paths, enrol: &str) -> Point {
    match Identity::load(paths) {
        Err(error) => Point::wrong("certificate", error.to_string(), enrol),
        Ok(identity) => match (identity.renew_at(), identity.ends_at()) {
            (Some(renew), Some(ends)) => {
                judge::certificate(jiff::Timestamp::now().as_second(), renew, ends, enrol)
            }
            _ => Point::wrong("certificate", "the certificate cannot be read", enrol),
        },
    }
}

fn services(install: &str) -> Vec<Point> {
    if !Path::new(SYSTEMD).exists() {
        let found = "this host does not run systemd; see to it that `tidegate-agent sweep` runs at boot and every minute";
        return vec![Point::warning("service", found, "cron or the host's own init")];
    }
    let unit = |name: &'static str, unit: &str, lost: &str| {
        let mend = format!("systemctl enable --now {unit}");
        match (says("is-active", unit), says("is-enabled", unit)) {
            (true, true) => Point::ok(name, format!("{unit} is active and enabled")),
            (false, _) => Point::wrong(name, format!("{unit} is not active; {lost}"), mend),
            (true, false) => {
                Point::wrong(name, format!("{unit} is not enabled; after a reboot {lost}"), mend)
            }
        }
    };
    let mut points = vec![
        unit("service", "tidegate-agent.service", "no session can be granted anything"),
        unit("sweep", "tidegate-sweep.timer", "nobody notices an agent that hangs past its leases"),
    ];
    points.push(if says("is-enabled", "tidegate-sweep.service") {
        Point::ok("boot", "tidegate-sweep.service runs at boot, before sshd")
    } else {
        let found =
            "tidegate-sweep.service is not enabled; after a power cut a privilege waits for the agent";
        Point::wrong("boot", found, install)
    });
    points
}

fn link(state: Option<&LinkState>, proxy: &str) -> Point {
    let mend = format!("look at `journalctl -u tidegate-agent -n 20`; can this host reach {proxy}?");
    match state {
        Some(LinkState { proxy, since, lost: None, .. }) => {
            Point::ok("link", format!("linked with {proxy} since {since:.0}"))
        }
        Some(LinkState { proxy, since, lost: Some(why), .. }) => {
            Point::wrong("link", format!("no link with {proxy} since {since:.0}: {why}"), mend)
        }
        None => Point::wrong("link", "the agent has not had a link since the host was booted", mend),
    }
}

fn sshd(
    paths: &Paths,
    proxy: &str,
    proxys_keys: Option<&[String]>,
    asked: Option<&Asked>,
    install: &str,
) -> Vec<Point> {
    let told = match sshd::ask(&["-T"]) {
        Ok(told) if told.status.success() => told.text,
        Ok(told) => {
            let found = format!("its configuration is wrong, so it will not start again: {}", told.line());
            return vec![Point::wrong("sshd", found, "mend what `sshd -t` says")];
        }
        Err(error) => return vec![Point::wrong("sshd", error.to_string(), "install openssh-server")],
    };
    let device = Identity::load(paths).ok().and_then(|identity| identity.device());
    let (settings, lines) = (Settings::new(told.as_str()), Lines::read(paths));
    // What is written already and does not count is not mended by writing it again.
    let in_the_way = sshd::not_in_force(&settings, &lines, &sshd::trust(paths));
    let mend = in_the_way.filter(|_| sshd::is_bound(paths)).unwrap_or_else(|| install.to_owned());
    let mut points = judge::sshd(&told, &paths.user_ca().to_string_lossy(), device.as_ref(), &mend);
    points.extend(access::of_all(&settings, &lines));
    points.push(match read_words(&paths.user_ca()) {
        Ok(trusted) => compare::ca_keys(&trusted, proxys_keys),
        Err(error) => Point::wrong("CA keys", format!("{}: {error}", paths.user_ca().display()), install),
    });
    let addresses: Vec<IpAddr> =
        proxy.to_socket_addrs().into_iter().flatten().map(|address| address.ip()).collect();
    let exempt = settings.values("persourcepenaltyexemptlist").next().filter(|_| sshd::is_bound(paths));
    let exempt = exempt.and_then(|value| lines.that_says("persourcepenaltyexemptlist", value));
    let mend = match exempt.filter(|line| !line.file.ends_with("tidegate.conf")) {
        Some(line) => format!("add {proxy}'s address to {line}, which sshd reads first"),
        None => install.to_owned(),
    };
    points.push(judge::penalties(&told, &addresses, &mend));
    if let Some(Asked { account, from }) = asked {
        let from = from.map_or(addresses, |from| vec![from]);
        let port = settings.value("port").parse().unwrap_or(22);
        points.extend(access::of_one(paths, account, &from, port));
    }
    points.extend(judge::pam(&told, &stack(&paths.etc.join("pam.d"), "sshd")));
    points
}

/// A PAM service's lines and those of what it includes, one level deep.
fn stack(directory: &Path, service: &str) -> String {
    let read = |name: &str| read_words(&directory.join(name)).unwrap_or_default();
    let text = read(service);
    let included = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["@include", name, ..] => Some(*name),
            [kind, "include" | "substack", name, ..] if kind.trim_start_matches('-') == "session" => {
                Some(*name)
            }
            _ => None,
        }
    });
    let plain = included.filter(|name| !name.contains('/')).take(MOST_INCLUDED);
    let more: Vec<String> = plain.map(read).collect();
    text.clone() + "\n" + &more.join("\n")
}

fn sudo(paths: &Paths, install: &str) -> Vec<Point> {
    if !program::is_there("sudo") {
        return vec![Point::warning(
            "sudo",
            "there is no sudo; only other privileges can be granted",
            "install sudo",
        )];
    }
    let mut points = Vec::new();
    let include = read_words(Path::new(setup::INCLUDE)).unwrap_or_default();
    let former = read_words(Path::new(setup::FORMER)).unwrap_or_default();
    points.push(match setup::sudo_of_host() {
        Err(error) => Point::wrong("sudo", error.to_string(), "add `@includedir /etc/sudoers.d` with visudo"),
        Ok(_) if include == setup::sudo_include() => Point::ok("sudo", "it reads the rules of live sessions"),
        Ok(_) if former == setup::sudo_include() => {
            let found =
                format!("it reads the rules of live sessions in {}, before others that win", setup::FORMER);
            Point::warning("sudo", found, install)
        }
        Ok(_) => {
            let found = format!("{} is missing or was changed; sudo rules are not in force", setup::INCLUDE);
            Point::wrong("sudo", found, install)
        }
    });
    let policy = paths.etc.join("sudoers");
    let policy = Policy::read(&policy, &paths.sudoers_d());
    points.extend(policy.as_ref().ok().map(settings));
    points.push(judge::order(policy, setup::INCLUDE));
    points.push(match run("visudo", &["-c"], DEADLINE) {
        Ok(answer) if answer.status.success() => Point::ok("sudoers", "visudo finds no mistake"),
        Ok(answer) => Point::wrong("sudoers", format!("visudo refuses it: {}", answer.line()), "visudo"),
        Err(error) => Point::warning("sudoers", error.to_string(), "install sudo's visudo"),
    });
    points
}

/// Settings by which sudo does other than it was granted.
fn settings(policy: &Policy) -> Point {
    const NAME: &str = "sudo settings";
    let notable = defaults::notable(policy);
    if let Some((place, setting)) = defaults::root_kept_out(policy) {
        let found =
            format!("{place}: `{setting}`, so sudo does not answer the agent; no sudo rule can be granted");
        return Point::wrong(NAME, found, "take that line away with visudo");
    }
    match notable.as_slice() {
        [] => Point::ok(NAME, "no setting has sudo do other than it is granted"),
        all => {
            let more = match all.len().saturating_sub(MOST_SETTINGS) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            let found: Vec<&str> = all.iter().take(MOST_SETTINGS).map(String::as_str).collect();
            Point::warning(
                NAME,
                found.join("; ") + &more,
                "take away, with visudo, what sessions shall not have",
            )
        }
    }
}

fn accounts() -> Point {
    match tools::PROGRAMS.iter().find(|tool| !program::is_there(tool)) {
        None => Point::ok("accounts", "the host's tools for accounts are there"),
        Some(tool) => {
            let found = format!("{tool} is not there; groups and accounts cannot be granted");
            Point::wrong("accounts", found, "install the package passwd, or shadow-utils")
        }
    }
}

fn contained() -> bool {
    let asked = run("systemd-detect-virt", &["--container", "--quiet"], DEADLINE);
    asked.is_ok_and(|answer| answer.status.success())
}

fn audit(paths: &Paths, contained: bool) -> Point {
    let command_line = std::fs::read_to_string(paths.proc.join("cmdline")).unwrap_or_default();
    let off = !paths.proc.join("self/loginuid").exists()
        || command_line.split_whitespace().any(|word| word == "audit=0");
    match crate::witness::obstacles() {
        Ok(all) if all.is_empty() => {
            Point::ok("audit", "the kernel binds processes to their login, and tells all that runs")
        }
        Ok(all) => Point::warning("audit", all.join("; "), "look at `auditctl -l` and /etc/audit/rules.d"),
        Err(_) if contained => {
            let found = "in a container the kernel's audit does not answer; what runs is not witnessed";
            Point::warning("audit", found, "run the agent on the machine itself where that matters")
        }
        Err(_) if off => {
            let found = "this kernel has no audit, or it is switched off; what runs is not witnessed";
            Point::warning("audit", found, "boot with audit=1")
        }
        Err(why) => Point::warning("audit", why.to_string(), "see `auditctl -s` and `auditctl -l`"),
    }
}

fn journal(paths: &Paths) -> Point {
    let mend = "see the agent's log: journalctl -u tidegate-agent";
    match Journal::read(&paths.journal()) {
        Err(error) => Point::wrong("journal", error.to_string(), mend),
        Ok(ledger) => match ledger.orphans().as_slice() {
            [] => Point::ok("journal", format!("{} grants live, nothing stands", ledger.grants.len())),
            [first, rest @ ..] => {
                let found = format!("{} privileges could not be taken away: {}", rest.len() + 1, first.unit);
                Point::wrong("journal", found, mend)
            }
        },
    }
}
