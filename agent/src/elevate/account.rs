//! What the host knows of an account.

use nix::unistd::User;
use tidegate_common::name::AccountName;

use crate::paths::Paths;

/// An account's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub uid: u32,
    /// Of its primary group.
    pub gid: u32,
}

/// Looks it up in the host's account file, then with its name service.
pub fn find(paths: &Paths, account: &AccountName) -> Result<Account, String> {
    let path = paths.etc.join("passwd");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{} could not be read: {error}", path.display()))?;
    let local = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(account.as_str())).then(|| {
            let uid = fields.nth(1)?.parse().ok()?;
            Some(Account { uid, gid: fields.next()?.parse().ok()? })
        })
    });
    if let Some(found) = local.flatten() {
        return Ok(found);
    }
    let known = if paths.is_host() { User::from_name(account.as_str()).ok().flatten() } else { None };
    known.map(|user| Account { uid: user.uid.as_raw(), gid: user.gid.as_raw() }).ok_or_else(|| {
        format!("the account `{account}` does not exist on this host; create it or correct the credential")
    })
}
