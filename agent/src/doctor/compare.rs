//! What the proxy said when it was linked last, against what is so on this host.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use jiff::SignedDuration;
use tidegate_common::wire::MOST_SKEW_SECONDS;

use super::Point;
use crate::digest::sha256;

/// From here on the difference of two clocks is worth a word: a rule ends so much too
/// late, or too early.
const WORTH_A_WORD: SignedDuration = SignedDuration::from_secs(2);

/// Who can set this host's clock right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockSetter {
    /// The machine on which this container runs.
    Machine,
    /// chronyd(8).
    Chrony,
    /// systemd-timesyncd(8), or another that timedatectl(1) switches on.
    Timedatectl,
    /// Nothing is installed.
    Nobody,
}

/// How far this host's clock is ahead of the proxy's. `synchronized` says that this
/// host's is right as far as the host knows.
pub fn clocks(ahead: Option<SignedDuration>, synchronized: bool, setter: ClockSetter) -> Point {
    const NAME: &str = "proxy clock";
    let Some(ahead) = ahead else {
        let found = "it was not compared with the proxy's: no link since the host was booted";
        return Point::warning(NAME, found, "mend the link first");
    };
    let apart = ahead.abs();
    let seconds = format!("{:.1} s", apart.as_secs_f64());
    if apart < WORTH_A_WORD {
        return Point::ok(NAME, format!("within {seconds} of the proxy's"));
    }
    let way = if ahead.is_negative() { "behind" } else { "ahead of" };
    let found = format!("this host's clock is {seconds} {way} the proxy's");
    let mend = match (synchronized, setter) {
        (true, _) => {
            "this host is synchronized, so look at `timedatectl` on the proxy; then restart tidegate-agent.service"
        }
        (false, ClockSetter::Machine) => "set the clock of the machine on which this container runs",
        (false, ClockSetter::Chrony) => "systemctl enable --now chrony && chronyc makestep",
        (false, ClockSetter::Timedatectl) => "timedatectl set-ntp true",
        (false, ClockSetter::Nobody) => "apt install systemd-timesyncd && timedatectl set-ntp true",
    };
    if apart.as_secs().unsigned_abs() < MOST_SKEW_SECONDS {
        return Point::warning(
            NAME,
            format!("{found}; from {MOST_SKEW_SECONDS} s on no session can log in"),
            mend,
        );
    }
    Point::wrong(NAME, format!("{found}; no session can log in"), mend)
}

/// The keys of user CAs that sshd reads, against those that the proxy signs with.
pub fn ca_keys(trusted: &str, proxys: Option<&[String]>) -> Point {
    const NAME: &str = "CA keys";
    const RESTART: &str = "systemctl restart tidegate-agent.service";
    let trusted: BTreeSet<String> = trusted.lines().filter_map(fingerprint).collect();
    if trusted.is_empty() {
        return Point::warning(NAME, "no key came from the proxy yet; no session can log in", RESTART);
    }
    let count = trusted.len();
    let Some(proxys) = proxys else {
        let found =
            format!("sshd trusts {count} keys; the proxy has not been heard since the host was booted");
        return Point::ok(NAME, found);
    };
    let proxys: BTreeSet<String> = proxys.iter().filter_map(|line| fingerprint(line)).collect();
    if let Some(foreign) = trusted.difference(&proxys).next() {
        let found = format!(
            "sshd trusts {foreign}, which is not the proxy's: whoever has that key can log in to every account"
        );
        return Point::wrong(NAME, found, RESTART);
    }
    match proxys.difference(&trusted).next() {
        Some(missing) => {
            let found = format!("sshd does not trust {missing}, which the proxy signs with");
            Point::wrong(NAME, found, RESTART)
        }
        None => Point::ok(NAME, format!("sshd trusts the proxy's {count} keys and no other")),
    }
}

/// An OpenSSH line's fingerprint, as ssh-keygen(1) -l tells it; of one that is no key,
/// the line itself. `None` for comments and empty lines.
fn fingerprint(line: &str) -> Option<String> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let blob =
        line.split_whitespace().find_map(|word| STANDARD.decode(word).ok().filter(|blob| is_key(blob)));
    match blob {
        Some(blob) => Some(format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(&blob)))),
        None if line.is_empty() => None,
        None => {
            let mut shown = String::from("the line `");
            line.chars().take(60).for_each(|letter| {
                let _ = write!(shown, "{}", letter.escape_debug());
            });
            Some(shown + "`")
        }
    }
}

/// A public key begins with the name of its algorithm behind a length (RFC 4253, 6.6).
fn is_key(blob: &[u8]) -> bool {
    blob.first_chunk::<4>().is_some_and(|length| (1..64).contains(&u32::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJvyTN1nXQtqxfZpBZb0g1bTlZyIBb5Sp8Jk0pPuqJwM one";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g two";

    fn seconds(seconds: i64) -> Option<SignedDuration> {
        Some(SignedDuration::from_secs(seconds))
    }

    #[test]
    fn clocks_that_differ_are_warned_of_and_wrong_once_logins_fail() {
        for (ahead, verdict, way) in [
            (0, Verdict::Ok, "within 0.0 s"),
            (-1, Verdict::Ok, "within 1.0 s"),
            (5, Verdict::Warning, "5.0 s ahead of the proxy's"),
            (-59, Verdict::Warning, "59.0 s behind the proxy's"),
            (60, Verdict::Wrong, "60.0 s ahead of the proxy's; no session can log in"),
            (-3600, Verdict::Wrong, "3600.0 s behind the proxy's; no session can log in"),
        ] {
            let point = clocks(seconds(ahead), false, ClockSetter::Nobody);
            assert_eq!(point.verdict, verdict, "{point}");
            assert!(point.found.contains(way), "{point}");
        }
        assert_eq!(clocks(None, true, ClockSetter::Nobody).verdict, Verdict::Warning);
    }

    #[test]
    fn a_clock_is_mended_by_what_the_host_has_or_on_the_proxy() {
        for (synchronized, setter, mend) in [
            (false, ClockSetter::Chrony, "chronyc makestep"),
            (false, ClockSetter::Timedatectl, "set-ntp true"),
            (false, ClockSetter::Nobody, "apt install systemd-timesyncd"),
            (false, ClockSetter::Machine, "the machine on which"),
            (true, ClockSetter::Chrony, "on the proxy"),
        ] {
            let point = clocks(seconds(99), synchronized, setter);
            assert!(point.mend.as_ref().unwrap().contains(mend), "{point}");
        }
    }

    #[test]
    fn keys_are_the_proxys_or_the_one_that_is_not_is_named() {
        let proxys = [ONE.to_owned()];
        let same = ca_keys(&format!("# a comment\n\n{ONE}\n"), Some(&proxys));
        assert_eq!(same.verdict, Verdict::Ok, "{same}");
        let foreign = ca_keys(&format!("{ONE}\n{TWO}\n"), Some(&proxys));
        let of_two = fingerprint(TWO).unwrap();
        assert!(foreign.verdict == Verdict::Wrong && foreign.found.contains(&of_two), "{foreign}");
        let missing = ca_keys(ONE, Some(&[ONE.to_owned(), TWO.to_owned()]));
        assert!(missing.verdict == Verdict::Wrong && missing.found.contains(&of_two), "{missing}");
        assert!(missing.found.contains("does not trust"), "{missing}");
        assert_eq!(ca_keys("\n", Some(&proxys)).verdict, Verdict::Warning);
        assert_eq!(ca_keys(ONE, None).verdict, Verdict::Ok);
        let nonsense = ca_keys(&format!("{ONE}\nnonsense\n"), Some(&proxys));
        assert!(nonsense.found.contains("`nonsense`"), "{nonsense}");
    }

    #[test]
    fn a_fingerprint_is_what_ssh_keygen_tells() {
        // ssh-keygen -lf
        assert_eq!(fingerprint(ONE).unwrap(), "SHA256:qF0/4b2VwYgmH0r9Oph/IbxYwoikZ31cg7on8w1cdxI");
        assert_eq!(fingerprint(&format!("restrict {ONE}")), fingerprint(ONE));
    }
}
