//! Membership of groups, in `/etc/group` and `/etc/gshadow`.
//!
//! What usermod(8) adds is one name at the end of one line, and every other byte stays as
//! it was. For accounts that only the host's name service knows, the agent writes the
//! lines itself.

use std::collections::BTreeMap;

use tidegate_common::grant::Failure;
use tidegate_common::name::{AccountName, UnixGroupName};

use super::account;
use super::lock::AccountLock;
use super::tools::{self, Tool};
use crate::account_files::{fields, number, read};
use crate::core::{Delta, Gone, Held, Unit};
use crate::paths::Paths;
use crate::process::Lost;

/// Both files keep the members behind the third colon.
const MEMBERS: usize = 3;

/// A membership to add or to remove.
#[derive(Debug, Clone, Copy)]
pub struct Edit<'a> {
    unit: &'a Unit,
    account: &'a AccountName,
    group: &'a UnixGroupName,
    in_group: bool,
    in_gshadow: bool,
}

impl<'a> Edit<'a> {
    /// The edit, when the unit is a membership that changes anything.
    pub fn of(unit: &'a Unit, delta: &Delta) -> Option<Self> {
        match (unit, delta) {
            (Unit::Group { account, group }, Delta::Group { group: in_group, gshadow: in_gshadow })
                if *in_group || *in_gshadow =>
            {
                Some(Self { unit, account, group, in_group: *in_group, in_gshadow: *in_gshadow })
            }
            _ => None,
        }
    }

    /// A failure of its unit.
    pub fn failure(&self, why: String) -> Failure {
        self.unit.failure(why)
    }
}

/// Which of the files do not list the account.
/// An account that is only about to be created is in none.
pub fn plan(
    paths: &Paths,
    account: &AccountName,
    group: &UnixGroupName,
    coming: bool,
) -> Result<Delta, String> {
    let primary = if coming { None } else { Some(account::find(paths, account)?.gid) };
    let groups = read(paths, "group")?.unwrap_or_default();
    let line = line_of(&groups, group).ok_or_else(|| {
        format!("the group `{group}` does not exist on this host; create it or correct the credential")
    })?;
    let gid = line.split(|byte| *byte == b':').nth(2).and_then(number);
    if primary.is_some() && gid == primary {
        // The account's primary group: it is in it as it is.
        return Ok(Delta::Group { group: false, gshadow: false });
    }
    let gshadow = read(paths, "gshadow")?.unwrap_or_default();
    let in_gshadow = line_of(&gshadow, group).map(|line| lists(line, account));
    Ok(Delta::Group { group: !lists(line, account), gshadow: in_gshadow == Some(false) })
}

/// Adds all of them.
pub fn add(paths: &Paths, lock: &AccountLock, edits: &[Edit<'_>]) -> Result<(), String> {
    let mut files = Vec::new();
    for (file, concerned) in per_file(edits) {
        let mut content = read(paths, file)?.unwrap_or_default();
        for edit in concerned {
            let changed = with_member(&content, edit.group, edit.account);
            content = changed.ok_or_else(|| {
                let path = paths.etc.join(file);
                format!("`{}` was changed in {} by someone else; try again", edit.group, path.display())
            })?;
        }
        files.push((file, content));
    }
    tools::make(paths, lock, &per_account(edits, Tool::join), files)
}

/// Whether the account is a member now.
pub fn verify(paths: &Paths, account: &AccountName, group: &UnixGroupName) -> Result<(), String> {
    let found = account::find(paths, account)?;
    let groups = read(paths, "group")?.unwrap_or_default();
    let line = line_of(&groups, group).unwrap_or_default();
    let primary = line.split(|byte| *byte == b':').nth(2).and_then(number) == Some(found.gid);
    if primary || lists(line, account) {
        Ok(())
    } else {
        Err(format!(
            "`{account}` is not in `{group}` although it was added; does another program manage groups?"
        ))
    }
}

/// Whether an account is in a group, as the host's own files have it.
pub fn is_in(paths: &Paths, account: &AccountName, group: &str) -> bool {
    let groups = read(paths, "group").ok().flatten().unwrap_or_default();
    let fields = fields(&groups, group).unwrap_or_default();
    let gid = fields.get(2).copied().and_then(number);
    let primary = account::find(paths, account).ok().map(|found| found.gid);
    let listed = fields.get(MEMBERS).into_iter().flat_map(|members| members.split(|byte| *byte == b','));
    gid.is_some() && gid == primary || listed.into_iter().any(|member| member == account.as_str().as_bytes())
}

/// What processes of the account hold while it is a member by this edit. Nothing where the
/// account or the group is not there (any more).
pub fn held_by(paths: &Paths, edit: &Edit<'_>) -> Option<Lost> {
    let account = account::find(paths, edit.account).ok()?;
    let groups = read(paths, "group").ok()??;
    let gid = number(line_of(&groups, edit.group)?.split(|byte| *byte == b':').nth(2)?)?;
    (gid != account.gid).then_some(Lost { uid: account.uid, gid })
}

/// Whether the account is in one of the files again after it was taken out.
pub fn is_back(paths: &Paths, edit: &Edit<'_>) -> bool {
    let lists = |file: &str, counts: bool| {
        let content = read(paths, file).ok().flatten().filter(|_| counts).unwrap_or_default();
        line_of(&content, edit.group).is_some_and(|line| lists(line, edit.account))
    };
    lists("group", edit.in_group) || lists("gshadow", edit.in_gshadow)
}

/// Removes exactly what was added, and looks again.
pub fn remove(paths: &Paths, lock: &AccountLock, held: Vec<Held>) -> Vec<Gone> {
    let edits: Vec<Edit<'_>> = held.iter().filter_map(|held| Edit::of(&held.unit, &held.delta)).collect();
    let removed = remove_all(paths, lock, &edits);
    held.iter()
        .map(|one| {
            let result = match &removed {
                Err(why) => Err(one.unit.failure(why.clone())),
                Ok(missing) => {
                    let absent = missing.iter().any(|unit| **unit == one.unit);
                    Ok((absent && one.applied).then(|| drifted(&one.unit)))
                }
            };
            Gone::new(one.unit.clone(), result)
        })
        .collect()
}

fn drifted(unit: &Unit) -> String {
    match unit {
        Unit::Group { account, group } => {
            format!("`{account}` was no longer in `{group}`, where the agent had put it; left so")
        }
        _ => String::new(),
    }
}

/// Which of them were no longer there.
fn remove_all<'a>(paths: &Paths, lock: &AccountLock, edits: &[Edit<'a>]) -> Result<Vec<&'a Unit>, String> {
    let mut missing = Vec::new();
    let mut files = Vec::new();
    for (file, concerned) in per_file(edits) {
        let Some(before) = read(paths, file)? else { continue };
        let mut content = before.clone();
        for edit in &concerned {
            match without_member(&content, edit.group, edit.account) {
                Some(changed) => content = changed,
                None if file == "group" => missing.push(edit.unit),
                None => {}
            }
        }
        if content != before {
            files.push((file, content));
        }
    }
    tools::take_back(paths, lock, &per_account(edits, Tool::leave), files)?;
    Ok(missing)
}

/// One run of a tool for each account.
fn per_account(edits: &[Edit<'_>], tool: fn(&AccountName, &[&UnixGroupName]) -> Option<Tool>) -> Vec<Tool> {
    let mut accounts: BTreeMap<&AccountName, Vec<&UnixGroupName>> = BTreeMap::new();
    for edit in edits {
        accounts.entry(edit.account).or_default().push(edit.group);
    }
    accounts.into_iter().filter_map(|(account, groups)| tool(account, &groups)).collect()
}

fn per_file<'e, 'a>(edits: &'e [Edit<'a>]) -> BTreeMap<&'static str, Vec<&'e Edit<'a>>> {
    let mut files: BTreeMap<&'static str, Vec<&Edit<'a>>> = BTreeMap::new();
    for edit in edits {
        if edit.in_group {
            files.entry("group").or_default().push(edit);
        }
        if edit.in_gshadow {
            files.entry("gshadow").or_default().push(edit);
        }
    }
    files
}

/// The group's line, without its end.
fn line_of<'c>(content: &'c [u8], group: &UnixGroupName) -> Option<&'c [u8]> {
    content.split(|byte| *byte == b'\n').find(|line| is_of(line, group))
}

fn is_of(line: &[u8], group: &UnixGroupName) -> bool {
    line.strip_prefix(group.as_str().as_bytes()).is_some_and(|rest| rest.starts_with(b":"))
}

fn members(line: &[u8]) -> Option<&[u8]> {
    line.splitn(MEMBERS + 1, |byte| *byte == b':').nth(MEMBERS)
}

fn lists(line: &[u8], account: &AccountName) -> bool {
    let account = account.as_str().as_bytes();
    members(line).is_some_and(|members| members.split(|byte| *byte == b',').any(|member| member == account))
}

/// The file with the account as the group's last member; `None` when the group is
/// gone or lists it already.
fn with_member(content: &[u8], group: &UnixGroupName, account: &AccountName) -> Option<Vec<u8>> {
    edit(content, group, |line| {
        if lists(line, account) {
            return None;
        }
        let mut changed = line.to_vec();
        if !members(line)?.is_empty() {
            changed.push(b',');
        }
        changed.extend_from_slice(account.as_str().as_bytes());
        Some(changed)
    })
}

/// The file without the account's last mention in the group's members; `None` when
/// there is none.
pub fn without_member(content: &[u8], group: &UnixGroupName, account: &AccountName) -> Option<Vec<u8>> {
    edit(content, group, |line| {
        let members = members(line)?;
        let mut kept: Vec<&[u8]> = members.split(|byte| *byte == b',').collect();
        let place = kept.iter().rposition(|member| *member == account.as_str().as_bytes())?;
        kept.remove(place);
        let head = line.get(..line.len() - members.len())?;
        Some([head, kept.join(&b',').as_slice()].concat())
    })
}

fn edit(content: &[u8], group: &UnixGroupName, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let line = lines.iter_mut().find(|line| is_of(line, group))?;
    *line = change(line)?;
    Some(lines.join(&b'\n'))
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
