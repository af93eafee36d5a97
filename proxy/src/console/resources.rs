//! `apply`, `get`, `delete`, `export`.

use tidegate_common::model::{Kind, Resource, ResourceName, Resources};
use tokio::io::AsyncRead;

use super::grammar::{Apply, Delete, Get};
use super::screen::Screen;
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::resources::{self, Applied};

pub(super) async fn apply(
    services: &Services,
    actor: &Actor,
    asked: Apply,
    screen: &mut Screen<'_>,
    mut stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    let Apply { file, called, dry_run } = asked;
    if file != "-" {
        let why = format!("the gate does not read your files; write: apply -f - < {file}");
        return Err(Failure::Usage(why));
    }
    let text = resources::Text { source: &mut stdin, called, dry_run };
    let applied = resources::apply(services, actor, text).await?;
    if screen.json {
        screen.list(&applied, || Table::new([])).await?;
        return Ok(0);
    }
    for Applied { name, result } in &applied {
        let dry = if dry_run { " (dry run)" } else { "" };
        screen.line(&format!("{}/{} {result}{dry}", name.kind.key(), name.name)).await?;
    }
    if applied.is_empty() {
        screen.remark("the text names no resource").await?;
    }
    Ok(0)
}

pub(super) async fn get(
    services: &Services,
    actor: &Actor,
    asked: &Get,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    if let Some(name) = &asked.name {
        let one = resources::get(services, actor, asked.kind, name).await?;
        let document = one.to_json()?;
        let mut alone = Resources::default();
        alone.push(one);
        let text = resources::text(&alone)?;
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
    let all = resources::export(services, actor).await?;
    if screen.json {
        screen.one(&all, String::new).await?;
    } else {
        screen.line(resources::text(&all)?.trim_end()).await?;
    }
    Ok(0)
}
