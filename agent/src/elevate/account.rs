//! What the host knows of an account.

use nix::unistd::User;
use tidegate_common::name::AccountName;

use crate::account_files::{fields, number, read};
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
    let passwd =
        read(paths, "passwd")?.ok_or_else(|| format!("{} is missing", paths.etc.join("passwd").display()))?;
    let local = fields(&passwd, account.as_str())
        .and_then(|fields| Some(Account { uid: number(fields.get(2)?)?, gid: number(fields.get(3)?)? }));
    if let Some(found) = local {
        return Ok(found);
    }
    let known = if paths.is_host() { User::from_name(account.as_str()).ok().flatten() } else { None };
    known.map(|user| Account { uid: user.uid.as_raw(), gid: user.gid.as_raw() }).ok_or_else(|| {
        format!("the account `{account}` does not exist on this host; create it or correct the credential")
    })
}
