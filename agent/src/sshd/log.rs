//! What sshd itself wrote of a log-in that it refused, where the host keeps a journal. Lines
//! hold what a client said, so they are bounded and only compared and shown.

use std::net::IpAddr;
use std::time::Duration;

use tidegate_common::audit::Note;
use tidegate_common::name::AccountName;

use crate::program::run;

/// How far back a line may be.
const SINCE: &str = "--since=-10s";

/// How long journald may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// How lines begin that tell that the account was refused, up to its name. What a client says,
/// a user's name above all, stands further behind in sshd's lines, so it never begins one.
const REFUSALS: [&str; 4] =
    ["User ", "Access denied for user ", "access denied for user ", "cert: Authentication tried for "];

/// How lines begin that tell why, without the account's name.
const NAMELESS: [&str; 2] = ["Certificate invalid", "Authentication refused"];

/// What sshd says behind the account where a certificate is for another address than it sees.
const OTHER_ADDRESS: &str = " with valid certificate but not from a permitted source address (";

/// The newest lines of a refusal of this account, oldest first.
pub fn of_refusal(account: &AccountName) -> Vec<String> {
    // What sshd said just now is in the journal after that.
    let _ = run("journalctl", &["--sync"], DEADLINE);
    let words =
        ["-q", "--no-pager", "-o", "cat", SINCE, "-n", "200", "_UID=0", "-t", "sshd", "-t", "sshd-session"];
    let Ok(answer) = run("journalctl", &words, DEADLINE) else { return Vec::new() };
    let lines = answer.text.lines().filter(|line| tells(line, account.as_str()));
    lines.map(|line| Note::<200>::new(line).as_str().to_owned()).collect()
}

fn tells(line: &str, account: &str) -> bool {
    // How sshd marks what it says above the ordinary.
    let line = ["error: ", "fatal: "].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line);
    let mut rests = REFUSALS.iter().filter_map(|start| line.strip_prefix(start)?.strip_prefix(account));
    rests.any(|rest| rest.is_empty() || rest.starts_with([' ', ',']))
        || NAMELESS.iter().any(|start| line.starts_with(start))
}

/// The address that sshd saw in the place of the one that the account's certificate is for.
pub fn other_address(line: &str, account: &AccountName) -> Option<IpAddr> {
    let rest = line.strip_prefix("cert: Authentication tried for ")?.strip_prefix(account.as_str())?;
    rest.strip_prefix(OTHER_ADDRESS)?.split(')').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_this_account_is_told_from_others() {
        let seen = "cert: Authentication tried for ops with valid certificate but not from a permitted source \
                    address (198.51.100.7).";
        assert!(tells(seen, "ops") && !tells(seen, "op"));
        let ops: AccountName = "ops".parse().unwrap();
        assert_eq!(other_address(seen, &ops), "198.51.100.7".parse().ok());
        assert!(tells("User ops from 192.0.2.1 not allowed because not listed in AllowUsers", "ops"));
        assert!(tells("fatal: Access denied for user ops by PAM account configuration [preauth]", "ops"));
        assert!(!tells("Accepted publickey for ops from 192.0.2.1 port 4 ssh2", "ops"));
        assert_eq!(other_address("Accepted publickey for ops", &ops), None);
        // Whoever reaches sshd chooses a user's name in a line of it.
        let said = "Invalid user ops with valid certificate but not from a permitted source address (203.0.113.66) from \
                    192.0.2.9 port 7";
        assert!(!tells(said, "ops") && other_address(said, &ops).is_none());
        let said = "Invalid user cert: Authentication tried for ops with valid certificate but not from a permitted source \
                    address (203.0.113.66) from 192.0.2.9 port 7";
        assert!(!tells(said, "ops") && other_address(said, &ops).is_none());
    }
}
