//! What the host's answers mean.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use tidegate_common::name::DeviceName;
use tidegate_common::wire::SESSION_VARIABLE;

use super::Point;
use super::compare::ClockSetter;
use crate::elevate::sudoers::Policy;
use crate::sshd;

/// What `sshd -T` says of one keyword (sshd_config(5)); it may say it several times.
fn values<'a>(told: &'a str, keyword: &str) -> Vec<&'a str> {
    let lines = told.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(key, _)| *key == keyword).map(|(_, value)| value.trim()).collect()
}

/// sshd's settings as they are in force.
pub fn sshd(told: &str, user_ca: &str, device: Option<&DeviceName>, install: &str) -> Vec<Point> {
    let value = |keyword| values(told, keyword).first().copied().unwrap_or("none");
    let mut points = Vec::new();
    let trusted = value("trustedusercakeys");
    points.push(if trusted == user_ca {
        Point::ok("user CA", format!("sshd trusts the keys in {user_ca}"))
    } else {
        let found = format!("sshd trusts the user CAs in `{trusted}`, not Tidegate's; no session can log in");
        Point::wrong("user CA", found, install)
    });
    let accepted = values(told, "acceptenv");
    points.push(if accepted.iter().flat_map(|list| list.split_whitespace()).any(accepts) {
        Point::ok("AcceptEnv", format!("sshd accepts {SESSION_VARIABLE}"))
    } else {
        let found =
            format!("sshd does not accept {SESSION_VARIABLE}; what a session leaves running may be missed");
        Point::wrong("AcceptEnv", found, install)
    });
    let principals = value("authorizedprincipalsfile");
    points.push(match (value("pubkeyauthentication"), principals) {
        ("no", _) => Point::wrong(
            "keys",
            "sshd takes no keys; no session can log in",
            "set `PubkeyAuthentication yes` in /etc/ssh/sshd_config",
        ),
        (_, "none") => certificates(value("authorizedprincipalscommand"), device, install),
        _ => Point::wrong(
            "keys",
            format!("sshd reads principals from {principals}; no session can log in"),
            "remove AuthorizedPrincipalsFile from /etc/ssh/sshd_config",
        ),
    });
    points
}

/// Whom certificates must name, by the command that sshd asks.
fn certificates(command: &str, device: Option<&DeviceName>, install: &str) -> Point {
    const NAME: &str = "keys";
    if command == "none" {
        let found = "sshd takes certificates for an account of the same name on any device";
        return Point::warning(NAME, found, install);
    }
    if !sshd::asks_by_device(command) || device.is_some_and(|device| sshd::principals(device) != command) {
        let device = device.map_or("this device", DeviceName::as_str);
        let found = format!(
            "sshd asks `{command}` whom certificates must name, not for {device}; no session can log in"
        );
        return Point::wrong(NAME, found, install);
    }
    Point::ok(NAME, "sshd takes certificates for the accounts of this device that they name")
}

/// `AcceptEnv` takes patterns.
fn accepts(pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => SESSION_VARIABLE.starts_with(start),
        None => pattern == SESSION_VARIABLE,
    }
}

/// Whether sshd would shut the proxy out for what its users do (since OpenSSH 9.8).
pub fn penalties(told: &str, proxy: &[IpAddr], install: &str) -> Point {
    let known = values(told, "persourcepenalties");
    if known.is_empty() || known == ["no"] {
        return Point::ok("penalties", "sshd slows no source down");
    }
    let exempt: BTreeSet<&str> =
        values(told, "persourcepenaltyexemptlist").iter().flat_map(|list| list.split(',')).collect();
    let missing: Vec<String> =
        proxy.iter().map(ToString::to_string).filter(|address| !exempt.contains(address.as_str())).collect();
    if proxy.is_empty() {
        let found = "sshd slows sources down, and the proxy's address is not known";
        let mend = format!("see to it that the proxy's name has an address here, then {install}");
        return Point::warning("penalties", found, mend);
    }
    match missing.is_empty() {
        true => Point::ok("penalties", "sshd never slows the proxy down"),
        false => {
            let found = format!("sshd may shut out {} for what its users do", missing.join(", "));
            Point::warning("penalties", found, install)
        }
    }
}

/// What a login's PAM stack does, with the files that it includes in it.
pub fn pam(told: &str, stack: &str) -> Vec<Point> {
    if values(told, "usepam") != ["yes"] {
        let found = "sshd does not use PAM, so the kernel keeps no session together; leftovers are found by their environment only";
        return vec![Point::warning("PAM", found, "set `UsePAM yes` in /etc/ssh/sshd_config")];
    }
    let has = |module: &str| {
        let lines = stack.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        lines
            .filter(|line| line.trim_start_matches('-').starts_with("session"))
            .any(|line| line.contains(module))
    };
    let point = |name, module: &str, what: &str, line: &str| {
        if has(module) {
            Point::ok(name, format!("{module} is in sshd's stack"))
        } else {
            let found = format!("{module} is not in sshd's stack, {what}");
            Point::warning(name, found, format!("add `{line}` to /etc/pam.d/sshd"))
        }
    };
    vec![
        point(
            "loginuid",
            "pam_loginuid.so",
            "so the kernel does not bind processes to their login",
            "session required pam_loginuid.so",
        ),
        point(
            "logind",
            "pam_systemd.so",
            "so a login has no scope of its own",
            "session optional pam_systemd.so",
        ),
    ]
}

/// Whether rules of sessions are the last that sudo reads, and so what it goes by.
pub fn order(policy: io::Result<Policy>, include: &str) -> Point {
    const NAME: &str = "sudo order";
    let later = match policy {
        Err(error) => {
            let found = format!("which rules sudo reads last cannot be told: {error}");
            return Point::warning(NAME, found, "visudo -c");
        }
        Ok(policy) => policy.later,
    };
    let Some(first) = later.first() else {
        return Point::ok(NAME, "no rule comes after those of live sessions");
    };
    let more = match later.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let found = format!(
        "sudo reads {first}{more} after the rules of live sessions; where both match it goes by that, and the \
         session is refused"
    );
    let drop_in = Path::new(include).parent() == first.file.parent();
    let mend = match drop_in {
        true => format!("give that file a name that sorts before {include}"),
        false => "move it above the line with `includedir /etc/sudoers.d`, with visudo".to_owned(),
    };
    Point::warning(NAME, found, mend)
}

/// Who may read a file or directory of the agent's.
pub fn rights(path: &str, owner: u32, mode: u32, wanted: u32) -> Option<Point> {
    let mend = format!("chown root:root {path} && chmod {wanted:o} {path}");
    if owner != 0 {
        return Some(Point::wrong("state", format!("{path} belongs to account {owner}, not to root"), mend));
    }
    (mode & 0o077 & !wanted != 0).then(|| {
        Point::wrong("state", format!("{path} has mode {mode:o}; others can get at the agent's key"), mend)
    })
}

/// The certificate's life, in Unix seconds.
pub fn certificate(now: i64, renew_at: i64, ends: i64, enrol: &str) -> Point {
    let days = ends.saturating_sub(now) / 86_400;
    if now >= ends {
        return Point::wrong("certificate", "the certificate has expired; the proxy refuses it", enrol);
    }
    // It is renewed over the link as soon as it is due.
    if now > renew_at.saturating_add(86_400) {
        let found = format!("the certificate expires in {days} days and was not renewed");
        return Point::warning("certificate", found, "systemctl restart tidegate-agent.service");
    }
    Point::ok("certificate", format!("valid for {days} more days, and renewed before"))
}

/// What `timedatectl show` says.
pub fn clock(told: &str) -> Point {
    let says = |line: &str| told.lines().any(|said| said.trim() == line);
    if says("NTPSynchronized=yes") {
        return Point::ok("clock", "it is synchronized");
    }
    let found = "it is not synchronized; logins fail when it differs from the proxy's by a minute";
    Point::warning("clock", found, "timedatectl set-ntp true")
}

/// Who can set the clock right, by what `timedatectl show` says and what is there.
pub fn setter(told: &str, contained: bool, chrony: bool) -> ClockSetter {
    match (contained, chrony) {
        (true, _) => ClockSetter::Machine,
        (false, true) => ClockSetter::Chrony,
        (false, false) if told.lines().any(|said| said.trim() == "CanNTP=yes") => ClockSetter::Timedatectl,
        (false, false) => ClockSetter::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    const CA: &str = "/var/lib/tidegate-agent/user_ca.pub";
    const TOLD: &str = "usepam yes\npubkeyauthentication yes\nauthorizedprincipalsfile none\nacceptenv LANG\n\
                        acceptenv TIDEGATE_SESSION\ntrustedusercakeys /var/lib/tidegate-agent/user_ca.pub\n\
                        authorizedprincipalscommand /bin/echo %u@db01\nauthorizedprincipalscommanduser nobody\n";

    fn worst(points: &[Point]) -> Verdict {
        points.iter().map(|point| point.verdict).max().unwrap()
    }

    #[test]
    fn an_sshd_as_installed_is_well_and_each_setting_that_is_missed_is_wrong() {
        let db01 = "db01".parse().unwrap();
        let sshd = |told: &str| sshd(told, CA, Some(&db01), "x");
        assert_eq!(worst(&sshd(TOLD)), Verdict::Ok);
        assert_eq!(worst(&sshd(&TOLD.replace("TIDEGATE_SESSION", "TIDEGATE_*"))), Verdict::Ok);
        let before = sshd(&TOLD.replace("/bin/echo %u@db01", "none"));
        assert_eq!(worst(&before), Verdict::Warning, "as an agent before this one wrote it: {before:?}");
        for (broken, told) in [
            (TOLD.replace("trustedusercakeys /var", "trustedusercakeys /etc"), "not Tidegate's"),
            (TOLD.replace("TIDEGATE_SESSION", "LC_*"), "does not accept TIDEGATE_SESSION"),
            (TOLD.replace("pubkeyauthentication yes", "pubkeyauthentication no"), "takes no keys"),
            (TOLD.replace("file none", "file /etc/p"), "principals from /etc/p"),
            (TOLD.replace("%u@db01", "%u@db02"), "not for db01; no session can log in"),
            (TOLD.replace("/bin/echo", "/bin/sss"), "not for db01"),
        ] {
            let wrong: Vec<Point> =
                sshd(&broken).into_iter().filter(|point| point.verdict == Verdict::Wrong).collect();
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert!(wrong[0].found.contains(told), "{wrong:?}");
        }
    }

    #[test]
    fn an_sshd_with_penalties_must_spare_the_proxy() {
        let proxy = ["192.0.2.1".parse().unwrap()];
        let told = "persourcepenalties crash:90 authfail:5\npersourcepenaltyexemptlist 192.0.2.1\n";
        assert_eq!(penalties(told, &proxy, "x").verdict, Verdict::Ok);
        assert_eq!(penalties("port 22\n", &proxy, "x").verdict, Verdict::Ok, "an sshd before 9.8");
        let other = penalties(&told.replace(".1", ".2"), &proxy, "x");
        assert_eq!(other.verdict, Verdict::Warning);
        assert!(other.found.contains("shut out 192.0.2.1"), "{other}");
    }

    #[test]
    fn a_stack_without_a_module_is_warned_of_with_the_line_to_add() {
        let stack = "# session required pam_loginuid.so\nsession optional pam_systemd.so\n";
        let points = pam(TOLD, stack);
        assert_eq!((points[0].verdict, points[1].verdict), (Verdict::Warning, Verdict::Ok));
        assert!(points[0].mend.as_ref().unwrap().contains("session required pam_loginuid.so"));
        assert_eq!(worst(&pam(TOLD, &stack.replace("# ", ""))), Verdict::Ok);
        assert_eq!(worst(&pam(&TOLD.replace("usepam yes", "usepam no"), stack)), Verdict::Warning);
    }

    #[test]
    fn a_key_that_others_can_read_is_wrong() {
        assert_eq!(rights("/x", 0, 0o700, 0o700), None);
        assert_eq!(rights("/x", 0, 0o600, 0o700), None);
        assert!(rights("/x", 0, 0o750, 0o700).unwrap().mend.unwrap().ends_with("chmod 700 /x"));
        assert!(rights("/x", 7, 0o700, 0o700).is_some());
    }

    #[test]
    fn a_certificate_is_well_until_its_renewal_is_late() {
        let day = 86_400;
        assert_eq!(certificate(0, 20 * day, 30 * day, "x").verdict, Verdict::Ok);
        assert_eq!(certificate(22 * day, 20 * day, 30 * day, "x").verdict, Verdict::Warning);
        assert_eq!(certificate(30 * day, 20 * day, 30 * day, "x").verdict, Verdict::Wrong);
    }

    #[test]
    fn a_clock_is_well_when_the_host_says_so() {
        assert_eq!(clock("NTP=yes\nNTPSynchronized=yes\n").verdict, Verdict::Ok);
        assert_eq!(clock("NTPSynchronized=no\n").verdict, Verdict::Warning);
    }

    #[test]
    fn who_keeps_the_clock_is_known_by_what_the_host_has() {
        let can = "CanNTP=yes\nNTP=no\n";
        assert_eq!(setter(can, false, false), ClockSetter::Timedatectl);
        assert_eq!(setter(can, false, true), ClockSetter::Chrony);
        assert_eq!(setter(can, true, true), ClockSetter::Machine);
        assert_eq!(setter("CanNTP=no\n", false, false), ClockSetter::Nobody);
    }
}
