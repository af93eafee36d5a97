//! What the host knows of an account.

use nix::unistd::User;
use tidegate_common::name::AccountName;

use crate::paths::Paths;

/// An account's primary group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub gid: u32,
}

/// Looks it up in the host's account file, then with its name service.
pub fn find(paths: &Paths, account: &AccountName) -> Result<Account, String> {
    let path = paths.etc.join("passwd");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{} could not be read: {error}", path.display()))?;
    let local = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(account.as_str())).then(|| fields.nth(2).and_then(|gid| gid.parse().ok()))
    });
    if let Some(gid) = local.flatten() {
        return Ok(Account { gid });
    }
    let known = if paths.is_host() { User::from_name(account.as_str()).ok().flatten() } else { None };
    known.map(|user| Account { gid: user.gid.as_raw() }).ok_or_else(|| {
        format!("the account `{account}` does not exist on this host; create it or correct the credential")
    })
}
