//! What sshd itself wrote of a log-in that it refused, where the host keeps a journal. Lines
//! hold what a client said, so they are bounded and only compared and shown.

use std::net::IpAddr;
use std::time::Duration;

use tidegate_common::audit::Note;
use tidegate_common::name::AccountName;

use crate::elevate::program::run;

/// How far back a line may be.
const SINCE: &str = "--since=-10s";

/// How long journald may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// What sshd says where a certificate is for another address than it sees.
const OTHER_ADDRESS: &str = "not from a permitted source address (";

/// Lines that tell that somebody was refused.
const REFUSALS: [&str; 6] = [
    "not allowed because ",
    "Access denied for user ",
    "access denied for user ",
    OTHER_ADDRESS,
    "Certificate invalid",
    "Authentication refused",
];

/// The newest lines of a refusal of this account, oldest first.
pub fn of_refusal(account: &AccountName) -> Vec<String> {
    // What sshd said just now is in the journal after that.
    let _ = run("journalctl", &["--sync"], DEADLINE);
    let words = ["-q", "--no-pager", "-o", "cat", SINCE, "-n", "200", "-t", "sshd", "-t", "sshd-session"];
    let Ok(answer) = run("journalctl", &words, DEADLINE) else { return Vec::new() };
    let lines = answer.text.lines().filter(|line| tells(line, account.as_str()));
    lines.map(|line| Note::<200>::new(line).as_str().to_owned()).collect()
}

fn tells(line: &str, account: &str) -> bool {
    let names =
        line.split(|letter: char| letter.is_whitespace() || letter == ',').any(|word| word == account);
    let names_nobody = line.contains("Certificate invalid");
    (names || names_nobody) && REFUSALS.iter().any(|refusal| line.contains(refusal))
}

/// The address that sshd saw in the place of the one that the certificate is for.
pub fn other_address(line: &str) -> Option<IpAddr> {
    let (_, rest) = line.split_once(OTHER_ADDRESS)?;
    rest.split(')').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_this_account_is_told_from_others() {
        let seen = "cert: Authentication tried for ops with valid certificate but not from a permitted source \
                    address (198.51.100.7).";
        assert!(tells(seen, "ops") && !tells(seen, "op"));
        assert_eq!(other_address(seen), "198.51.100.7".parse().ok());
        assert!(tells("User ops from 192.0.2.1 not allowed because not listed in AllowUsers", "ops"));
        assert!(tells("fatal: Access denied for user ops by PAM account configuration [preauth]", "ops"));
        assert!(!tells("Accepted publickey for ops from 192.0.2.1 port 4 ssh2", "ops"));
        assert_eq!(other_address("Accepted publickey for ops"), None);
    }
}
