//! `apply`, `get`, `delete`, `export`.

use tidegate_common::model::{Kind, Resource, ResourceName, Resources};
use tidegate_common::policy::{Access, Accesses, Effect};
use tokio::io::AsyncRead;

use super::grammar::{Apply, Delete, Get};
use super::screen::Screen;
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::resources::{self, Applied, AppliedAll};

pub(super) async fn apply(
    services: &Services,
    actor: &Actor,
    asked: Apply,
    screen: &mut Screen<'_>,
    mut stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    let Apply { file, called, dry_run, force } = asked;
    if file != "-" {
        let why = format!("the gate does not read your files; write: apply -f - < {file}");
        return Err(Failure::Usage(why));
    }
    let text = resources::Text { source: &mut stdin, called, dry_run, force };
    let applied = resources::apply(services, actor, text).await?;
    let AppliedAll { resources, effect } = &applied;
    if screen.json {
        match effect {
            Some(_) => screen.one(&applied, String::new).await?,
            None => screen.list(resources, || Table::new([])).await?,
        }
        return Ok(0);
    }
    for Applied { name, result } in resources {
        let dry = if dry_run { " (dry run)" } else { "" };
        screen.line(&format!("{}/{} {result}{dry}", name.kind.key(), name.name)).await?;
    }
    if resources.is_empty() {
        screen.remark("the text names no resource").await?;
    }
    if let Some(effect) = effect {
        simulated(effect, screen).await?;
    }
    Ok(0)
}

/// So many accesses of a kind are shown; machines read more.
const SHOWN: usize = 20;

/// Counts first, and then some of what they count.
async fn simulated(effect: &Effect, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let Effect { gained, lost, changed, complete } = effect;
    let kinds = [("gained", gained), ("lost", lost), ("on other terms", changed)];
    if *complete && kinds.iter().all(|(_, accesses)| accesses.count == 0) {
        return screen.line("nobody gains or loses an access by it").await;
    }
    let more = if *complete { "" } else { " at least: the edit touches more than was looked at" };
    for (what, accesses) in kinds {
        let Accesses { count, users, .. } = accesses;
        screen.line(&format!("accesses {what}: {count}, of {users} users{more}")).await?;
    }
    for (what, accesses) in kinds {
        for access in accesses.first.iter().take(SHOWN) {
            let Access { user, credential, action, before, after } = access;
            let how = match (before, after) {
                (Some(before), Some(after)) => format!("was {before}; becomes {after}"),
                (Some(how), None) | (None, Some(how)) => how.to_string(),
                (None, None) => String::new(),
            };
            screen.line(&format!("  {what}: {user}, {action} on {credential}, {how}")).await?;
        }
        let rest = accesses.count.saturating_sub(u64::try_from(SHOWN).unwrap_or(u64::MAX));
        if rest > 0 {
            screen.line(&format!("  {what}: {rest} more (-o json names 1,000)")).await?;
        }
    }
    Ok(())
}

pub(super) async fn get(
    services: &Services,
    actor: &Actor,
    asked: &Get,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    if let Some(name) = &asked.name {
        let (one, revision) = resources::get(services, actor, asked.kind, name).await?;
        let document = one.to_json()?;
        let limited = match &one {
            Resource::User(user) => user.limited.as_ref(),
            _ => None,
        };
        let limited = limited.map(|group| format!("# limited, with the group {group}\n")).unwrap_or_default();
        let mut alone = Resources::default();
        alone.push(one);
        let text = limited + &resources::text(&alone, revision)?;
        screen.one(&document, || text).await?;
        return Ok(0);
    }
    let all = resources::list(services, actor, asked.kind).await?;
    let documents = all.iter().map(Resource::to_json).collect::<Result<Vec<_>, _>>()?;
    let empty = format!("There is no {} yet; `apply` creates resources.", asked.kind);
    screen.list_or(&documents, || table(asked.kind, &all), &empty).await?;
    Ok(0)
}

fn table(kind: Kind, all: &[Resource]) -> Table {
    let mut table = Table::headed(kind.heading());
    all.iter().for_each(|resource| table.line(resource.cells()));
    table
}

pub(super) async fn delete(
    services: &Services,
    actor: &Actor,
    asked: &Delete,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let gone = resources::delete(services, actor, asked.kind, &asked.names).await?;
    if screen.json {
        screen.list(&gone, || Table::new([])).await?;
    } else {
        for ResourceName { kind, name } in &gone {
            screen.line(&format!("{}/{name} deleted", kind.key())).await?;
        }
    }
    Ok(0)
}

pub(super) async fn export(
    services: &Services,
    actor: &Actor,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let (all, revision) = resources::export(services, actor).await?;
    if screen.json {
        screen.one(&all, String::new).await?;
    } else {
        screen.line(resources::text(&all, revision)?.trim_end()).await?;
    }
    Ok(0)
}
